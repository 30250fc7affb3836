"""The metrics that the server exposes, read from its sources; and those that a text speaks of."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from prometheus_client.parser import text_string_to_metric_families

from server.metrics import Metrics
from server.web.metrics_page import render
from tests.processes import ROOT

_ENDINGS = {"COUNTER": ["_total"], "GAUGE": [""], "HISTOGRAM": ["_bucket", "_count", "_sum"]}
_OF_THE_TARGET = {"job", "instance"}
# A recorded series; or a metric of ours, of HTTP or of a process.
_NAME = re.compile(r"[a-z]\w*(?::\w+)+|\b(?:keyturn|http_server|process)_\w+")
_SELECTOR = re.compile(rf"({_NAME.pattern})\s*{{([^}}]*)}}")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


@cache
def exposed() -> dict[str, set[str]]:
    """Give the names of all series with their labels."""
    found: dict[str, set[str]] = {}
    for source in (ROOT / "server").rglob("*.py"):
        text = source.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "Family(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Family":
                found.update(_series(node))
    page = render(Metrics()).decode()
    for family in text_string_to_metric_families(page):
        found.update({sample.name: {"worker"} for sample in family.samples})
    return found


def _series(call: ast.Call) -> Iterator[tuple[str, set[str]]]:
    given = dict(zip(("name", "help", "kind", "labels"), call.args, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg}
    labels = set(ast.literal_eval(given["labels"])) if "labels" in given else set()
    kind = ast.unparse(given["kind"]).removeprefix("Kind.")
    for ending in _ENDINGS[kind]:
        name = str(ast.literal_eval(given["name"])) + ending
        yield name, labels | ({"le"} if ending == "_bucket" else set())


def named(expression: str) -> set[str]:
    """Give the names of the series that *expression* reads."""
    return set(_NAME.findall(expression))


def wrong_labels(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Give what *expression* selects by that its series do not have."""
    return [
        f"{name}{{{label}}}"
        for name, selector in _SELECTOR.findall(expression)
        for label in _LABEL.findall(selector)
        if name in known and label not in known[name] | _OF_THE_TARGET
    ]
