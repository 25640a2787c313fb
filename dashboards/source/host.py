"""Host: problems, events and resource use of one host."""

from grafana import (
    BAD,
    ODD,
    OR_ABSENT,
    annotation,
    cells,
    colored,
    colors_of,
    dashboard,
    datasource,
    failures,
    graph,
    host,
    job,
    linked,
    now,
    override,
    query,
    ranking,
    reloads,
    stat,
    states,
    steps,
    table,
    timeline,
    to_unit,
    unit_states,
    variable,
    words,
    wrong_now,
)
from promql import (
    SILENT,
    SYSTEM_STATES,
    UNIT_STATES,
    during,
    each,
    either,
    happened,
    of,
    otherwise,
    problem,
    problems,
    quantile,
    rate,
    system_state,
    unit_state,
)

HOST = 'job=~"$job",instance="$instance"'
TYPE = 'type=~"$type"'
RESTARTS = of("systemd_service_restart_total", HOST)
FAILURES = of("systemd_failures_total", HOST)
TRANSITIONS = of("systemd_transitions_total", HOST)

# Links from a row of a table and from a line of a graph.
ROW = to_unit("${__data.fields.name}", "${instance}")
LINE = to_unit("${__field.labels.name}", "${instance}")
UNIT_COLUMN = linked("name", ROW, 260)

overview = [
    stat(
        "State",
        "System state (systemctl is-system-running), or 'no answer' if systemd does not answer.",
        now(otherwise(f"max({system_state(HOST)})", "no answer", 7), OR_ABSENT),
        3,
        mappings=states(SYSTEM_STATES, SILENT),
    ),
    stat("Failed units", "Units in the failed state.", now(f"max({of('systemd_failed_units', HOST)})"), 3, look=BAD),
    stat(
        "Jobs queued",
        "Jobs in the queue, waiting and running.",
        now(f"sum({of('systemd_jobs', HOST)})"),
        3,
        look=steps((None, "green"), (10, "orange")),
    ),
    stat(
        "Oldest job",
        "Age of the oldest job in the queue.",
        now(otherwise(f"max({of('systemd_job_oldest_age_seconds', HOST)})", "empty queue")),
        3,
        unit="s",
        look=steps((None, "green"), (90, "orange"), (900, "red")),
    ),
    stat(
        "Daemon-reloads",
        "Number of daemon-reloads in the time range.",
        now(f"max({during(of('systemd_reloads_total', HOST))})"),
        3,
    ),
    stat(
        "Booted",
        "When the kernel started systemd (the Userspace time of systemd).",
        now(f"""1000 * max({of('systemd_boot_time_seconds', HOST, 'stage="Userspace"')})"""),
        3,
        unit="dateTimeFromNow",
    ),
    stat(
        "systemd",
        "Version of systemd.",
        now(f"max by (version) ({of('systemd_version', HOST)})", "{{version}}"),
        3,
        text="name",
    ),
    stat(
        "Machine",
        "Architecture, and the virtualization if there is one.",
        now(f"max by (architecture, virtualization) ({of('systemd_info', HOST)})", "{{architecture}} {{virtualization}}"),
        3,
        text="name",
    ),
]

# Chosen once for the whole time range, so that each point shows the same units.
busiest = f"topk(10, sum by (name) ({during(of('systemd_unit_transitions_total', HOST), '@ end()')}))"

wrong = [
    wrong_now(
        "Units that failed, cannot be loaded, are wanted but inactive, are frozen, wait for a restart, or have changed"
        " files; stuck timers; reloads that failed in the time range; unit types that systemd refuses to list.",
        [
            *problems(HOST),
            problem("systemd refuses to list this type", of("systemd_exporter_listing_refused", HOST)),
        ],
        12,
        overrides=[UNIT_COLUMN],
    ),
    timeline(
        "Units with the most transitions",
        "States of the ten units that changed state most often in the time range.",
        [
            query(
                otherwise(f"{unit_state(HOST)} and on (name) {busiest}", "no transition"),
                "{{name}}" + OR_ABSENT,
            )
        ],
        12,
        unit_states((0, "none", "#6e7480")),
        links=[LINE],
    ),
]

events = [
    graph(
        "Transitions",
        "State changes of units, by the state that they entered.",
        [query(f"sum by (state) ({each(TRANSITIONS)})", "{{state}}")],
        8,
        bars=True,
        overrides=colors_of(UNIT_STATES),
    ),
    failures(HOST),
    graph(
        "Restarts",
        "Automatic restarts (Restart=) of the ten services with the most.",
        [query(otherwise(f"topk(10, sum by (name) ({each(RESTARTS)}) > 0)", "no restart"), "{{name}}" + OR_ABSENT)],
        8,
        bars=True,
        links=[LINE],
    ),
]

