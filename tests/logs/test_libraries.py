"""What libraries log, as it is written: each in the way that it has."""

import asyncio
import gc
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from server import logs
from server.logs import LogSettings, configure
from server.logs.redaction import redact
from server.workers.gunicorn_log import GunicornLog
from tests.log_schema import check
from tests.minting import token


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


class Written:
    """The lines of this process."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture

    def text(self) -> str:
        assert logs.flush()
        return self._capture.readouterr().out.decode()

    def lines(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.text().splitlines()]
        for line in found:
            check(line)
        return found

    def line(self) -> dict[str, Any]:
        (only,) = self.lines()
        return only


@pytest.fixture
def written(capfdbinary: pytest.CaptureFixture[bytes]) -> Written:
    return Written(capfdbinary)


def setup(**settings: Any) -> None:
    configure(LogSettings(**{"format": "json", **settings}))


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_their_lines_have_the_form_of_ours(written: Written) -> None:
    setup()
    logging.getLogger("aiohttp.server").error("a %s", "fault")

    line = written.line()
    assert (line["event"], line["logger"], line["level"]) == ("a fault", "aiohttp.server", "error")
    assert "exception" not in line


def test_a_traceback_comes_with_its_line(written: Written) -> None:
    setup()
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("crash")
    logging.getLogger("aiohttp.server").error("no crash", exc_info=True)  # noqa: LOG014 (some do)

    crash, no_crash = written.lines()
    assert "ValueError: x" in crash["exception"]
    assert "exception" not in no_crash


async def test_a_task_that_nobody_awaited_leaves_its_line(written: Written) -> None:
    setup()

    async def fail() -> None:
        raise ValueError("lost")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()

    line = written.line()
    assert (line["logger"], line["level"]) == ("asyncio", "error")
    assert line["event"].startswith("Task exception was never retrieved\n")
    assert line["exception"].endswith("ValueError: lost")


def test_warnings_have_the_same_form(written: Written) -> None:
    setup()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    line = written.line()
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "DeprecationWarning: old" in line["event"]


def test_what_gunicorn_has_to_say_has_the_same_form(written: Written) -> None:
    setup()
    gunicorn = GunicornLog(None)

    gunicorn.info("Booting worker with pid: %s", 7)
    gunicorn.warning("Worker with pid %s was terminated", 7)
    gunicorn.error("no place for %s", 1, 2)
    try:
        raise ValueError("x")
    except ValueError:
        gunicorn.exception("Exception in worker process")

    terminated, misfit, crash = written.lines()
    assert (terminated["logger"], terminated["level"]) == ("gunicorn", "warning")
    assert terminated["event"] == "Worker with pid 7 was terminated"
    assert misfit["event"] == "no place for %s (its values cannot be put in)"
    assert "ValueError: x" in crash["exception"]


def test_gunicorns_details_are_for_those_who_debug(written: Written) -> None:
    setup(level="debug")

    GunicornLog(None).info("Booting worker with pid: %s", 7)

    assert written.line()["level"] == "debug"


def test_what_they_tell_of_their_work_is_not_written(written: Written) -> None:
    setup(level="debug")

    logging.getLogger("authlib.oauth2").debug("Issue token %r", {"access_token": "s3cret"})
    logging.getLogger("authlib.oauth2").info("Issue token %r", {"access_token": "s3cret"})

    assert written.text() == ""


@pytest.mark.parametrize(
    ("message", "values", "event"),
    [
        ("a %d", ("b",), "a %d (its values cannot be put in)"),
        ("a", ("b",), "a (its values cannot be put in)"),
        ("a %s", (Awkward(),), "a %s (its values cannot be put in)"),
        (Awkward(), (), "Awkward (its values cannot be put in)"),
        (ValueError("x"), (), "x"),
        ("100 %", (), "100 %"),
        ("\x1b[2J\nnext", (), "\x1b[2J\nnext"),
    ],
)
def test_whatever_a_line_is_made_of_it_is_written_and_harms_nobody(
    written: Written, message: Any, values: tuple[Any, ...], event: str
) -> None:
    setup()
    logging.getLogger("library").error(message, *values)

    assert written.line()["event"] == event


@pytest.mark.parametrize(
    ("level", "name"), [(35, "warning"), (45, "error"), (50, "critical"), (99, "critical")]
)
def test_a_level_without_a_name_is_the_one_below(written: Written, level: int, name: str) -> None:
    setup()
    logging.getLogger("library").log(level, "x")

    assert written.line()["level"] == name


def test_what_is_added_for_other_handlers_stays_away_but_for_the_stack(written: Written) -> None:
    setup()
    logging.getLogger("library").warning("x", extra={"password": "s3cret"}, stack_info=True)

    line = written.line()
    assert line.keys() == {"timestamp", "level", "event", "logger", "stack"}
    assert "test_what_is_added" in line["stack"]


def test_a_long_text_is_cut(written: Written) -> None:
    setup()
    logging.getLogger("library").warning("a%sb", "x" * 100_000)

    event = written.line()["event"]
    assert len(event) <= 2001
    assert (event[0], event[-1]) == ("a", "b")


def test_no_token_gets_out_in_their_texts(written: Written) -> None:
    setup()
    compact = token()

    logging.getLogger("library").error("got %s", {"Authorization": f"Bearer {compact}"})
    try:
        raise ValueError(compact)
    except ValueError:
        logging.getLogger("library").exception("refused %s", compact[:40])
    logging.getLogger("library").error("%s%s", "x" * 990, compact)

    text = written.text()
    assert "[redacted]" in text
    for part in compact.split("."):
        for start in range(0, len(part) - 20, 10):
            assert part[start : start + 20] not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def/+~=", "Authorization: Bearer [redacted]"),
        ("{'authorization': b'bearer abc'}", "{'authorization': b'bearer [redacted]'}"),
        ("DPoP abc", "DPoP [redacted]"),
        ("Basic a2V5dHVybi1kZXY6ZGV2", "Basic [redacted]"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIi.", "[redacted]"),
        ("a_eyJhbGciOiJSUzI1NiJ9…", "a_[redacted]…"),
        ("ewogICJhbGciOiJub25lIn0.e30.sig here", "[redacted] here"),
        ("an eyewitness.txt, eyJ and ey.a.b", "an eyewitness.txt, eyJ and ey.a.b"),
        ("the bearer", "the bearer"),
        ("basic auth", "basic auth"),
    ],
)
def test_what_looks_like_a_token_or_credentials_is_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("piece", ["ey", "eyJ", "eyJabcdefgh.", "Bearer ", "a.", "Basic "])
def test_a_long_text_is_looked_through_once(piece: str) -> None:
    # Quadratic work on so much would not end within the patience of any test run.
    redact(piece * (200_000 // len(piece)))


def test_on_a_console_their_texts_cannot_drive_the_terminal(written: Written) -> None:
    setup(format="console")

    logging.getLogger("library").error("\x1b[2J\n\u202e", stack_info=True)

    text = written.text()
    assert "\\x1b[2J\\n\\u202e" in text
    assert text.splitlines()[1].startswith("Stack (most recent call last)")
