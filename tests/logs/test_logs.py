import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from server import logs
from server.logs import LogSettings, configure
from server.logs.rendering import JSONRenderer
from tests.minting import token

Read = Callable[[], str]


@pytest.fixture(autouse=True)
def _leave_no_trace() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.close()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def read(capfdbinary: pytest.CaptureFixture[bytes]) -> Read:
    def out() -> str:
        assert logs.flush()
        return capfdbinary.readouterr().out.decode()

    return out


def setup(**settings: Any) -> None:
    configure(LogSettings(**settings))


def test_a_line_is_one_json_object(read: Read) -> None:
    setup(format="json")

    structlog.get_logger().info("server.started", issuers=["a"])

    (line,) = read().splitlines()
    event = json.loads(line)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])
    assert (event["level"], event["event"], event["issuers"]) == ("info", "server.started", ["a"])


@pytest.mark.parametrize(
    "value",
    [
        "\udc80",
        "a\ud800b",
        2**70,
        ["\udc80"],
        {"\udfff": ("\udc80",)},
        "\x00\n\x1b[31m",
        {1: 2},
        "\x7f",
        "\x9b31m",
        "\u2028",
        "\u202e",
        "\u061c",
        "\ufeff",
        "\U000e0041",
    ],
)
def test_whatever_a_client_sent_is_one_line_of_json_in_utf_8(read: Read, value: Any) -> None:
    setup(format="json")

    structlog.get_logger().info("request", field=value)

    (line,) = read().splitlines()
    assert "field" in json.loads(line)
    assert line.isprintable()


def test_elsewhere_than_on_a_terminal_lines_are_json(read: Read) -> None:
    setup()

    structlog.get_logger().info("x")

    assert json.loads(read())["event"] == "x"


def test_less_than_the_level_is_not_written(read: Read) -> None:
    setup(format="json", level="warning")

    structlog.get_logger().info("x")
    structlog.get_logger().warning("y")

    assert [json.loads(line)["event"] for line in read().splitlines()] == ["y"]


REQUEST = {
    "http.request.method": "GET",
    "url.path": "/api/private",
    "http.route": "/api/private",
    "http.response.status_code": 401,
    "duration_ms": 1.5,
    "client.address": "127.0.0.1",
    "auth.outcome": "refused",
    "auth.reason": "expired",
}


def test_on_a_console_a_request_is_read_at_a_glance(read: Read) -> None:
    setup(format="console")

    structlog.get_logger().info("request", **REQUEST)

    line = read()
    assert "401 GET /api/private expired ms=1.5" in line
    assert "client.address" not in line
    assert line.count("\n") == 1


def test_on_a_console_what_a_client_sent_cannot_drive_the_terminal(read: Read) -> None:
    setup(format="console")

    structlog.get_logger().info("request", **REQUEST | {"auth.subject": "\x1b[2J\nforged line"})
    structlog.get_logger().info("request", **REQUEST | {"url.path": "/\x9b2J\x1b[2J\n"})
    structlog.get_logger().info("other", field="\x1b[2J\r")

    lines = read()
    assert "\x1b" not in lines
    assert "\x9b" not in lines
    assert lines.count("\n") == 3


def test_on_a_console_a_traceback_shows_no_variables(read: Read) -> None:
    setup(format="console")
    token = "eyJ.s3cret"

    try:
        raise ValueError(len(token))
    except ValueError:
        structlog.get_logger().exception("server.error")

    assert "ValueError" in (lines := read())
    assert "eyJ.s3cret" not in lines.replace('token = "eyJ.s3cret"', "")