jobs = [
    graph(
        "Job queue",
        "Waiting and running jobs.",
        [query(f"sum by (state) ({of('systemd_jobs', HOST)})", "{{state}}")],
        8,
        stacked=True,
        axisSoftMax=1,
    ),
    graph(
        "Finished jobs by result",
        "Jobs that left the queue, per bar.",
        [query(f"sum by (result) ({each(of('systemd_jobs_completed_total', HOST))})", "{{result}}")],
        8,
        bars=True,
        overrides=colored({"done": "green", "failed": "red", "timeout": "yellow", "dependency": "orange"}),
    ),
    graph(
        "Units by state",
        "Loaded units of all types.",
        [query(f"sum by (state) ({of('systemd_units', HOST)})", "{{state}}")],
        8,
        stacked=True,
        overrides=colors_of(UNIT_STATES),
    ),
]

BUCKETS = of("systemd_job_duration_seconds_bucket", HOST)
boot = [
    ranking(
        "Last boot",
        "Duration of the boot phases, as in systemd-analyze.",
        now(
            otherwise(f"sort_desc(max by (phase) ({of('systemd_boot_duration_seconds', HOST)}))", "not finished"),
            "{{phase}}" + OR_ABSENT,
        ),
        8,
        "s",
        look=steps((None, "green"), (30, "orange"), (90, "red")),
    ),
    ranking(
        "Slowest starts",
        "Duration of the last start of a unit, until it was active.",
        now(
            otherwise(
                f"sort_desc(topk(10, max by (name) ({of('systemd_unit_active_enter_time_seconds', HOST)}"
                f" - {of('systemd_unit_inactive_exit_time_seconds', HOST)}) > 0))",
                "no start",
            ),
            "{{name}}" + OR_ABSENT,
        ),
        8,
        "s",
        look=steps((None, "green"), (10, "orange"), (90, "red")),
        links=[LINE],
    ),
    ranking(
        "Job duration (95 %)",
        "Time in the queue that 95 % of the jobs of a type stayed below, in the time range.",
        now(
            otherwise(f"sort_desc(histogram_quantile(0.95, sum by (type, le) ({during(BUCKETS)})) >= 0)", "no job"),
            "{{type}}" + OR_ABSENT,
        ),
        8,
        "s",
        look=steps((None, "green"), (10, "orange"), (90, "red")),
    ),
]


def top(title: str, description: str, series: str, missing: str, unit: str, legend: str = "{{name}}", by: str = "name") -> dict:
    """The ten units with the highest values at each point."""
    return graph(
        title,
        description,
        [query(otherwise(f"topk(10, sum by ({by}) ({series}))", missing), legend + OR_ABSENT)],
        8,
        unit=unit,
        links=[LINE],
    )


resources = [
    top(
        "CPU",
        "CPU use, as a share of one core.",
        rate(of("systemd_unit_cpu_seconds_total", HOST, TYPE)),
        "nothing counted",
        "percentunit",
    ),
    top(
        "Memory",
        "Memory with page cache. Needs the memory controller.",
        of("systemd_unit_memory_current_bytes", HOST, TYPE),
        "not counted",
        "bytes",
    ),
    top(
        "Reads and writes",
        "Bytes to and from block devices. Needs the io controller, which is off by default (IOAccounting=).",
        f"{rate(of('systemd_unit_io_read_bytes_total', HOST, TYPE))} + {rate(of('systemd_unit_io_write_bytes_total', HOST, TYPE))}",
        "not counted",
        "Bps",
    ),
]

limits = [
    top(
        "Pressure",
        "Share of time in which some task of the unit waited for a resource. Needs --collector.pressure.",
        rate(of("systemd_unit_pressure_seconds_total", HOST, TYPE, 'kind="some"')),
        "not served",
        "percentunit",
        legend="{{name}} {{resource}}",
        by="name, resource",
    ),
    top(
        "Tasks",
        "Processes and threads. Needs the pids controller.",
        of("systemd_unit_tasks_current", HOST, TYPE),
        "not counted",
        "none",
    ),
    top(
        "Throttled",
        "Seconds per second for which CPUQuota= throttled the unit.",
        rate(of("systemd_unit_cpu_throttled_seconds_total", HOST, TYPE)),
        "no quota enforced",
        "percentunit",
    ),
]

