"""Fleet: the hosts and units to check first."""

from grafana import (
    BAD,
    BY_RESULT,
    ODD,
    OR_ABSENT,
    annotation,
    cells,
    colors_of,
    dashboard,
    datasource,
    graph,
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
    to_host,
    to_unit,
    variable,
    words,
)
from promql import (
    NO_RULES,
    RULES_LOADED,
    SILENT,
    SYSTEM_STATES,
    during,
    each,
    either,
    of,
    otherwise,
    rate,
    recorded,
    system_state,
)

# Only series per host, and recording rules for the few units that failed or were restarted: a sum over
# the units of all hosts would read a series per service.
HOSTS = 'job=~"$job",instance=~"$instance"'
RESTARTS = of("systemd_restarts_total", HOSTS)
FAILURES = of("systemd_failures_total", HOSTS)
SERVICE_RESTARTS = of("unitwatch:service_restarts:total", HOSTS)
RESTARTED_LATELY = of("unitwatch:service_restarts:increase15m", HOSTS)
UNIT_FAILURES = of("unitwatch:unit_failures:total", HOSTS)
FAILED_LATELY = of("unitwatch:failures:increase15m", HOSTS)
LAG = "systemd_exporter_event_lag_seconds"
STATE = f"max by (instance) ({system_state(HOSTS)})"
# Restarts in 15 minutes; the threshold of the alert SystemdServiceCrashLoop.
LOOP = 3

ONE_HOST = to_host("${__data.fields.instance}")
ONE_UNIT = to_unit("${__data.fields.name}", "${__data.fields.instance}")
HOST_COLUMN = linked("instance", ONE_HOST, 200)
UNIT_COLUMN = linked("name", ONE_UNIT, 240)

overview = [
    stat("Hosts", "Targets of the selected jobs.", now(f"count({of('up', HOSTS)})"), 3),
    stat(
        "No answer",
        "Hosts whose exporter does not answer Prometheus, or whose systemd does not answer the exporter.",
        now(f"sum(1 - {either(of('systemd_up', HOSTS), '0 * ' + of('up', HOSTS))})"),
        3,
        look=BAD,
    ),
    stat(
        "Degraded",
        "Hosts in system state degraded (a unit failed) or maintenance (rescue or emergency shell).",
        now(f"""sum({of('systemd_system_state', HOSTS, 'state=~"degraded|maintenance"')})"""),
        3,
        look=ODD,
    ),
    stat(
        "Failed units", "Units in the failed state now.", now(f"sum({of('systemd_failed_units', HOSTS)})"), 3, look=BAD
    ),
    stat(
        "Crash loops",
        f"Services restarted {LOOP} times or more in the last 15 minutes. Needs the recording rules.",
        now(f"count({RESTARTED_LATELY} >= {LOOP}) or {RULES_LOADED} or vector(-1)"),
        3,
        look=BAD,
        mappings=words({-1: NO_RULES}),
    ),
    stat(
        "Failures", "Failed runs of units in the time range.", now(f"sum({during(FAILURES)})"), 3, unit="short", look=ODD
    ),
    stat(
        "Restarts",
        "Automatic restarts (Restart=) in the time range.",
        now(f"sum({during(RESTARTS)})"),
        3,
        unit="short",
        look=ODD,
    ),
    stat("Units", "Loaded units of all hosts.", now(f"sum({of('systemd_units', HOSTS)})"), 3, unit="short"),
]

hosts = [
    graph(
        "Hosts by state",
        "System state of each host (systemctl is-system-running).",
        [query(f"sum by (state) ({of('systemd_system_state', HOSTS)})", "{{state}}")],
        8,
        stacked=True,
        overrides=colors_of(SYSTEM_STATES),
        axisSoftMax=1,
    ),
    table(
        "All hosts",
        "Worst state first. Failures and restarts are those in the time range.",
        {
            "State": f"{STATE} or 0 * max by (instance) ({of('up', HOSTS)}) + {SILENT[0]}",
            "Failed units": f"sum by (instance) ({of('systemd_failed_units', HOSTS)})",
            "Failures": f"sum by (instance) ({during(FAILURES)})",
            "Restarts": f"sum by (instance) ({during(RESTARTS)})",
            "Booted": f"""1000 * max by (instance) ({of('systemd_boot_time_seconds', HOSTS, 'stage="Userspace"')})""",
            "Units": f"sum by (instance) ({of('systemd_units', HOSTS)})",
            "systemd": f"max by (instance) ({of('systemd_version', HOSTS)})",
        },
        16,
        sort="State",
        order=["instance"],
        overrides=[
            HOST_COLUMN,
            cells("State", mappings=states(SYSTEM_STATES, SILENT)),
            cells("Failed units", thresholds=BAD),
            cells("Failures", thresholds=ODD, decimals=0),
            cells("Restarts", thresholds=ODD, decimals=0),
            override("Booted", unit="dateTimeFromNow"),
        ],
    ),
]