@pytest.mark.parametrize(
    "fields",
    [
        {"url.path": "/" + "x" * 8000},
        {"a": "\x00" * 5000, "b": "é" * 5000},
        {"a": ["x" * 3000] * 3},
        {"a": [["x"] * 100] * 100, "b": {"c": "d" * 5000}},
        {f"field {number}": "x" * 100 for number in range(100)},
        {f"field {number}": 1 for number in range(1000)},
        {"a": "\udc80" * 9000},
    ],
)
def test_a_line_fits_into_what_is_written_in_one_piece(read: Read, fields: dict[str, Any]) -> None:
    setup(format="json")

    structlog.get_logger().info("request", **fields, last=1)

    (line,) = read().splitlines()
    assert json.loads(line)["event"] == "request"
    assert len(line.encode()) < 4096


def test_a_long_list_of_a_line_that_is_too_long_is_a_list_still(read: Read) -> None:
    setup(format="json")

    structlog.get_logger().error("config.rejected", faults=["x" * 400] * 30)

    faults = json.loads(read())["faults"]
    assert len(faults) == 21
    assert faults[-1] == "…"


def test_no_token_gets_out_in_the_text_of_an_exception(read: Read) -> None:
    compact = token()
    for form in ("json", "console"):
        setup(format=form)
        try:
            raise ValueError(f"cannot decode {compact!r}")
        except ValueError:
            structlog.get_logger().exception("server.error")

    lines = read()

    assert lines.count("cannot decode '[redacted]'") == 2
    assert not any(part in lines for part in compact.split("."))


def test_on_a_console_the_text_of_an_exception_cannot_drive_the_terminal(read: Read) -> None:
    setup(format="console")

    try:
        raise ValueError("\x1b[2J\u202e")
    except ValueError:
        structlog.get_logger().exception("server.error")

    assert "ValueError: \\x1b[2J\\u202e" in read()


def test_a_long_traceback_keeps_its_end(read: Read) -> None:
    setup(format="json")

    try:
        raise ValueError("x" * 10_000 + " the cause")
    except ValueError:
        structlog.get_logger().exception("server.error", request_id="r")

    event = json.loads(read())
    assert event["exception"].startswith("Traceback")
    assert event["exception"].endswith("the cause")
    assert event["request_id"] == "r"


def test_each_second_has_its_date() -> None:
    now = 1_700_000_000.25
    render = JSONRenderer(clock=lambda: now)

    assert b'"2023-11-14T22:13:20.250000Z"' in render(None, "info", {"event": "x"})
    now += 1
    assert b'"2023-11-14T22:13:21.250000Z"' in render(None, "info", {"event": "x"})


@pytest.mark.parametrize("settings", [{"format": "json"}, {"format": "console"}])
def test_emit_writes_what_the_logger_writes(read: Read, settings: dict[str, str]) -> None:
    setup(level="warning", **settings)

    logs.emit("info", {"event": "held back"})
    logs.emit("warning", {"event": "told", "field": 1})
    logs.get().warning("told", field=1)

    first, second = (re.sub(r"\d\d:\d\d:[\d.]+", "", line) for line in read().splitlines())
    assert first == second
    assert "told" in first


def test_what_is_emitted_can_be_captured() -> None:
    setup(format="json")

    with capture_logs() as events:
        logs.emit("info", {"event": "x", "field": 1})
        logs.get().info("y")

    assert events == [
        {"event": "x", "field": 1, "log_level": "info"},
        {"event": "y", "log_level": "info"},
    ]


def test_the_logger_obeys_whoever_configured_last(read: Read) -> None:
    setup(format="json", level="error")
    logs.get().info("held back")
    setup(format="json", level="info")

    logs.get().info("told")

    assert json.loads(read())["event"] == "told"


def test_configuring_anew_loses_no_line(read: Read) -> None:
    setup(format="json")
    structlog.get_logger().info("x")
    setup(format="console")
    structlog.get_logger().info("y")

    first, second = read().splitlines()
    assert json.loads(first)["event"] == "x"
    assert "y" in second


def test_without_a_thread_lines_are_written_at_once(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    configure(LogSettings(format="json"), threaded=False)

    structlog.get_logger().info("x")

    assert json.loads(capfdbinary.readouterr().out)["event"] == "x"
