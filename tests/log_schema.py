"""The schema of the log, and what holds lines against it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.logs.rendering import JSONRenderer

PATH = Path(__file__).parent.parent / "docs/log-schema.json"
SCHEMA: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
EVENTS: dict[str, dict[str, Any]] = SCHEMA["$defs"]["events"]

_line = Draft202012Validator(SCHEMA, validate_formats=True)
_render = JSONRenderer()


def check(line: object) -> None:
    """Hold *line* against the schema; say what is wrong with it."""
    assert _line.is_valid(line), f"not as docs/log-schema.json has it: {line}\n{_faults(line)}"


def check_captured(event: EventDict) -> None:
    """Hold an event that a test has captured against it, as it would be written."""
    fields = dict(event)
    level = fields.pop("log_level")
    # What was being handled is no more.
    if fields.pop("exc_info", None):
        fields["exception"] = "Traceback …"
    check(json.loads(_render(None, level, fields)))


@contextmanager
def captured() -> Iterator[list[EventDict]]:
    """Capture what is logged; at the end all of it is held against the schema."""
    everything: list[EventDict] = []

    def remember(_logger: object, level: str, event: EventDict) -> EventDict:
        everything.append({**event, "log_level": level})
        return event

    with capture_logs(processors=[remember]) as events:
        yield events
    for each in everything:
        check_captured(each)


def check_output(lines: Iterable[str]) -> None:
    """Hold those lines of a process against it that are JSON objects."""
    for line in lines:
        if line.startswith("{"):
            check(json.loads(line))


def _faults(line: object) -> str:
    name = line.get("event") if isinstance(line, Mapping) else None
    part = f"events/{name}" if name in EVENTS else "library"
    own = Draft202012Validator(
        {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]}, validate_formats=True
    )
    return "\n".join(str(error.message) for error in own.iter_errors(line))
