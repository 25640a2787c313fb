"""Builders for Grafana's dashboard JSON (the classic model).

A dashboard is a list of rows, a row is a list of lines, and a line is a list of panels side by side.
The widths of the panels and the height of the line give their positions.
"""

from promql import ABSENT, HIDDEN_STATES, UNIT_STATES, each, either, happened, of, otherwise

SCHEMA = 39
TAG = "unitwatch"
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# The legend of a query that may have no data.
OR_ABSENT = "{{%s}}" % ABSENT

# === Queries ===


def query(expr: str, legend: str = "", **further) -> dict:
    """A range query, for a graph."""
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True} | further


def now(expr: str, legend: str = "") -> dict:
    """An instant query at the end of the time range."""
    return query(expr, legend) | {"range": False, "instant": True}


def column(expr: str) -> dict:
    """An instant query for rows of a table."""
    return now(expr) | {"format": "table"}


# === How values look ===


def steps(*limits: tuple) -> dict:
    """Threshold colours, each from a value on. The value of the first is None."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in limits]}


CALM = steps((None, "text"))
BAD = steps((None, "green"), (1, "red"))
ODD = steps((None, "green"), (1, "orange"))


def words(names: dict) -> list:
    """Value mappings: each value to a text, or to a text and a colour."""
    options = {}
    for index, (value, name) in enumerate(names.items()):
        text, color = name if isinstance(name, tuple) else (name, None)
        options[str(value)] = {"index": index, "text": text} | ({"color": color} if color else {})
    return [{"type": "value", "options": options}]


def states(known: list, *further: tuple) -> list:
    """Value mappings for numbered states."""
    return words({number: (name, color) for number, name, *_, color in [*known, *further]})


def override(name: str, **properties) -> dict:
    """Properties of one column or series. Double underscores stand for the dots in a property's name."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def colored(colors: dict) -> list:
    return [override(name, color={"mode": "fixed", "fixedColor": color}) for name, color in colors.items()]


# A result has the same colour in every graph.
BY_RESULT = colored(
    {
        "exit-code": "red",
        "signal": "orange",
        "core-dump": "dark-red",
        "oom-kill": "purple",
        "watchdog": "blue",
        "timeout": "yellow",
        "start-limit-hit": "semi-dark-orange",
    }
)


def unit_states(*further: tuple) -> list:
    """Value mappings for unit_state() of promql.py."""
    return states([*UNIT_STATES, *HIDDEN_STATES], *further)


def colors_of(known: list) -> list:
    """Colours of states, by systemd's names for them."""
    return colored({word: color for _, _, words, color in known for word in words.split("|")})


# === Links ===

TIME = "${__url_time_range}"


def link(title: str, uid: str, **variables: str) -> dict:
    """A link that keeps the data source and the time range."""
    given = [f"var-{name}={value}" for name, value in variables.items()]
    return {"title": title, "url": f"/d/{uid}?" + "&".join(["${datasource:queryparam}", *given, TIME])}


def to_host(instance: str) -> dict:
    return link("Host", "unitwatch-host", job="All", instance=instance)


def to_unit(name: str, instance: str) -> dict:
    return link("Unit", "unitwatch-unit", job="All", instance=instance, type="All", name=name)


# === Panels ===


def panel(kind: str, title: str, description: str, targets: list, width: int, options: dict, defaults: dict, **further) -> dict:
    lettered = [target | {"refId": chr(ord("A") + index)} for index, target in enumerate(targets)]
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width},
        "fieldConfig": {"defaults": defaults, "overrides": further.pop("overrides", [])},
        "options": options,
        "targets": lettered,
    } | further


def reduced() -> dict:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(title, description, target, width, unit="none", look=CALM, mappings=(), text="value", links=(), decimals=0) -> dict:
    """A single number or text."""
    return panel(
        "stat",
        title,
        description,
        [target],
        width,
        {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": reduced(),
            "showPercentChange": False,
            "textMode": text,
            "wideLayout": True,
        },
        {
            "color": {"mode": "thresholds"},
            "decimals": decimals,
            "links": list(links),
            "mappings": list(mappings),
            "thresholds": look,
            "unit": unit,
        },
    )


