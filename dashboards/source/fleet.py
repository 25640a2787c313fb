"""Fleet: which hosts and which units are to be looked at first."""

from grafana import (
    BAD,
    ODD,
    OR_ABSENT,
    annotation,
    cells,
    colors_of,
    dashboard,
    datasource,
    failures,
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
)
from promql import SILENT, SYSTEM_STATES, during, each, either, happened, lately, of, otherwise, quantile, rate, system_state

HOSTS = 'job=~"$job",instance=~"$instance"'
RESTARTS = of("systemd_service_restart_total", HOSTS)
# A host may have no service that could be restarted.
NO_RESTART = "0 * " + of("up", HOSTS)
FAILURES = of("systemd_failures_total", HOSTS)
UNIT_FAILURES = of("systemd_unit_failures_total", HOSTS)
STATE = f"max by (instance) ({system_state(HOSTS)})"
# A service whose Restart= does not heal it any more, as the alert has it.
LOOP = 3

ONE_HOST = to_host("${__data.fields.instance}")
ONE_UNIT = to_unit("${__data.fields.name}", "${__data.fields.instance}")
HOST_COLUMN = linked("instance", ONE_HOST, 200)
UNIT_COLUMN = linked("name", ONE_UNIT, 240)

overview = [
    stat("Hosts", "Targets of the chosen jobs.", now(f"count({of('up', HOSTS)})"), 3),
    stat(
        "No answer",
        "Hosts whose exporter is not reached, or whose systemd does not answer it.",
        now(f"sum(1 - {either(of('systemd_up', HOSTS), '0 * ' + of('up', HOSTS))})"),
        3,
        look=BAD,
    ),
    stat(
        "Degraded",
        "Hosts where a unit has failed, or that are at the rescue shell.",
        now(f"""sum({of('systemd_system_state', HOSTS, 'state=~"degraded|maintenance"')})"""),
        3,
        look=ODD,
    ),
    stat(
        "Failed units", "Units that are in the failed state now.", now(f"sum({of('systemd_failed_units', HOSTS)})"), 3, look=BAD
    ),
    stat(
        "Crash loops",
        f"Services that were restarted {LOOP} times or more in the last 15 minutes.",
        now(f"sum({either(lately(RESTARTS), NO_RESTART)} >= bool {LOOP})"),
        3,
        look=BAD,
    ),
    stat(
        "Failures", "Runs of units that failed, in the time shown.", now(f"sum({during(FAILURES)})"), 3, unit="short", look=ODD
    ),
    stat(
        "Restarts",
        "Restarts by systemd, in the time shown.",
        now(f"sum({either(during(RESTARTS), NO_RESTART)})"),
        3,
        unit="short",
        look=ODD,
    ),
    stat("Units", "Loaded units on all hosts.", now(f"sum({of('systemd_units', HOSTS)})"), 3, unit="short"),
]

hosts = [
    graph(
        "Hosts by state",
        "What the system managers say of themselves.",
        [query(f"sum by (state) ({of('systemd_system_state', HOSTS)})", "{{state}}")],
        8,
        stacked=True,
        overrides=colors_of(SYSTEM_STATES),
        axisSoftMax=1,
    ),
    table(
        "Every host",
        "The worst first. Failures and restarts are those in the time shown.",
        {
            "State": f"{STATE} or 0 * max by (instance) ({of('up', HOSTS)}) + {SILENT[0]}",
            "Failed units": f"sum by (instance) ({of('systemd_failed_units', HOSTS)})",
            "Failures": f"sum by (instance) ({during(FAILURES)})",
            "Restarts": f"sum by (instance) ({either(during(RESTARTS), NO_RESTART)})",
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
    failures(HOSTS),
    graph(
        "Restarts by job",
        "Restarts by systemd. Which services they are is in the tables.",
        [query(f"sum by (job) ({either(each(RESTARTS), NO_RESTART)})", "{{job}}")],
        8,
        bars=True,
    ),
    table(
        "Services in a crash loop",
        f"Services that were restarted {LOOP} times or more in the last 15 minutes, now.",
        {"Restarts in 15 min": otherwise(f"topk(20, sum by (instance, name) ({lately(RESTARTS)}) >= {LOOP})", "no crash loop")},
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
        "The units that failed, and the services that were restarted, most often in the time shown.",
        {
            "Failures": otherwise(f"topk(20, sum by (instance, name) ({during(UNIT_FAILURES)}) > 0)", "no failure"),
            "Restarts": otherwise(f"topk(20, sum by (instance, name) ({during(RESTARTS)}) > 0)", "no restart"),
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
        "Versions of systemd",
        "How many hosts run which.",
        now(f"sort_desc(count by (version) ({of('systemd_version', HOSTS)}))", "{{version}}"),
        6,
        "none",
    ),
    ranking(
        "Versions of unitwatch",
        "How many hosts run which.",
        now(
            f"sort_desc(count by (version, revision) ({of('systemd_exporter_build_info', HOSTS)}))", "{{version}} {{revision}}"
        ),
        6,
        "none",
    ),
]

exporters = [
    graph(
        "Signals are known after",
        "Time from the receipt of a signal until it is counted, 99 of 100; the slowest hosts.",
        [
            query(
                otherwise(
                    f"topk(10, {quantile(0.99, 'systemd_exporter_event_lag_seconds', HOSTS, by='instance, le')})", "no signal"
                ),
                "{{instance}}" + OR_ABSENT,
            )
        ],
        8,
        unit="s",
    ),
    graph(
        "CPU",
        "Of the exporters themselves, by share of one core; the busiest.",
        [query(f"topk(10, sum by (instance) ({rate(of('process_cpu_seconds_total', HOSTS))}))", "{{instance}}")],
        8,
        unit="percentunit",
    ),
    graph(
        "Memory",
        "Of the exporters themselves; the largest.",
        [query(f"topk(10, sum by (instance) ({of('process_resident_memory_bytes', HOSTS)}))", "{{instance}}")],
        8,
        unit="bytes",
    ),
]

DASHBOARD = dashboard(
    "unitwatch-fleet",
    "systemd: Fleet",
    "All hosts that unitwatch watches: their states, and the units to be looked at first.",
    [
        datasource(),
        job(),
        variable("instance", "Host", 'label_values(systemd_up{job=~"$job"}, instance)', many=True, all_of=".+"),
    ],
    [
        annotation(
            "Failures",
            f"sum by (instance, result) ({happened(FAILURES)}) > bool 0",
            "Failure on {{instance}}",
            "{{result}}",
            "instance,result",
            "red",
        ),
        # On many hosts these are many, and no trouble.
        reloads(HOSTS) | {"enable": False},
    ],
    [
        ("", False, [(4, overview), (8, hosts), (8, events), (9, worst)]),
        ("unitwatch itself", True, [(8, exporters)]),
    ],
    "now-6h",
)
