"""Unit: state, events and resource use of one unit."""

from grafana import (
    BAD,
    BY_RESULT,
    ODD,
    OR_ABSENT,
    annotation,
    colored,
    colors_of,
    dashboard,
    datasource,
    graph,
    host,
    job,
    now,
    query,
    reloads,
    stat,
    steps,
    timeline,
    to_unit,
    unit_states,
    variable,
    words,
    wrong_now,
)
from promql import (
    UNIT_STATES,
    during,
    each,
    each_failure,
    each_reload_failure,
    failed,
    of,
    otherwise,
    problems,
    rate,
    unit_state,
)

HOST = 'job=~"$job",instance="$instance"'
NAME = 'name="$name"'
UNIT = f"{HOST},{NAME}"
# The timer and the socket of the same name, which start it by default.
TIMER = HOST + ',name="${base}.timer"'
SOCKET = HOST + ',name="${base}.socket"'

RESTARTS = of("systemd_service_restart_total", UNIT)
STARTS = of("systemd_unit_starts_total", UNIT)
FAILURES = of("systemd_unit_failures_total", UNIT)
RELOAD_FAILURES = of("systemd_unit_reload_failures_total", UNIT)
NEXT = of("systemd_timer_next_trigger_seconds", TIMER)
LAST = of("systemd_timer_last_trigger_seconds", TIMER)

# Values for "no number" and for a timer that will not elapse again.
NONE = -1
STUCK = -2


def number(title, description, expr, missing, width=3, names=None, **further) -> dict:
    """A number, or the reason why there is none. `names` has the texts for further values."""
    target = now(otherwise(expr, missing, NONE), further.pop("legend", ""))
    return stat(title, description, target, width, mappings=words({NONE: missing} | (names or {})), **further)


overview = [
    stat(
        "State",
        "Active state, or frozen, or restart pending.",
        now(otherwise(f"max({unit_state(UNIT)})", "not loaded", 0), OR_ABSENT),
        3,
        mappings=unit_states((0, "not loaded", "#6e7480")),
    ),
    number(
        "Active since",
        "When the unit became active, if it is active now.",
        f"1000 * max({of('systemd_unit_active_enter_time_seconds', UNIT)} and on (instance, job, name) "
        f"""({of('systemd_unit_state', UNIT, 'state=~"active|reloading|refreshing"')} == 1))""",
        "not active",
        unit="dateTimeFromNow",
    ),
    stat(
        "Last result",
        "Result of the last run of the service.",
        now(otherwise(f"max by (result) ({of('systemd_service_last_result', UNIT)})", "success"), "{{result}}" + OR_ABSENT),
        3,
        look=BAD,
        text="name",
    ),
    number(
        "Last exit",
        "Exit status of the main process, or the signal number if the code is killed or dumped.",
        f"max by (code) ({of('systemd_service_last_exit_status', UNIT)})",
        "never ended",
        look=BAD,
        legend="{{code}}",
        text="value_and_name",
    ),
    number("Starts", "Starts in the time range, whatever the cause.", f"max({during(STARTS)})", "never started", width=2),
    number("Failures", "Failed runs in the time range.", f"sum({during(FAILURES)})", "none", width=2, look=BAD),
    number("Failed reloads", "Failed reloads in the time range.", f"sum({during(RELOAD_FAILURES)})", "none", look=BAD),
    number(
        "Restarts",
        "Automatic restarts (Restart=) in the time range.",
        f"max({during(RESTARTS)})",
        "not a service",
        width=2,
        look=ODD,
    ),
    stat(
        "Kind",
        "Type= of a service, file system of a mount, and unit type.",
        now(
            otherwise(
                f"max by (type, service_type, mount_type) ({of('systemd_unit_info', UNIT)})"
                f" or on () max by (type) ({of('systemd_unit_state', UNIT)})",
                "not loaded",
            ),
            "{{service_type}} {{mount_type}} {{type}}" + OR_ABSENT,
        ),
        3,
        text="name",
    ),
]