def graph(
    title, description, targets, width, unit="none", bars=False, few=False, stacked=False, overrides=(), links=(), **custom
) -> dict:
    """Values over time. Bars are counts per interval. `few` and bars limit the points, for costly queries."""
    drawn = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 80 if bars else 25 if stacked else 8,
        "lineWidth": 0 if bars else 1,
        "showPoints": "never" if bars else "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if bars or stacked else "none"},
    }
    return panel(
        "timeseries",
        title,
        description,
        targets,
        width,
        {
            "legend": {
                "calcs": ["sum" if bars else "max"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "sortBy": "Total" if bars else "Max",
                "sortDesc": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        {
            "color": {"mode": "palette-classic"},
            "custom": drawn | custom,
            "links": list(links),
            "mappings": [],
            "min": 0,
            "thresholds": CALM,
            "unit": unit,
        }
        | ({"decimals": 0} if bars else {}),
        overrides=list(overrides),
        **({"maxDataPoints": 100} if bars or few else {}),
    )


def timeline(title, description, targets, width, mappings, links=()) -> dict:
    """States over time, one line per series."""
    return panel(
        "state-timeline",
        title,
        description,
        targets,
        width,
        {
            "alignValue": "left",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        {
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 75, "lineWidth": 0},
            "links": list(links),
            "mappings": mappings,
            "thresholds": CALM,
            "unit": "none",
        },
        maxDataPoints=300,
    )


def ranking(title, description, target, width, unit, look=CALM, links=()) -> dict:
    """One bar per series, in the order of the query."""
    return panel(
        "bargauge",
        title,
        description,
        [target],
        width,
        {
            "displayMode": "basic",
            "maxVizHeight": 300,
            "minVizHeight": 12,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": reduced(),
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
        {
            "color": {"mode": "thresholds"},
            "links": list(links),
            "mappings": [],
            "min": 0,
            "thresholds": look,
            "unit": unit,
        },
    )


def table(title, description, columns: dict, width, sort=None, order=(), overrides=(), hidden=()) -> dict:
    """A table of labels and values, with a named column of values for each query."""
    names = list(columns)
    renamed = {f"Value #{chr(ord('A') + index)}": name for index, name in enumerate(names)}
    if len(names) == 1:
        # With a single query Grafana leaves the letter out.
        renamed["Value"] = names[0]
    return panel(
        "table",
        title,
        description,
        [column(expr) for expr in columns.values()],
        width,
        {
            "cellHeight": "sm",
            "frameIndex": 0,
            "showHeader": True,
            "sortBy": [{"desc": True, "displayName": sort or names[0]}],
        },
        {
            "color": {"mode": "thresholds"},
            "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False},
            "mappings": [],
            "thresholds": CALM,
            "unit": "none",
        },
        overrides=list(overrides),
        transformations=[
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True} | {name: True for name in hidden},
                    "indexByName": {name: index for index, name in enumerate([*order, ABSENT, *renamed])},
                    "renameByName": renamed | {ABSENT: "Note"},
                },
            },
        ],
    )


def wrong_now(description: str, problems: list, width: int, hidden=(), overrides=()) -> dict:
    """One row per problem, with the labels that explain it."""
    labels = ["problem", "name", "type", "load_state", "error", "reason", "result"]
    rows = f"group by ({', '.join(labels)}) {either(*problems)}"
    return table(
        "Current problems",
        description,
        {"Units": otherwise(rows, "nothing is wrong")},
        width,
        sort="problem",
        order=labels,
        hidden=["Value", "Value #A", *hidden],
        overrides=overrides,
    )


def cells(name: str, **properties) -> dict:
    """A column with text coloured by its value."""
    return override(name, custom__cellOptions={"type": "color-text"}, **properties)


def linked(name: str, to: dict, width: int) -> dict:
    """A column that links to another dashboard."""
    return override(name, links=[to], custom__width=width)


def failures(hosts: str) -> dict:
    """Failures of all units of a host over time."""
    return graph(
        "Failures by result",
        "Failed runs of units, by result.",
        [query(f"sum by (result) ({each(of('systemd_failures_total', hosts))})", "{{result}}")],
        8,
        bars=True,
        overrides=BY_RESULT,
    )


# === Variables, annotations, and the whole ===


def datasource() -> dict:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "options": [],
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
    }


def variable(name: str, label: str, values: str, many=False, all_of="", regex="", hide=0, chosen=None) -> dict:
    """A variable with values from Prometheus. `all_of` is the pattern for All. Without it, and with
    `many`, All is the list of values."""
    some = many or bool(all_of)
    everything = {"selected": True, "text": ["All"] if many else "All", "value": ["$__all"] if many else "$__all"}
    picked = {"selected": True, "text": [chosen], "value": [chosen]} if chosen else everything
    return (
        {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": DATASOURCE,
            "definition": values,
            "query": {"query": values, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "regex": regex,
            # 2: ask again when the time range changes, because units come and go.
            "refresh": 2,
            "sort": 1,
            "multi": many,
            "includeAll": some,
            "options": [],
            "hide": hide,
            # If one value must be selected, Grafana takes the first.
        }
        | ({"current": picked} if some else {})
        | ({"allValue": all_of} if all_of else {})
    )


def job() -> dict:
    """Jobs that serve systemd_up: the name of a job is up to the operator."""
    return variable("job", "Job", "label_values(systemd_up, job)", many=True)


def host() -> dict:
    return variable("instance", "Host", 'label_values(systemd_up{job=~"$job"}, instance)')


def annotation(name: str, expr: str, title: str, text: str, tags: str, color: str) -> dict:
    """A mark where the query is not 0, evaluated every minute."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": tags,
        "target": {"expr": expr, "interval": "1m", "refId": "Anno"},
    }


def reloads(hosts: str) -> dict:
    """Annotations for daemon-reloads."""
    return annotation(
        "Daemon-reloads",
        otherwise(f"sum by (instance) ({happened(of('systemd_reloads_total', hosts))}) > 0", "no reload"),
        "Daemon-reload on {{instance}}",
        "systemd reloaded its configuration.",
        "instance",
        "blue",
    )


def place(rows: list) -> list:
    """Sets the ids and positions of panels. Rows are (title, closed, [(height, panels)])."""
    placed, y, number = [], 0, 0
    for title, closed, lines in rows:
        inside = []
        if title:
            number += 1
            at = {"h": 1, "w": COLUMNS, "x": 0, "y": y}
            placed.append({"id": number, "type": "row", "title": title, "collapsed": closed, "panels": inside, "gridPos": at})
            y += 1
        for height, panels in lines:
            x = 0
            for one in panels:
                number += 1
                width = one["gridPos"]["w"]
                stands = {"id": number} | one | {"gridPos": {"h": height, "w": width, "x": x, "y": y}}
                (inside if closed else placed).append(stands)
                x += width
            y += height
    return placed


def dashboard(uid: str, title: str, description: str, variables: list, annotations: list, rows: list, since: str) -> dict:
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "annotations": {"list": annotations},
        "links": [
            {
                "title": "unitwatch",
                "type": "dashboards",
                "tags": [TAG],
                "asDropdown": False,
                "icon": "external link",
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "tooltip": "",
                "url": "",
            }
        ],
        "templating": {"list": variables},
        "panels": place(rows),
    }