LAST = of("systemd_timer_last_trigger_seconds", HOST)
NEXT = of("systemd_timer_next_trigger_seconds", HOST)
STUCK = of("systemd_timer_stuck", HOST)
timers = [
    table(
        "Timers",
        "Last and next elapse time, delay, and stuck timers, which will not elapse again.",
        {
            "Last": otherwise(f"1000 * max by (name) ({LAST})", "no timer has elapsed"),
            "Next": otherwise(f"1000 * max by (name) ({NEXT})", "no timer is waiting"),
            "Late by": otherwise(f"clamp_min(time() - max by (name) ({NEXT}), 0)", "no timer is waiting"),
            "Stuck": otherwise(f"max by (name) {either(STUCK, f'0 * {LAST}', f'0 * {NEXT}')}", "no timer"),
        },
        13,
        sort="Late by",
        order=["name"],
        overrides=[
            UNIT_COLUMN,
            override("Last", unit="dateTimeFromNow", mappings=words({0: "-"})),
            override("Next", unit="dateTimeFromNow", mappings=words({0: "-"})),
            cells("Late by", unit="s", thresholds=steps((None, "green"), (300, "orange"), (3600, "red"))),
            cells("Stuck", mappings=words({0: "-", 1: ("stuck", "red")})),
        ],
    ),
    table(
        "Sockets",
        "Open connections, and those accepted and refused in the time range. systemd counts them for Accept=yes.",
        {
            "Open": otherwise(f"max by (name) ({of('systemd_socket_current_connections', HOST)})", "no socket"),
            "Accepted": otherwise(
                f"max by (name) ({during(of('systemd_socket_accepted_connections_total', HOST))})", "no socket"
            ),
            "Refused": otherwise(
                f"max by (name) ({during(of('systemd_socket_refused_connections_total', HOST))})", "no socket"
            ),
        },
        11,
        sort="Accepted",
        order=["name"],
        overrides=[UNIT_COLUMN, cells("Refused", thresholds=ODD, decimals=0), override("Accepted", decimals=0)],
    ),
]

exporter = [
    graph(
        "Signals",
        "D-Bus signals from systemd, by member.",
        [
            query(
                otherwise(f"sum by (signal) ({rate(of('systemd_exporter_events_total', HOST))})", "no signal"),
                "{{signal}}" + OR_ABSENT,
            )
        ],
        6,
        unit="cps",
    ),
    graph(
        "Calls",
        "D-Bus calls of the exporter, by method.",
        [
            query(
                otherwise(f"sum by (method) ({rate(of('systemd_exporter_dbus_calls_total', HOST))})", "no call"),
                "{{method}}" + OR_ABSENT,
            )
        ],
        6,
        unit="cps",
    ),
    graph(
        "Latency (99 %)",
        "Time within which 99 % of signals are applied and 99 % of scrapes are answered.",
        [
            query(otherwise(quantile(0.99, "systemd_exporter_event_lag_seconds", HOST), " (none)"), "signal" + OR_ABSENT),
            query(otherwise(quantile(0.99, "systemd_exporter_scrape_duration_seconds", HOST), " (none)"), "scrape" + OR_ABSENT),
        ],
        6,
        unit="s",
    ),
    graph(
        "Resyncs and drift",
        "Drift without a lost connection, a daemon-reload or an overflow is a bug: please report it.",
        [
            query(
                otherwise(f"sum by (reason) ({each(of('systemd_exporter_resyncs_total', HOST))})", "none"),
                "resync: {{reason}}" + OR_ABSENT,
            ),
            query(
                otherwise(f"sum by (field) ({each(of('systemd_exporter_drift_total', HOST))})", "none"),
                "drift: {{field}}" + OR_ABSENT,
            ),
        ],
        6,
        bars=True,
    ),
]

DASHBOARD = dashboard(
    "unitwatch-host",
    "systemd: Host",
    "One host: problems, events, and resource use of its units.",
    [
        datasource(),
        job(),
        host(),
        variable(
            "type",
            "Unit types for resources",
            "label_values(systemd_unit_state{%s}, type)" % HOST,
            many=True,
            all_of=".+",
            chosen="service",
        ),
    ],
    [
        annotation(
            "Failures",
            f"sum by (type, result) ({happened(FAILURES)}) > bool 0",
            "Failure of a {{type}}",
            "{{result}}",
            "type,result",
            "red",
        ),
        reloads(HOST),
    ],
    [
        ("", False, [(4, overview), (8, wrong), (8, events), (8, jobs)]),
        ("Boot and jobs", False, [(8, boot)]),
        ("Top units", False, [(8, resources), (8, limits)]),
        ("Timers and sockets", False, [(8, timers)]),
        ("unitwatch", True, [(8, exporter)]),
    ],
    "now-6h",
)
