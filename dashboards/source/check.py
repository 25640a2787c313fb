"""Checks a dashboard's JSON for what Grafana needs, and for the rules of these dashboards.

Grafana accepts nearly anything and then shows a broken or empty panel, so anything not known to be right
is an error here.
"""

import re

COLUMNS = 24
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Only Grafana's units that are in use.
UNITS = {"none", "short", "s", "dateTimeFromNow", "percentunit", "bytes", "Bps", "cps"}
COLORS = re.compile(r"#[0-9a-f]{6}|text|(?:(?:super-light|light|semi-dark|dark)-)?(?:red|orange|yellow|green|blue|purple)")
# Panel types by query: over time, now, or now as rows of a table.
KINDS = {"timeseries": "over time", "state-timeline": "over time", "stat": "now", "bargauge": "now", "table": "rows"}
OPTIONS = {
    "timeseries": {"legend", "tooltip"},
    "state-timeline": {"alignValue", "legend", "mergeValues", "rowHeight", "showValue", "tooltip"},
    "stat": {"colorMode", "graphMode", "justifyMode", "orientation", "percentChangeColorMode", "reduceOptions"},
    "bargauge": {
        "displayMode",
        "maxVizHeight",
        "minVizHeight",
        "minVizWidth",
        "namePlacement",
        "orientation",
        "reduceOptions",
        "showUnfilled",
        "sizing",
        "valueMode",
    },
    "table": {"cellHeight", "frameIndex", "showHeader", "sortBy"},
}
DASHBOARD = {
    "uid": str,
    "title": str,
    "description": str,
    "tags": list,
    "schemaVersion": int,
    "version": int,
    "editable": bool,
    "graphTooltip": int,
    "timezone": str,
    "refresh": str,
    "time": dict,
    "timepicker": dict,
    "fiscalYearStartMonth": int,
    "annotations": dict,
    "links": list,
    "templating": dict,
    "panels": list,
}
PANEL = {
    "id": int,
    "type": str,
    "title": str,
    "description": str,
    "datasource": dict,
    "gridPos": dict,
    "fieldConfig": dict,
    "options": dict,
    "targets": list,
}
ROW = {"id": int, "type": str, "title": str, "collapsed": bool, "panels": list, "gridPos": dict}
TARGET = {"refId": str, "datasource": dict, "editorMode": str, "expr": str, "legendFormat": str, "range": bool}
VARIABLE = {
    "name": str,
    "label": str,
    "type": str,
    "query": object,
    "regex": str,
    "refresh": int,
    "multi": bool,
    "includeAll": bool,
    "options": list,
    "hide": int,
}
ANNOTATION = {
    "name": str,
    "datasource": dict,
    "enable": bool,
    "hide": bool,
    "iconColor": str,
    "titleFormat": str,
    "textFormat": str,
    "tagKeys": str,
    "target": dict,
}
LINK = {"title": str, "type": str, "tags": list, "asDropdown": bool, "icon": str, "includeVars": bool, "keepTime": bool}
OPTIONS["stat"] |= {"showPercentChange", "textMode", "wideLayout"}
LINK |= {"targetBlank": bool, "tooltip": str, "url": str}
DEFAULTS = {"color": dict, "mappings": list, "thresholds": dict, "unit": str}
OVERRIDES = {
    "color",
    "custom.cellOptions",
    "custom.fillOpacity",
    "custom.lineStyle",
    "custom.width",
    "decimals",
    "links",
    "mappings",
}
OVERRIDES |= {"thresholds", "unit"}

# A variable in a query or a link, with the matcher before it if it is a label value.
USE = re.compile(r'(?:(=~|!~|!=|=)")?\$(?:\{(\w[\w.]*)(?::\w+)?\}|(\w+))')
GIVEN = {"__interval", "__rate_interval", "__range"}
IN_LINKS = re.compile(r"__url_time_range|__data\.fields\.\w+|__field\.labels\.\w+")


