"""Unit: one unit of one host, through and through."""

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
# The timer and the socket that start it by default: of its name.
TIMER = HOST + ',name="${base}.timer"'
SOCKET = HOST + ',name="${base}.socket"'

RESTARTS = of("systemd_service_restart_total", UNIT)
STARTS = of("systemd_unit_starts_total", UNIT)
FAILURES = of("systemd_unit_failures_total", UNIT)
RELOAD_FAILURES = of("systemd_unit_reload_failures_total", UNIT)
NEXT = of("systemd_timer_next_trigger_seconds", TIMER)
LAST = of("systemd_timer_last_trigger_seconds", TIMER)

# What a panel shows where there is no number, and where a timer will not elapse again.
NONE = -1
STUCK = -2


def number(title, description, expr, missing, width=3, names=None, **further) -> dict:
    """A number, or in words why there is none; `names` has the words for further values."""
    target = now(otherwise(expr, missing, NONE), further.pop("legend", ""))
    return stat(title, description, target, width, mappings=words({NONE: missing} | (names or {})), **further)


overview = [
    stat(
        "State",
        "Its active state, or that it is frozen or waits for its restart.",
        now(otherwise(f"max({unit_state(UNIT)})", "not loaded", 0), OR_ABSENT),
        3,
        mappings=unit_states((0, "not loaded", "#6e7480")),
    ),
    number(
        "Active since",
        "When it last became active, while it is.",
        f"1000 * max({of('systemd_unit_active_enter_time_seconds', UNIT)} and on (instance, job, name) "
        f"""({of('systemd_unit_state', UNIT, 'state=~"active|reloading|refreshing"')} == 1))""",
        "not active",
        unit="dateTimeFromNow",
    ),
    stat(
        "Last result",
        "What systemd says of the last run of a service.",
        now(otherwise(f"max by (result) ({of('systemd_service_last_result', UNIT)})", "success"), "{{result}}" + OR_ABSENT),
        3,
        look=BAD,
        text="name",
    ),
    number(
        "Last exit",
        "The exit status of its main process or, where the code is killed or dumped, the number of the signal that ended it.",
        f"max by (code) ({of('systemd_service_last_exit_status', UNIT)})",
        "never ended",
        look=BAD,
        legend="{{code}}",
        text="value_and_name",
    ),
    number("Starts", "Whoever asked for them, in the time shown.", f"max({during(STARTS)})", "never started", width=2),
    number("Failures", "Runs that failed, in the time shown.", f"sum({during(FAILURES)})", "none", width=2, look=BAD),
    number("Failed reloads", "In the time shown.", f"sum({during(RELOAD_FAILURES)})", "none", look=BAD),
    number("Restarts", "By systemd, in the time shown.", f"max({during(RESTARTS)})", "not a service", width=2, look=ODD),
    stat(
        "Kind",
        "The type of a service, the file system of a mount.",
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
        "Its active state, or that it is frozen or waits for its restart. What comes and goes between two scrapes is in the"
        " counts below.",
        [query(otherwise(unit_state(UNIT), "not loaded"), "{{name}}" + OR_ABSENT)],
        16,
        unit_states((0, "not loaded", "#6e7480")),
    ),
    wrong_now("Also reloads that failed in the time shown.", problems(UNIT), 8, hidden=["name", "type"]),
]