line = [
    timeline(
        "State over time",
        "Active state, or frozen, or restart pending. States shorter than a scrape interval are only in the counts below.",
        [query(otherwise(unit_state(UNIT), "not loaded"), "{{name}}" + OR_ABSENT)],
        16,
        unit_states((0, "not loaded", "#6e7480")),
    ),
    wrong_now("Problems of this unit, with reloads that failed in the time range.", problems(UNIT), 8, hidden=["name", "type"]),
]

events = [
    graph(
        "Starts and restarts",
        "Starts whatever the cause, and the automatic restarts (Restart=) among them.",
        [
            query(otherwise(f"sum({each(STARTS)})", "no"), OR_ABSENT + " starts"),
            query(otherwise(f"sum({each(RESTARTS)})", "no"), OR_ABSENT + " restarts"),
        ],
        8,
        bars=True,
    ),
    graph(
        "Failures by result",
        "Failed runs and failed reloads, by result.",
        [
            query(otherwise(f"sum by (result) ({each_failure(HOST, NAME)})", "no failure"), "{{result}}" + OR_ABSENT),
            query(
                otherwise(f"sum by (result) ({each_reload_failure(UNIT)})", "no failure"),
                "reload: {{result}}" + OR_ABSENT,
            ),
        ],
        8,
        bars=True,
        overrides=BY_RESULT,
    ),
    graph(
        "Transitions",
        "State changes by the state entered, with those that ended before the next scrape.",
        [
            query(
                otherwise(f"sum by (state) ({each(of('systemd_unit_transitions_total', UNIT))})", "no transition"),
                "{{state}}" + OR_ABSENT,
            )
        ],
        8,
        bars=True,
        overrides=colors_of(UNIT_STATES),
    ),
]


def used(series: str, by: str, missing: str, legend: str) -> dict:
    return query(otherwise(f"sum by ({by}) ({series})", missing), legend + OR_ABSENT)


def level(metric: str, legend: str, missing: str) -> dict:
    return query(otherwise(f"max({of(metric, UNIT)})", missing), f"{legend} {OR_ABSENT}")


# Limits are dashed lines without an area.
LIMITS = [
    {
        "matcher": {"id": "byRegexp", "options": "/^(limit|throttled above)/"},
        "properties": [
            {"id": "custom.lineStyle", "value": {"dash": [8, 6], "fill": "dash"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}},
        ],
    }
]

resources = [
    graph(
        "CPU",
        "CPU use by mode, as a share of one core, and seconds per second for which CPUQuota= throttled the unit.",
        [
            used(rate(of("systemd_unit_cpu_seconds_total", UNIT)), "mode", "nothing counted", "{{mode}}"),
            used(rate(of("systemd_unit_cpu_throttled_seconds_total", UNIT)), "name", "no quota enforced", "throttled "),
        ],
        8,
        unit="percentunit",
    ),
    graph(
        "Memory",
        "Memory with page cache, and its limits. Needs the memory controller.",
        [
            level("systemd_unit_memory_current_bytes", "used", "(not counted)"),
            level("systemd_unit_memory_peak_bytes", "peak", "(not counted)"),
            level("systemd_unit_memory_swap_current_bytes", "swap", "(not counted)"),
            level("systemd_unit_memory_high_bytes", "throttled above", "(none)"),
            level("systemd_unit_memory_max_bytes", "limit", "(none)"),
        ],
        8,
        unit="bytes",
        overrides=LIMITS,
    ),
    graph(
        "Tasks",
        "Processes and threads, and TasksMax=. Needs the pids controller.",
        [
            level("systemd_unit_tasks_current", "tasks", "(not counted)"),
            level("systemd_unit_tasks_max", "limit", "(none)"),
        ],
        8,
        overrides=LIMITS,
    ),
]

