"""The schema of the log is true, whole and strict; tests elsewhere hold their lines against it."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema_rs import meta

from server.dev_issuer.faults import Mode
from server.jwks.outcomes import Result, Trigger
from server.jwks.snapshot import State
from server.logs import Level
from server.oauth.errors import Reason
from server.web.exchange import Exchange
from tests.log_schema import EVENTS, SCHEMA, check, check_captured
from tests.processes import ROOT

FIELDS = SCHEMA["$defs"]["fields"]

LINE: dict[str, Any] = {"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info"}
REFUSED = LINE | {
    "event": "request",
    "request_id": "id-1",
    "trace_id": "1" * 32,
    "span_id": "2" * 16,
    "http.request.method": "GET",
    "url.path": "/api/private",
    "http.route": "/api/private",
    "http.response.status_code": 403,
    "duration_ms": 0.1,
    "client.address": "::1",
    "auth.outcome": "refused",
    "auth.reason": "insufficient_scope",
    "auth.scopes_missing": ["read:messages"],
    "worker": 1,
}
LIBRARY = LINE | {"level": "error", "event": "text", "logger": "asyncio", "exception": "Traceback"}
ABSENT = object()


@pytest.mark.parametrize(
    "line",
    [
        REFUSED,
        LIBRARY,
        LINE | {"event": "server.stopped"},
        LINE | {"event": "config.reje…", "cut": True},
        LINE
        | {
            "level": "warning",
            "event": "log.repeated",
            "of": "a %s",
            "lines_held_back": 3,
            "logger": "aiohttp",
        },
    ],
)
def test_a_line_as_it_should_be_is_accepted(line: dict[str, Any]) -> None:
    check(line)


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (REFUSED, {"token": "x"}),
        (REFUSED, {"logger": "x"}),
        (REFUSED, {"auth.reason": "because"}),
        (REFUSED, {"auth.reason": ABSENT}),
        (REFUSED, {"auth.reason": "keys_unavailable"}),
        (REFUSED, {"auth.reason": "expired"}),
        (REFUSED, {"auth.outcome": "forgiven"}),
        (REFUSED, {"auth.outcome": "granted"}),
        (REFUSED, {"auth.outcome": "anonymous"}),
        (REFUSED, {"auth.outcome": "unavailable"}),
        (REFUSED, {"auth.scopes_missing": "read:messages"}),
        (REFUSED, {"auth.scopes_missing": []}),
        (REFUSED, {"auth.subject": None}),
        (REFUSED, {"trace_id": "1" * 31}),
        (REFUSED, {"span_id": ABSENT}),
        (REFUSED, {"trace_id": ABSENT}),
        (REFUSED, {"url.path": ABSENT}),
        (REFUSED, {"http.response.status_code": "403"}),
        (REFUSED, {"http.response.status_code": 42}),
        (REFUSED, {"duration_ms": -1}),
        (REFUSED, {"duration_ms": ABSENT}),
        (REFUSED, {"client.address": ""}),
        (REFUSED, {"request_id": "a b"}),
        (REFUSED, {"timestamp": "2026-01-01T00:00:00Z"}),
        (REFUSED, {"timestamp": "2026-13-01T00:00:00.000000Z"}),
        (REFUSED, {"timestamp": ABSENT}),
        (REFUSED, {"level": "debug"}),
        (REFUSED, {"level": ABSENT}),
        (REFUSED, {"worker": "1"}),
        (REFUSED, {"lines_held_back": 0}),
        (REFUSED, {"event": "requests"}),
        (REFUSED, {"event": ABSENT}),
        (LIBRARY, {"password": "x"}),
        (LIBRARY, {"logger": ABSENT}),
        (LIBRARY, {"level": "notice"}),
        (LIBRARY, {"exception": None}),
    ],
)
def test_a_line_that_is_not_is_refused(line: dict[str, Any], change: dict[str, Any]) -> None:
    changed = {name: value for name, value in (line | change).items() if value is not ABSENT}

    with pytest.raises(AssertionError, match=r"docs/log-schema\.json"):
        check(changed)


def test_what_a_test_captures_is_held_against_it_too() -> None:
    check_captured({"event": "server.stopped", "log_level": "info"})
    with pytest.raises(AssertionError):
        check_captured({"event": "server.stopped", "log_level": "info", "cause": "x"})


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_takes_no_field_that_it_does_not_have(name: str) -> None:
    own = EVENTS[name]

    assert own["unevaluatedProperties"] is False
    assert own["properties"]["event"] == {"const": name}
    assert {"$ref": f"#/$defs/events/{name}"} in SCHEMA["oneOf"]
    assert set(own.get("required", ())) <= set(own["properties"])


def test_it_is_a_schema_and_every_field_is_described_and_used() -> None:
    meta.validate(SCHEMA)
    parts = [SCHEMA["$defs"][part] for part in ("line", "library", "cut")]
    used = {name for part in [*parts, *EVENTS.values()] for name in part["properties"]}

    assert used == set(FIELDS)
    assert all(each["description"].endswith(".") for each in [*FIELDS.values(), *EVENTS.values()])


def test_its_closed_lists_are_those_of_the_code() -> None:
    assert FIELDS["auth.reason"]["enum"] == [str(each) for each in Reason]
    assert FIELDS["trigger"]["enum"] == [*map(str, Trigger), "store"]
    assert FIELDS["result"]["enum"] == [str(Result.OK), str(Result.NOT_MODIFIED)]
    assert FIELDS["level"]["enum"] == [*get_args(Level), "critical"]
    assert set(FIELDS["mode"]["enum"]) == {str(each) for each in Mode}
    outcomes = re.findall(r'Literal\["(anonymous)", "(.*?)"\]', inspect.getsource(Exchange))
    assert FIELDS["auth.outcome"]["enum"] == [outcomes[0][0], *outcomes[0][1].split('", "')]


_NAME = re.compile(r"(?:config|dev_issuer|jwks|log|server|tracing|worker)\.[a-z_]+|request")


def test_it_has_every_event_that_the_code_can_write_and_no_other() -> None:
    sources = sorted((ROOT / "server").rglob("*.py"))

    written = {name for source in sources for name in _events_in(source)}

    assert written == set(EVENTS)


def _events_in(source: Path) -> Iterator[str]:
    """Find the names that are given first to a call, or stand for ``event``."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(args=[ast.Constant(str(name)), *_]) if _NAME.fullmatch(name):
                yield name
            case ast.Call(args=[ast.JoinedStr([ast.Constant("jwks."), _]), *_]):
                yield from (f"jwks.{each}" for each in (State.STALE, State.EXPIRED))
            case ast.Dict(keys=[ast.Constant("event"), *_], values=[ast.Constant(str(name)), *_]):
                yield name
