"""The dashboards' queries, with variables replaced as Grafana does."""

import json
import re

import exposition
from alertmanager import ROOT

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("*.json"))}


def word(value: str) -> str:
    """A value in place of a variable that has one: within quotes."""
    return value.replace("\\", "\\\\").replace("'", "\\\\'")


def pattern(value: str) -> str:
    """One of a variable that may have more: within quotes, and a pattern."""
    return re.sub(r"[$^*{}\[\]+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def written(variable: dict, value) -> str:
    """What a query has in place of a variable; a list of values is what All is where there is no
    pattern for it, or several chosen values."""
    if value == "$__all":
        return variable["allValue"]
    if isinstance(value, list):
        return pattern(value[0]) if len(value) == 1 else "(" + "|".join(map(pattern, value)) + ")"
    return pattern(value) if variable["includeAll"] else word(value)


def filled(text: str, values: dict) -> str:
    """The text with all variables replaced; one that is not known stops the judge."""

    def value(found: re.Match) -> str:
        name = found[1] or found[2]
        if name not in values:
            raise exposition.Unacceptable(f"there is no variable {name} in {text}")
        return values[name]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)


def panels(board: str) -> list[dict]:
    """All panels of a dashboard, those of closed rows included."""
    shown = BOARDS[board]["panels"]
    return [*shown, *(inner for panel in shown for inner in panel.get("panels", []))]


def queries(board: str) -> list[tuple]:
    """The queries of a dashboard: place, expression, how, and the panel's limit of points."""
    found = []
    for panel in panels(board):
        for target in panel.get("targets", []):
            how = "query_range" if target["range"] else "query"
            found.append(((board, panel["title"], target["refId"]), target["expr"], how, panel.get("maxDataPoints")))
    for annotation in BOARDS[board]["annotations"]["list"]:
        found.append(((board, annotation["name"], "annotation"), annotation["target"]["expr"], "annotation", None))
    return found
