"""The tables of docs/logging.md, made from the schema of the log; ``python -m`` writes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.log_schema import EVENTS, SCHEMA

PATH = Path(__file__).parent.parent / "docs/logging.md"

_FIELDS: dict[str, dict[str, Any]] = SCHEMA["$defs"]["fields"]
_LINE: dict[str, Any] = SCHEMA["$defs"]["line"]
_LIBRARY: dict[str, Any] = SCHEMA["$defs"]["library"]
_REQUEST = EVENTS["request"]
_OTHERS = {name: each for name, each in EVENTS.items() if name != "request"}
_MOST_WORDS = 5
_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "`true`, `false`",
    "array": "list of texts",
}


def render(page: str) -> str:
    """Write *page* anew, with its tables as the schema has them."""
    tables = {"line": _line_table, "request": _request_table, "events": _event_table}
    tables |= {"library": _library_table, "fields": _field_table}
    for name, table in tables.items():
        begin, end = f"<!-- {name}: make log-page -->\n", f"<!-- end of {name} -->\n"
        before, place, rest = page.partition(begin)
        _former, place_too, after = rest.partition(end)
        assert place, f"the page has no place for the table {name}"
        assert place_too, f"the page does not say where the table {name} ends"
        page = f"{before}{begin}\n{table()}\n{end}{after}"
    return page


def _line_table() -> str:
    return _fields_table(_LINE["properties"], required=_LINE["required"])


def _request_table() -> str:
    names = [name for name in _REQUEST["properties"] if name not in _LINE["properties"]]
    order = [name for name in _FIELDS if name in names and name != "lines_held_back"]
    return _fields_table([*order, "lines_held_back"], required=_REQUEST["required"])


def _library_table() -> str:
    own = [name for name in _LIBRARY["properties"] if name != "event"]
    return _fields_table(own, required=_LIBRARY["required"])


def _field_table() -> str:
    used = {name for each in _OTHERS.values() for name in each["properties"]}
    known = {*_LINE["properties"], *_LIBRARY["properties"], *_REQUEST["properties"]}
    return _fields_table(name for name in _FIELDS if name in used - known)


def _event_table() -> str:
    rows = (
        (
            f"`{name}`",
            ", ".join(each["properties"]["level"]["enum"]),
            _fields_of(each),
            each["description"],
        )
        for name, each in _OTHERS.items()
    )
    return _table(("event", "level", "fields", "what has happened, and what to do"), rows)


def _fields_of(event: Mapping[str, Any]) -> str:
    required = event.get("required", ())
    own = [name for name in event["properties"] if name not in {"event", "level"}]
    told = [name for name in own if name != "lines_held_back" or name in required]
    return " ".join(f"`{name}`" if name in required else f"(`{name}`)" for name in told)


def _fields_table(names: Iterable[str], *, required: Iterable[str] = ()) -> str:
    always = set(required)
    rows = (
        (
            f"`{name}`",
            _type_of(_FIELDS[name]),
            ("Always there. " if name in always else "") + _FIELDS[name]["description"],
        )
        for name in names
    )
    return _table(("field", "type", "what it says"), rows)


def _type_of(field: Mapping[str, Any]) -> str:
    match field:
        case {"enum": list(words)} if len(words) <= _MOST_WORDS:
            return " ".join(f"`{word}`" for word in words)
        case {"enum": _}:
            return "word"
        case {"const": True}:
            return "`true`"
    return _TYPES[field["type"]]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = "".join(f"| {' | '.join(row)} |\n" for row in (head, *rows))
    first, rest = lines.split("\n", 1)
    return f"{first}\n|{'---|' * len(head)}\n{rest}"


if __name__ == "__main__":
    PATH.write_text(render(PATH.read_text(encoding="utf-8")), encoding="utf-8")