traffic = [
    graph(
        "Reads and writes",
        "Bytes to and from block devices. Needs the io controller, which is off by default (IOAccounting=).",
        [
            used(rate(of("systemd_unit_io_read_bytes_total", UNIT)), "name", " (not counted)", "read"),
            used(rate(of("systemd_unit_io_write_bytes_total", UNIT)), "name", " (not counted)", "written"),
        ],
        6,
        unit="Bps",
    ),
    graph(
        "Pressure",
        "Share of time in which some task waited for a resource. Needs --collector.pressure.",
        [
            used(
                rate(of("systemd_unit_pressure_seconds_total", UNIT, 'kind="some"')), "resource", "not served", "{{resource}}"
            ),
        ],
        6,
        unit="percentunit",
    ),
    graph(
        "IP traffic",
        "Bytes received and sent. Needs IPAccounting=.",
        [
            used(rate(of("systemd_service_ip_ingress_bytes_total", UNIT)), "name", " (not counted)", "received"),
            used(rate(of("systemd_service_ip_egress_bytes_total", UNIT)), "name", " (not counted)", "sent"),
        ],
        6,
        unit="Bps",
    ),
    graph(
        "Memory events",
        "Memory limits reached and OOM kills (memory.events). Needs the memory controller.",
        [used(each(of("systemd_unit_memory_events_total", UNIT)), "event", "not counted", "{{event}}")],
        6,
        bars=True,
        overrides=colored({"oom_kill": "red", "oom": "orange"}),
    ),
]

started_by = [
    number(
        "Next elapse",
        "For the timer of the same name. A stuck timer is active and recurring, and will not elapse again.",
        f"1000 * max({NEXT}) or on () {STUCK} * max({of('systemd_timer_stuck', TIMER)})",
        "no timer waits",
        names={STUCK: ("stuck", "red")},
        unit="dateTimeFromNow",
    ),
    number("Last elapse", "For the timer of the same name.", f"1000 * max({LAST})", "no timer did", unit="dateTimeFromNow"),
    number(
        "Timer delay",
        "How long ago the timer should have elapsed.",
        f"clamp_min(time() - max({NEXT}), 0)",
        "no timer waits",
        unit="s",
        look=steps((None, "green"), (300, "orange"), (3600, "red")),
    ),
    graph(
        "Connections",
        "Open connections of the socket of the same name. systemd counts them for Accept=yes.",
        [
            query(
                otherwise(f"max by (name) ({of('systemd_socket_current_connections', SOCKET)})", "no socket"),
                "{{name}}" + OR_ABSENT,
            )
        ],
        7,
        links=[to_unit("${__field.labels.name}", "${instance}")],
    ),
    graph(
        "Accepted and refused connections",
        "For the socket of the same name.",
        [
            query(
                otherwise(f"sum({each(of('systemd_socket_accepted_connections_total', SOCKET))})", " (no socket)"),
                "accepted" + OR_ABSENT,
            ),
            query(
                otherwise(f"sum({each(of('systemd_socket_refused_connections_total', SOCKET))})", " (no socket)"),
                "refused" + OR_ABSENT,
            ),
        ],
        8,
        bars=True,
        overrides=colored({"accepted": "green", "refused": "red"}),
    ),
]

DASHBOARD = dashboard(
    "unitwatch-unit",
    "systemd: Unit",
    "One unit of one host: state, starts and failures, resource use, and its timer and socket.",
    [
        datasource(),
        job(),
        host(),
        variable("type", "Type", "label_values(systemd_unit_state{%s}, type)" % HOST, all_of=".+"),
        variable("name", "Unit", 'label_values(systemd_unit_state{%s,type=~"$type"}, name)' % HOST),
        # For an instance, the name of its template: that is what a socket starts.
        variable("base", "", "label_values(systemd_unit_state{%s}, name)" % UNIT, regex=r"/^(.+?)(?:@.*)?\.[a-z]+$/", hide=2),
    ],
    [
        annotation(
            "Failures",
            otherwise(f"sum by (name, result) ({failed(HOST, NAME)}) > bool 0", "no failure"),
            "Failure of {{name}}",
            "{{result}}",
            "result",
            "red",
        ),
        reloads(HOST),
    ],
    [
        ("", False, [(4, overview), (4, line), (8, events)]),
        ("Resources", False, [(8, resources), (8, traffic)]),
        ("Timer and socket", False, [(7, started_by)]),
    ],
    "now-6h",
)
