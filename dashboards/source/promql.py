"""Parts of queries that the dashboards share.

A healthy system does not leave a panel empty: a query that may have no data falls back to a series with
only the label `absent`, which says why (`otherwise`).
"""

# The label of the fallback series.
ABSENT = "absent"

# 0 if the recording rules are loaded.
RULES_LOADED = "0 * unitwatch:threshold:restarts_in_15m"
NO_RULES = "recording rules not loaded"

# States as numbers, for max(): the higher, the more urgent. Each entry is the number, the name shown,
# systemd's states that it covers, and the colour.
UNIT_STATES = [
    (1, "inactive", "inactive", "#6e7480"),
    (2, "active", "active", "green"),
    (3, "reloading", "reloading|refreshing|maintenance", "blue"),
    (4, "deactivating", "deactivating", "purple"),
    (5, "activating", "activating", "yellow"),
    (6, "failed", "failed", "red"),
]
# The active state does not show these: a frozen unit is active, and a service that waits for its restart
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
# For a host that does not answer.
SILENT = (7, "no answer", "dark-red")


def of(metric: str, *matchers: str) -> str:
    return f"{metric}{{{','.join(matchers)}}}"


def either(*parts: str) -> str:
    return "(" + " or ".join(parts) + ")"


def state(metric: str, states: list, *matchers: str) -> str:
    """The current state, as its number."""
    numbers = []
    for number, _, words, _ in states:
        chosen = of(metric, *matchers, f'state=~"{words}"')
        numbers.append(f"{number} * ({chosen} == 1)")
    return f"sum without (state) {either(*numbers)}"


def unit_state(*matchers: str) -> str:
    """The current state of each unit as its number, with the hidden states."""
    hidden = [f"{number} * {of(metric, *matchers)}" for number, _, metric, _ in HIDDEN_STATES]
    return f"max by (instance, job, name) {either(*hidden, state('systemd_unit_state', UNIT_STATES, *matchers))}"


def system_state(*matchers: str) -> str:
    return state("systemd_system_state", SYSTEM_STATES, *matchers)


def problem(words: str, expr: str) -> str:
    return f'label_replace({expr}, "problem", "{words}", "", "")'


def problems(*matchers: str) -> list[str]:
    """Problems of units now. Includes reloads that failed in the time range: the unit still runs with its
    old configuration."""
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
    """The exact increase of a counter in the time range, where increase() would extrapolate. For a counter
    that is younger than the range, or a younger Prometheus, it is the whole count."""
    series = f"{series} {at}".rstrip()
    return either(f"({series} - {series} offset $__range) >= 0", series)


def each(series: str) -> str:
    """The increase between two points of a graph: the bars add up to the total. After a reset it is the
    count since the reset."""
    before = f"{series} offset $__interval"
    # The second part is nearly always empty and then cheap.
    return either(f"({series} - {before}) >= 0", f"({series} < {before})")


def rate(series: str) -> str:
    return f"rate({series}[$__rate_interval])"


def happened(series: str) -> str:
    """For annotations: more than 0 where the counter rose."""
    return f"increase({series}[$__rate_interval])"


# A unit's failure counter appears with its first failure, which each() and happened() miss. A series may
# also come back with its unit: that is not a failure, and the host's counter does not rise.


def each_failure(host: str, unit: str) -> str:
    ours, hosts = of("systemd_unit_failures_total", host, unit), of("systemd_failures_total", host)
    rose = f"({hosts} - {hosts} offset $__interval) > 0"
    return either(f"({ours} - {ours} offset $__interval) >= 0", first(ours, "$__interval", rose))


def failed(host: str, unit: str) -> str:
    ours, hosts = of("systemd_unit_failures_total", host, unit), of("systemd_failures_total", host)
    return either(first(ours, "$__rate_interval", f"{happened(hosts)} > 0"), happened(ours))


def first(series: str, span: str, rose: str) -> str:
    """A series that is new, if the host's counter rose too."""
    return f"(({series} unless {series} offset {span}) and on (instance, job, type, result) {rose})"


def each_reload_failure(unit: str) -> str:
    """Failed reloads of a unit. The series appears with the first one, which counts if the unit existed before."""
    ours = of("systemd_unit_reload_failures_total", unit)
    before = f"{of('systemd_unit_state', unit)} offset $__interval"
    first_one = f"({ours} unless {ours} offset $__interval and on (instance, job, name) {before})"
    return either(f"({ours} - {ours} offset $__interval) >= 0", first_one)


def quantile(share: float, histogram: str, *matchers: str) -> str:
    """A recent quantile; no data without observations."""
    return f"histogram_quantile({share}, sum by (le) ({rate(of(histogram + '_bucket', *matchers))})) >= 0"


def worded(value: str, words: str) -> str:
    """A fallback series with a text."""
    return f'label_replace({value}, "{ABSENT}", "{words}", "", "")'


def otherwise(query: str, words: str, value: int = 0) -> str:
    """The query, or the text if it has no data."""
    return f"({query}) or on () {worded(f'vector({value})', words)}"


def recorded(query: str, words: str) -> str:
    """The same for recording rules, with another text if they are not loaded."""
    return otherwise(f"({query}) or on () {worded(RULES_LOADED, words)}", NO_RULES)