class Check:
    """The check of one dashboard."""

    def __init__(self, name: str, board: dict, boards: dict):
        self.name, self.board, self.boards = name, board, boards
        self.wrong = []
        self.place = ""
        self.used = set()

    def want(self, right: bool, words: str) -> bool:
        if not right:
            self.wrong.append(f"{self.name}: {self.place}{words}")
        return right

    def keys(self, what: dict, needed: dict, *allowed: str) -> bool:
        """Whether all needed keys are there, with the right types, and no unknown ones."""
        missing = needed.keys() - what.keys()
        unknown = what.keys() - needed.keys() - set(allowed)
        # In Python, True is an int.
        typed = {
            key
            for key, kind in needed.items()
            if key in what and (not isinstance(what[key], kind) or kind is int and what[key] is True)
        }
        return all(
            [
                self.want(not missing, f"has no {sorted(missing)}"),
                self.want(not unknown, f"has unknown keys {sorted(unknown)}"),
                self.want(not typed, f"has the wrong type in {sorted(typed)}"),
            ]
        )

    # === Dashboard ===

    def run(self) -> list[str]:
        board = self.board
        if not self.keys(board, DASHBOARD):
            return self.wrong
        self.want(re.fullmatch(r"[a-z][a-z0-9-]{0,39}", board["uid"]) is not None, f"uid {board['uid']!r}")
        self.want(board["schemaVersion"] >= 39, f"schemaVersion {board['schemaVersion']} is older than these panels")
        self.want(board["time"].keys() == {"from", "to"}, "time needs exactly from and to")
        self.want(bool(board["title"] and board["description"]), "has no title or description")
        self.variables()
        for panel in self.panels():
            self.place = f"panel {panel.get('id')} ({panel.get('title')}): "
            self.panel(panel)
        for annotation in board["annotations"]["list"]:
            self.place = f"annotation {annotation.get('name')}: "
            if self.keys(annotation, ANNOTATION) and self.keys(
                annotation["target"], {"expr": str, "interval": str, "refId": str}
            ):
                self.want(annotation["datasource"] == DATASOURCE, "uses another data source")
                self.color(annotation["iconColor"])
                self.query(annotation["target"]["expr"])
        self.place = ""
        self.want(len(board["annotations"]["list"]) > 0, "has no annotations")
        for link in board["links"]:
            if self.keys(link, LINK):
                led = [other["uid"] for other in self.boards.values() if set(link["tags"]) & set(other.get("tags", []))]
                self.want(link["type"] == "dashboards" and len(led) > 1, f"the link {link['title']} has no other dashboard")
        self.want(len(board["links"]) > 0, "has no links to the other dashboards")
        idle = self.known.keys() - self.used - {"datasource"}
        self.want(not idle, f"has unused variables: {sorted(idle)}")
        return self.wrong

    # === Variables ===

    def variables(self) -> None:
        self.known = {}
        for variable in self.board["templating"]["list"]:
            self.place = f"variable {variable.get('name')}: "
            asks = variable.get("type") == "query"
            if not self.keys(
                variable, VARIABLE, "allValue", "current", *(("datasource", "definition", "sort") if asks else ())
            ):
                continue
            self.want(variable["name"] not in self.known, "is defined twice")
            self.want(
                variable["hide"] in (0, 2) and bool(variable["label"]) == (variable["hide"] == 0),
                "needs a label if it is shown, and no label if it is hidden",
            )
            self.want(variable["includeAll"] or not variable["multi"], "allows several values but not All")
            if asks:
                self.want(variable.get("datasource") == DATASOURCE, "uses another data source")
                self.want(
                    variable["query"].get("query") == variable.get("definition"), "has a definition that differs from its query"
                )
                self.want(
                    re.fullmatch(r"label_values\(.+, \w+\)", variable["definition"]) is not None,
                    f"has the query {variable['definition']}, not label_values(METRIC, LABEL)",
                )
                self.want(variable["refresh"] == 2, "is not refreshed when the time range changes")
                # At this point only the variables before it are known.
                self.query(variable["definition"])
                if variable["regex"]:
                    captures = re.fullmatch(r"/.*\(.+\).*/", variable["regex"]) is not None
                    self.want(captures, "has a regex without a capture group")
            else:
                self.want(variable["type"] == "datasource" and variable["query"] == "prometheus", f"type {variable['type']}")
            self.known[variable["name"]] = variable
        self.place = ""
        self.want(next(iter(self.known), None) == "datasource", "the data source is not the first variable")

    def query(self, expr: str) -> None:
        """Checks the variables of a query. Grafana escapes values for =~ if there may be several, otherwise
        for =."""
        self.want(bool(expr.strip()), "has an empty query")
        for matcher, braced, bare in USE.findall(expr):
            name = braced or bare
            self.used.add(name)
            if name in GIVEN:
                self.want(not matcher, f"uses {name} as a label value")
            elif self.want(name in self.known, f"there is no variable {name}"):
                pattern = self.known[name]["includeAll"]
                self.want(matcher == ("=~" if pattern else "="), f"${name} is matched by {matcher or 'nothing'}")

    # === Panels ===

    def panels(self) -> list:
        """All panels except rows. Checks their positions."""
        found, ids, titles, taken = [], set(), set(), {}

        def placed(panel: dict, needed: dict, *allowed: str) -> bool:
            self.place = f"panel {panel.get('id')} ({panel.get('title')}): "
            if not self.keys(panel, needed, *allowed):
                return False
            self.want(panel["id"] > 0 and panel["id"] not in ids, "has the id of another panel")
            ids.add(panel["id"])
            self.want(bool(panel["title"]) and panel["title"] not in titles, "has the title of another panel")
            titles.add(panel["title"])
            at = panel["gridPos"]
            if not self.want(
                at.keys() == {"h", "w", "x", "y"} and all(type(it) is int for it in at.values()), f"has the position {at}"
            ):
                return False
            inside = at["x"] >= 0 and at["y"] >= 0 and at["w"] > 0 and at["h"] > 0 and at["x"] + at["w"] <= COLUMNS
            self.want(inside, f"is outside the {COLUMNS} columns")
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                if not self.want(cell not in taken, f"overlaps {taken.get(cell)!r}"):
                    break
                taken[cell] = panel["title"]
            return True

        for panel in self.board["panels"]:
            if panel.get("type") != "row":
                if placed(panel, PANEL, "maxDataPoints", "transformations"):
                    found.append(panel)
            elif placed(panel, ROW):
                at = panel["gridPos"]
                self.want((at["x"], at["w"], at["h"]) == (0, COLUMNS, 1), "a row is 24 columns wide and 1 high")
                self.want(bool(panel["panels"]) == panel["collapsed"], "only a collapsed row contains panels")
                found += [inner for inner in panel["panels"] if placed(inner, PANEL, "maxDataPoints", "transformations")]
        return found

    def panel(self, panel: dict) -> None:
        if not self.want(panel["type"] in KINDS, f"is a {panel['type']}"):
            return
        asked = KINDS[panel["type"]]
        self.want(bool(panel["description"]), "has no description")
        self.want(panel["datasource"] == DATASOURCE, "uses another data source")
        self.keys(panel["options"], dict.fromkeys(OPTIONS[panel["type"]], object))
        letters = [target.get("refId") for target in panel["targets"]]
        self.want(letters == [chr(ord("A") + index) for index in range(len(letters))] and letters, f"has queries {letters}")
        for target in panel["targets"]:
            if self.keys(target, TARGET, "instant", "format"):
                self.want(target["datasource"] == DATASOURCE, "uses another data source")
                of = "over time" if target["range"] else "rows" if target.get("format") == "table" else "now"
                self.want(target["range"] != target.get("instant", False), "needs a range or an instant query, not both")
                self.want(of == asked, f"queries {of} but shows {asked}")
                self.query(target["expr"])
        if self.keys(panel["fieldConfig"], {"defaults": dict, "overrides": list}):
            self.fields(panel)
        self.want(("transformations" in panel) == (asked == "rows"), "only a table has transformations")
        for each in panel.get("transformations", []):
            self.want(each["id"] in ("merge", "organize"), f"transforms by {each['id']}")
            shown = each["options"].get("renameByName", {})
            # With the label of the fallback series.
            values = {"absent"} | {f"Value #{letter}" for letter in letters} | ({"Value"} if len(letters) == 1 else set())
            self.want(each["id"] == "merge" or shown.keys() == values, f"names the columns {sorted(shown)}")

    def fields(self, panel: dict) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        if self.keys(defaults, DEFAULTS, "custom", "decimals", "links", "min"):
            for key, value in defaults.items():
                self.property(key, value)
        for override in panel["fieldConfig"]["overrides"]:
            if not self.keys(override, {"matcher": dict, "properties": list}):
                continue
            self.want(
                override["matcher"].get("id") in ("byName", "byRegexp") and bool(override["matcher"].get("options")),
                f"overrides by {override['matcher']}",
            )
            for each in override["properties"]:
                if self.keys(each, {"id": str, "value": object}) and self.want(
                    each["id"] in OVERRIDES, f"overrides {each['id']}"
                ):
                    self.property(each["id"], each["value"])

    def property(self, key: str, value) -> None:
        if key == "unit":
            self.want(value in UNITS, f"unit {value!r}")
        elif key == "color":
            self.want(value["mode"] in ("thresholds", "palette-classic", "fixed"), f"has the colour mode {value['mode']}")
            if value["mode"] == "fixed":
                self.color(value.get("fixedColor"))
        elif key == "thresholds":
            values = [step["value"] for step in value["steps"]]
            self.want(
                value["mode"] == "absolute" and values[:1] == [None] and values[1:] == sorted(set(values[1:])),
                f"thresholds {values}",
            )
            for step in value["steps"]:
                self.color(step["color"])
        elif key == "mappings":
            for each in value:
                self.want(each.get("type") == "value", f"maps by {each.get('type')}")
                for of, shown in each["options"].items():
                    self.want(re.fullmatch(r"-?\d+", of) is not None and bool(shown.get("text")), f"maps {of!r} to {shown}")
                    if "color" in shown:
                        self.color(shown["color"])
        elif key == "links":
            for each in value:
                self.link(each)

    def color(self, color: str) -> None:
        self.want(isinstance(color, str) and COLORS.fullmatch(color) is not None, f"colour {color!r}")

    def link(self, link: dict) -> None:
        """A link must name an existing dashboard, and variables that exist on both."""
        if not self.keys(link, {"title": str, "url": str}):
            return
        path, _, given = link["url"].partition("?")
        led = {f"/d/{board.get('uid')}": board for board in self.boards.values()}.get(path)
        if not self.want(led is not None, f"links to {path}, which does not exist"):
            return
        there = {variable["name"] for variable in led["templating"]["list"]}
        for part in given.split("&"):
            if part.startswith("var-"):
                self.want(part[4:].partition("=")[0] in there, f"{path} has no variable for {part}")
        for _, braced, bare in USE.findall(given):
            name = braced or bare
            self.used.add(name)
            self.want(name in self.known or IN_LINKS.fullmatch(name) is not None, f"links with an unknown variable {name}")


def check(boards: dict) -> list[str]:
    """Errors in dashboards, by file name."""
    wrong = []
    for name, board in boards.items():
        wrong += Check(name, board, boards).run()
    for key in ("uid", "title"):
        values = [board.get(key) for board in boards.values()]
        if len(set(values)) != len(values):
            wrong.append(f"two dashboards have one {key}: {values}")
    return wrong
