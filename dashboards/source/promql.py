"""Pieces of queries that the dashboards share.

A query never comes back empty only because all is well: what may have nothing to tell says so in a
series that has the label `absent` and no other (`otherwise`).
"""

# The label of what stands in for nothing.
ABSENT = "absent"

# 0 wherever the recording rules are.
RULES_LOADED = "0 * unitwatch:threshold:restarts_in_15m"
NO_RULES = "recording rules not loaded"

# What a state is worth where many are one number: the higher, the sooner it is to be looked at.
# Each is its number, what it is called, the states that it stands for, and its colour.
UNIT_STATES = [
    (1, "inactive", "inactive", "#6e7480"),
    (2, "active", "active", "green"),
    (3, "reloading", "reloading|refreshing|maintenance", "blue"),
    (4, "deactivating", "deactivating", "purple"),
    (5, "activating", "activating", "yellow"),
    (6, "failed", "failed", "red"),
]
# What the active state does not show: a frozen unit is active, and a service that waits for its restart
# is activating.
HIDDEN_STATES = [
    (7, "restart pending", "systemd_service_restart_pending", "orange"),
    (8, "frozen", "systemd_unit_frozen", "dark-blue"),
]
SYSTEM_STATES = [
    (1, "running", "running", "green"),
    (2, "starting", "initializing|starting", "yellow"),
    (3, "stopping", "stopping", "purple"),
    (4, "unknown", "offline|unknown", "#6e7480"),
    (5, "degraded", "degraded", "orange"),
    (6, "maintenance", "maintenance", "red"),
]
# Beside these, for a host that tells nothing.
SILENT = (7, "no answer", "dark-red")


def of(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join(matchers)}}}"


def either(*parts: str) -> str:
    return "(" + " or ".join(parts) + ")"


def state(metric: str, states: list, *matchers: str) -> str:
    """The state that has the value 1, as its number."""
    numbers = []
    for number, _, words, _ in states:
        chosen = of(metric, *matchers, f'state=~"{words}"')
        numbers.append(f"{number} * ({chosen} == 1)")
    return f"sum without (state) {either(*numbers)}"


def unit_state(*matchers: str) -> str:
    """The state of each unit as its number, also those that the active state does not show."""
    hidden = [f"{number} * {of(metric, *matchers)}" for number, _, metric, _ in HIDDEN_STATES]
    return f"max by (instance, job, name) {either(*hidden, state('systemd_unit_state', UNIT_STATES, *matchers))}"


def system_state(*matchers: str) -> str:
    return state("systemd_system_state", SYSTEM_STATES, *matchers)


def problem(words: str, expr: str) -> str:
    return f'label_replace({expr}, "problem", "{words}", "", "")'


def problems(*matchers: str) -> list[str]:
    """What is wrong with units now. Failed reloads of the time shown are part of it: the unit still runs with
    its old configuration."""
    return [
        problem("failed", of("systemd_unit_state", *matchers, 'state="failed"') + " == 1"),
        problem("cannot be loaded", of("systemd_unit_load_error", *matchers)),
        problem("wanted, and does not run", of("systemd_unit_wanted_inactive", *matchers)),
        problem("changed on disk: daemon-reload", of("systemd_unit_need_daemon_reload", *matchers)),
        problem("frozen: systemctl thaw", of("systemd_unit_frozen", *matchers)),
        problem("waits for its restart", of("systemd_service_restart_pending", *matchers)),
        problem("will not elapse again", of("systemd_timer_stuck", *matchers)),
        problem("a reload failed", during(of("systemd_unit_reload_failures_total", *matchers)) + " > 0"),
    ]


def during(series: str, at: str = "") -> str:
    """What a counter counted within the dashboard's time: to the unit, where increase() would
    extrapolate. Of a counter that is younger it is all, so of a Prometheus that is, too."""
    series = f"{series} {at}".rstrip()
    return either(f"({series} - {series} offset $__range) >= 0", series)


def each(series: str) -> str:
    """What it counted between one point of a graph and the next: the bars add up to the whole.
    After a reset it is what was counted since."""
    before = f"{series} offset $__interval"
    # Nearly always the second part is empty, and then it costs little.
    return either(f"({series} - {before}) >= 0", f"({series} < {before})")


def rate(series: str) -> str:
    return f"rate({series}[$__rate_interval])"


def happened(series: str) -> str:
    """For annotations: more than 0 where it counted something."""
    return f"increase({series}[$__rate_interval])"


# The failures of a unit have a series from the first failure on, which each() and happened() do not
# see. A series that comes back with a unit after a while is no failure: the host's counter did not
# rise then.


def each_failure(host: str, unit: str) -> str:
    ours, hosts = of("systemd_unit_failures_total", host, unit), of("systemd_failures_total", host)
    rose = f"({hosts} - {hosts} offset $__interval) > 0"
    return either(f"({ours} - {ours} offset $__interval) >= 0", first(ours, "$__interval", rose))


def failed(host: str, unit: str) -> str:
    ours, hosts = of("systemd_unit_failures_total", host, unit), of("systemd_failures_total", host)
    return either(first(ours, "$__rate_interval", f"{happened(hosts)} > 0"), happened(ours))


def first(series: str, span: str, rose: str) -> str:
    """A series that was not there before, if the host's counter rose meanwhile."""
    return f"(({series} unless {series} offset {span}) and on (instance, job, type, result) {rose})"


def each_reload_failure(unit: str) -> str:
    """The failed reloads of a unit. The first one makes the series: it counts if the unit was there before."""
    ours = of("systemd_unit_reload_failures_total", unit)
    before = f"{of('systemd_unit_state', unit)} offset $__interval"
    first_one = f"({ours} unless {ours} offset $__interval and on (instance, job, name) {before})"
    return either(f"({ours} - {ours} offset $__interval) >= 0", first_one)


def quantile(share: float, histogram: str, *matchers: str) -> str:
    """Of what was observed lately, and nothing where nothing was."""
    return f"histogram_quantile({share}, sum by (le) ({rate(of(histogram + '_bucket', *matchers))})) >= 0"


def worded(value: str, words: str) -> str:
    """What stands in for no answer."""
    return f'label_replace({value}, "{ABSENT}", "{words}", "", "")'


def otherwise(query: str, words: str, value: int = 0) -> str:
    """The query, or the words where that has no answer."""
    return f"({query}) or on () {worded(f'vector({value})', words)}"


def recorded(query: str, words: str) -> str:
    """The same of what the recording rules record, which says so where they are not loaded."""
    return otherwise(f"({query}) or on () {worded(RULES_LOADED, words)}", NO_RULES)