events = [
    graph(
        "Starts and restarts",
        "Starts by whoever it was; restarts are those of them that systemd made by itself.",
        [
            query(otherwise(f"sum({each(STARTS)})", "no"), OR_ABSENT + " starts"),
            query(otherwise(f"sum({each(RESTARTS)})", "no"), OR_ABSENT + " restarts"),
        ],
        8,
        bars=True,
    ),
    graph(
        "Failures by result",
        "Runs that failed, and reloads that failed, by what systemd says of their end.",
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
        "Entries into a state, also those that were over before the next scrape.",
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


# A limit is a line and no area.
LIMITS = [
    {
        "matcher": {"id": "byRegexp", "options": "/^(limit|slowed down at)/"},
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
        "Share of one core, in user and kernel mode; and the seconds of each second for which CPUQuota= held it up.",
        [
            used(rate(of("systemd_unit_cpu_seconds_total", UNIT)), "mode", "nothing counted", "{{mode}}"),
            used(rate(of("systemd_unit_cpu_throttled_seconds_total", UNIT)), "name", "no quota enforced", "throttled "),
        ],
        8,
        unit="percentunit",
    ),
    graph(
        "Memory",
        "With the caches of files, against its limits. Takes the memory controller.",
        [
            level("systemd_unit_memory_current_bytes", "used", "(not counted)"),
            level("systemd_unit_memory_peak_bytes", "peak", "(not counted)"),
            level("systemd_unit_memory_swap_current_bytes", "swap", "(not counted)"),
            level("systemd_unit_memory_high_bytes", "slowed down at", "(none)"),
            level("systemd_unit_memory_max_bytes", "limit", "(none)"),
        ],
        8,
        unit="bytes",
        overrides=LIMITS,
    ),
    graph(
        "Tasks",
        "Processes and threads, against TasksMax=. Takes the pids controller.",
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
        "Bytes from and to block devices. Takes the io controller, which systemd has off by default (IOAccounting=).",
        [
            used(rate(of("systemd_unit_io_read_bytes_total", UNIT)), "name", " (not counted)", "read"),
            used(rate(of("systemd_unit_io_write_bytes_total", UNIT)), "name", " (not counted)", "written"),
        ],
        6,
        unit="Bps",
    ),
    graph(
        "Pressure",
        "Share of the time in which some task waited for a resource. Takes --collector.pressure.",
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
        "Takes IPAccounting=.",
        [
            used(rate(of("systemd_service_ip_ingress_bytes_total", UNIT)), "name", " (not counted)", "received"),
            used(rate(of("systemd_service_ip_egress_bytes_total", UNIT)), "name", " (not counted)", "sent"),
        ],
        6,
        unit="Bps",
    ),
    graph(
        "Memory events",
        "How often it met a limit of its memory, or was killed for it. Takes the memory controller.",
        [used(each(of("systemd_unit_memory_events_total", UNIT)), "event", "not counted", "{{event}}")],
        6,
        bars=True,
        overrides=colored({"oom_kill": "red", "oom": "orange"}),
    ),
]

started_by = [
    number(
        "Timer elapses",
        "The timer of its name. A stuck one is active, repeats, and will not elapse again.",
        f"1000 * max({NEXT}) or on () {STUCK} * max({of('systemd_timer_stuck', TIMER)})",
        "no timer waits",
        names={STUCK: ("stuck", "red")},
        unit="dateTimeFromNow",
    ),
    number("Timer elapsed", "The timer of its name.", f"1000 * max({LAST})", "no timer did", unit="dateTimeFromNow"),
    number(
        "Timer is late by",
        "How long ago it should have elapsed.",
        f"clamp_min(time() - max({NEXT}), 0)",
        "no timer waits",
        unit="s",
        look=steps((None, "green"), (300, "orange"), (3600, "red")),
    ),
    graph(
        "Connections",
        "Those that the socket of its name has open. systemd counts them for Accept=yes.",
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
        "Connections that came",
        "To the socket of its name.",
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
    "One unit of one host: its states, starts and failures, what it uses, and what starts it.",
    [
        datasource(),
        job(),
        host(),
        variable("type", "Type", "label_values(systemd_unit_state{%s}, type)" % HOST, all_of=".+"),
        variable("name", "Unit", 'label_values(systemd_unit_state{%s,type=~"$type"}, name)' % HOST),
        # An instance goes by its template: that is what a socket starts.
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
        ("What starts it", False, [(7, started_by)]),
    ],
    "now-6h",
)
