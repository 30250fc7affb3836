"""Each request beside its line in the log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator

from bench.soak.client import Record
from bench.soak.server import Series

_TRICKLED = 408

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the end; *kills* as in Troubles."""

    records: Sequence[Record]
    lines: Sequence[Line]
    metrics: Mapping[Series, float]
    kills: Sequence[tuple[float, int]]


@dataclass
class Ledger:
    """
    Requests by what became of their lines.

    Attributes:
        lines: those that a client knows of, by their names.
        missing: answered, and no line of it.
        doubled: names with more than one line.
        different: whose line tells of another status than the client saw.
    """

    lines: dict[str, Line] = field(default_factory=dict)
    missing: list[Record] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def read(raw: Iterable[bytes], schema: dict[str, Any]) -> tuple[list[Line], list[str]]:
    """Read log lines; gives them, and what is wrong with those that the schema refuses."""
    validator = Draft202012Validator(schema)
    lines, faults = [], []
    for each in raw:
        try:
            line = orjson.loads(each)
        except orjson.JSONDecodeError:
            faults.append(f"no JSON: {each[:80]!r}")
            continue
        lines.append(line)
        faults += [f"{line.get('event')}: {error.message}" for error in validator.iter_errors(line)]
    return lines, faults


def enter(evidence: Evidence) -> Ledger:
    """Find the line of each request."""
    ledger = Ledger()
    trickled = 0
    for line in evidence.lines:
        if line["event"] != "request":
            continue
        name = line["request_id"]
        if line["http.response.status_code"] == _TRICKLED:
            # It had not got as far as to have a name of its own.
            name = ""
            trickled += 1 + line.get("lines_held_back", 0)
        elif name in ledger.lines:
            ledger.doubled.append(name)
        ledger.lines[name] = line
    nameless = [each for each in evidence.records if not each.name and each.status is not None]
    ledger.missing += nameless[trickled:]
    for record in evidence.records:
        if not record.name or record.status is None:
            continue
        found = ledger.lines.get(record.name)
        if found is None:
            ledger.missing.append(record)
        elif found["http.response.status_code"] != record.status:
            ledger.different.append(record.name)
    return ledger
