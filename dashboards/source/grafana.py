"""What the dashboards are made of, as Grafana's JSON wants it (the classic model).

A dashboard is a list of rows, a row is a list of lines, a line is a list of panels beside each
other; where they come to stand follows from their widths and the line's height.
"""

from promql import ABSENT, HIDDEN_STATES, UNIT_STATES, each, either, happened, of, otherwise

SCHEMA = 39
TAG = "unitwatch"
COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# The legend of what may be an answer or its absence.
OR_ABSENT = "{{%s}}" % ABSENT

# === Queries ===


def query(expr: str, legend: str = "", **further) -> dict:
    """One that is asked for each point of a graph."""
    return {"datasource": DATASOURCE, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": True} | further


def now(expr: str, legend: str = "") -> dict:
    """One that is asked for the end of the dashboard's time."""
    return query(expr, legend) | {"range": False, "instant": True}


def column(expr: str) -> dict:
    """One whose answer is rows of a table."""
    return now(expr) | {"format": "table"}


# === How values look ===


def steps(*limits: tuple) -> dict:
    """Colours from values on; the first has None."""
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in limits]}


CALM = steps((None, "text"))
BAD = steps((None, "green"), (1, "red"))
ODD = steps((None, "green"), (1, "orange"))


def words(names: dict) -> list:
    """Values by what is shown for them: a text, or a text and its colour."""
    options = {}
    for index, (value, name) in enumerate(names.items()):
        text, color = name if isinstance(name, tuple) else (name, None)
        options[str(value)] = {"index": index, "text": text} | ({"color": color} if color else {})
    return [{"type": "value", "options": options}]


def states(known: list, *further: tuple) -> list:
    """The names and colours of numbered states."""
    return words({number: (name, color) for number, name, *_, color in [*known, *further]})


def override(name: str, **properties) -> dict:
    """What one column or series has of its own; a property's dots are written as double underscores."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def colored(colors: dict) -> list:
    return [override(name, color={"mode": "fixed", "fixedColor": color}) for name, color in colors.items()]


# The same thing has the same colour in each graph.
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
    """The names and colours of what unit_state() of promql.py has."""
    return states([*UNIT_STATES, *HIDDEN_STATES], *further)


def colors_of(known: list) -> list:
    """Of states, by the names that they have for systemd."""
    return colored({word: color for _, _, words, color in known for word in words.split("|")})


# === Links ===

TIME = "${__url_time_range}"


def link(title: str, uid: str, **variables: str) -> dict:
    """One that keeps the data source and the time."""
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
    """The one number, or the text in its place."""
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
    """Values over time, at few points where each is costly. Bars are counts between one point and the next, and so few, too."""
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
    """States over time, a line each."""
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
    """A bar for each series, the longest first where the query sorts them so."""
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
    """Rows of labels and values: a column of values for each query, under its name."""
    names = list(columns)
    renamed = {f"Value #{chr(ord('A') + index)}": name for index, name in enumerate(names)}
    if len(names) == 1:
        # Then Grafana leaves the letter out.
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
    """A row for each problem, and what systemd says of it."""
    labels = ["problem", "name", "type", "load_state", "error", "reason", "result"]
    rows = f"group by ({', '.join(labels)}) {either(*problems)}"
    return table(
        "What is wrong now",
        description,
        {"Units": otherwise(rows, "nothing is wrong")},
        width,
        sort="problem",
        order=labels,
        hidden=["Value", "Value #A", *hidden],
        overrides=overrides,
    )


def cells(name: str, **properties) -> dict:
    """A column whose text has the colour of its value."""
    return override(name, custom__cellOptions={"type": "color-text"}, **properties)


def linked(name: str, to: dict, width: int) -> dict:
    """A column that leads to another dashboard."""
    return override(name, links=[to], custom__width=width)


def failures(hosts: str) -> dict:
    """The failures of all units of a host, over time."""
    return graph(
        "Failures by result",
        "Runs of units that failed, by what systemd says of their end.",
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
    """One whose values Prometheus knows. `all_of` is the pattern that All stands for; where many
    may be chosen and there is none, All is the list of them."""
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
            # When the time changes: units come and go.
            "refresh": 2,
            "sort": 1,
            "multi": many,
            "includeAll": some,
            "options": [],
            "hide": hide,
            # Where one has to be chosen, Grafana takes the first.
        }
        | ({"current": picked} if some else {})
        | ({"allValue": all_of} if all_of else {})
    )


def job() -> dict:
    """By what an exporter serves and not by a name, which is anybody's choice."""
    return variable("job", "Job", "label_values(systemd_up, job)", many=True)


def host() -> dict:
    return variable("instance", "Host", 'label_values(systemd_up{job=~"$job"}, instance)')


def annotation(name: str, expr: str, title: str, text: str, tags: str, color: str) -> dict:
    """A mark where the query is 1, which is asked each minute."""
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
    """The daemon-reloads of hosts."""
    return annotation(
        "Daemon-reloads",
        otherwise(f"sum by (instance) ({happened(of('systemd_reloads_total', hosts))}) > 0", "no reload"),
        "Daemon-reload on {{instance}}",
        "systemd has read its configuration again.",
        "instance",
        "blue",
    )


def place(rows: list) -> list:
    """Numbers the panels and gives each its place: rows are (title, closed, [(height, panels)])."""
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