events = [
    graph(
        "Failures by result",
        "Failed runs of units in the last 15 minutes, by result. Needs the recording rules.",
        [query(recorded(f"sum by (result) ({FAILED_LATELY})", "no failure"), "{{result}}" + OR_ABSENT)],
        8,
        overrides=BY_RESULT,
    ),
    graph(
        "Restarts by job",
        "Automatic restarts (Restart=) by Prometheus job. The tables list the services.",
        [query(f"sum by (job) ({each(RESTARTS)})", "{{job}}")],
        8,
        bars=True,
    ),
    table(
        "Services in a crash loop",
        f"Services restarted {LOOP} times or more in the last 15 minutes. Needs the recording rules.",
        {"Restarts in 15 min": recorded(f"topk(20, sum by (instance, name) ({RESTARTED_LATELY}) >= {LOOP})", "no crash loop")},
        8,
        order=["instance", "name"],
        overrides=[
            HOST_COLUMN,
            UNIT_COLUMN,
            cells("Restarts in 15 min", thresholds=steps((None, "green"), (LOOP, "red")), decimals=0),
        ],
    ),
]

worst = [
    table(
        "Worst units",
        "Units with the most failures and services with the most restarts in the time range. Needs the recording rules.",
        {
            "Failures": recorded(f"topk(20, sum by (instance, name) ({during(UNIT_FAILURES)}) > 0)", "no failure"),
            "Restarts": recorded(f"topk(20, sum by (instance, name) ({during(SERVICE_RESTARTS)}) > 0)", "no restart"),
        },
        12,
        order=["instance", "name"],
        overrides=[
            HOST_COLUMN,
            UNIT_COLUMN,
            cells("Failures", thresholds=BAD, decimals=0),
            cells("Restarts", thresholds=ODD, decimals=0),
        ],
    ),
    ranking(
        "systemd versions",
        "Number of hosts by version.",
        now(f"sort_desc(count by (version) ({of('systemd_version', HOSTS)}))", "{{version}}"),
        6,
        "none",
    ),
    ranking(
        "unitwatch versions",
        "Number of hosts by version and revision.",
        now(
            f"sort_desc(count by (version, revision) ({of('systemd_exporter_build_info', HOSTS)}))", "{{version}} {{revision}}"
        ),
        6,
        "none",
    ),
]

exporters = [
    graph(
        "Signal lag",
        "Mean time from the receipt of a D-Bus signal until it is applied. The ten slowest hosts.",
        [
            query(
                otherwise(
                    f"topk(10, sum by (instance) ({rate(of(LAG + '_sum', HOSTS))})"
                    f" / (sum by (instance) ({rate(of(LAG + '_count', HOSTS))}) > 0))",
                    "no signal",
                ),
                "{{instance}}" + OR_ABSENT,
            )
        ],
        8,
        unit="s",
        few=True,
    ),
    graph(
        "CPU",
        "CPU use of the exporters, as a share of one core. The ten highest.",
        [query(f"topk(10, sum by (instance) ({rate(of('process_cpu_seconds_total', HOSTS))}))", "{{instance}}")],
        8,
        unit="percentunit",
        few=True,
    ),
    graph(
        "Memory",
        "Resident memory of the exporters. The ten highest.",
        [query(f"topk(10, sum by (instance) ({of('process_resident_memory_bytes', HOSTS)}))", "{{instance}}")],
        8,
        unit="bytes",
        few=True,
    ),
]

DASHBOARD = dashboard(
    "unitwatch-fleet",
    "systemd: Fleet",
    "All hosts with unitwatch: system states, and the hosts and units to check first.",
    [
        datasource(),
        job(),
        variable("instance", "Host", 'label_values(systemd_up{job=~"$job"}, instance)', many=True, all_of=".+"),
    ],
    [
        annotation(
            "Failures",
            otherwise(f"sum by (instance, result) ({FAILED_LATELY})", "no failure"),
            "Failure on {{instance}}",
            "{{result}}",
            "instance,result",
            "red",
        ),
        # Many on a large fleet, and not a problem.
        reloads(HOSTS) | {"enable": False},
    ],
    [
        ("", False, [(4, overview), (8, hosts), (8, events), (9, worst)]),
        ("unitwatch", True, [(8, exporters)]),
    ],
    "now-6h",
)
