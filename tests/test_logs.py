import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from server import logs
from server.logs import LogSettings, configure

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


def test_what_libraries_log_has_the_same_form(read: Read) -> None:
    setup(format="json")

    logging.getLogger("aiohttp.server").error("a %s", "fault")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("asyncio").exception("crash")

    fault, crash = map(json.loads, read().splitlines())
    assert (fault["event"], fault["logger"], fault["level"]) == (
        "a fault",
        "aiohttp.server",
        "error",
    )
    assert "ValueError: x" in crash["exception"]


def test_what_libraries_tell_of_their_work_is_not_written(read: Read) -> None:
    setup(format="json", level="debug")

    logging.getLogger("authlib.oauth2").debug("Issue token %r", {"access_token": "s3cret"})
    logging.getLogger("authlib.oauth2").info("Issue token %r", {"access_token": "s3cret"})

    assert read() == ""


def test_warnings_have_the_same_form(read: Read) -> None:
    setup(format="json")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    assert json.loads(read())["logger"] == "py.warnings"


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
