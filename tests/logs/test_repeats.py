import asyncio
import gc
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from server import logs
from server.logs import LogSettings, configure
from server.logs.repeats import Kind, Repeats
from tests.fakes import FakeClock
from tests.log_schema import check

KIND = Kind("x", "warning")


class Log:
    """What passes, and what is told of the rest."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.told: list[tuple[str, int]] = []
        self.repeats = Repeats(lambda kind, lines: self.told.append((kind.of, lines)), now=clock)

    def write(self, event: str, level: str = "warning", **fields: Any) -> dict[str, Any] | None:
        try:
            return dict(self.repeats(None, level, {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    def passes(self, event: str, *, times: int = 1, **fields: Any) -> int:
        """Write it so many times, and give how many pass."""
        return sum(self.write(event, **fields) is not None for _ in range(times))


@pytest.fixture
def log(clock: FakeClock) -> Log:
    return Log(clock)


def test_twenty_pass_at_once_and_then_one_each_ten_seconds(log: Log, clock: FakeClock) -> None:
    assert log.passes("x", times=50) == 20
    clock.time += 9.9
    assert log.passes("x", times=5) == 0
    clock.time += 0.2
    assert log.passes("x", times=5) == 1


def test_the_next_that_passes_tells_how_many_did_not(log: Log, clock: FakeClock) -> None:
    log.passes("x", times=25)
    clock.time += 10

    assert log.write("x") == {"event": "x", "lines_held_back": 5}
    assert log.told == []


def test_of_a_kind_that_has_gone_quiet_the_next_warning_tells(log: Log, clock: FakeClock) -> None:
    log.passes("x", times=25)
    log.passes("z", times=22)
    clock.time += 10
    log.passes("y")

    assert log.told == [("x", 5), ("z", 2)]
    assert log.write("x") == {"event": "x"}


def test_what_is_left_is_told_at_the_end(log: Log) -> None:
    log.passes("x", times=25)
    log.passes("y", times=3)

    log.repeats.close()
    log.repeats.close()

    assert log.told == [("x", 5)]
    assert log.passes("x") == 1


def test_a_process_that_was_forked_off_tells_only_its_own(log: Log) -> None:
    log.passes("x", times=25)
    log.repeats.start_afresh()

    assert log.passes("x", times=25) == 20


def test_issuers_and_workers_are_told_apart(log: Log) -> None:
    several: list[dict[str, Any]] = [{"issuer": "a"}, {"issuer": "b"}, {"worker": 0}, {"worker": 1}]

    for fields in [*several, {"issuer": []}]:
        assert log.passes("x", times=25, **fields) == 20


@pytest.mark.parametrize("level", ["debug", "info", "error", "critical"])
def test_no_other_line_of_ours_is_held_back(log: Log, level: str) -> None:
    assert log.passes("x", times=100, level=level) == 100


@pytest.mark.parametrize("event", ["request", "log.lines_dropped", "log.repeated"])
def test_what_is_bounded_elsewhere_passes(log: Log, event: str) -> None:
    assert log.passes(event, times=100) == 100


def fault(kind: type[Exception], *, elsewhere: bool = False) -> Exception:
    try:
        if elsewhere:
            raise kind
        raise kind
    except kind as error:
        return error


def test_crashes_of_handlers_are_told_apart_by_what_and_where(log: Log) -> None:
    faults = [fault(ValueError), fault(KeyError), fault(ValueError, elsewhere=True)]

    for each in [*faults, None, ValueError("that nobody raised")]:
        assert log.passes("server.error", times=25, level="error", exc_info=each) == 20
    assert log.passes("server.error", times=5, level="error", exc_info=fault(ValueError)) == 0


def test_kinds_are_bounded_and_those_beyond_are_taken_together(log: Log, clock: FakeClock) -> None:
    names = [f"kind {number}" for number in range(1000)]
    assert sum(map(log.passes, names)) == 256 + 20

    clock.time += 10
    assert log.passes("late", times=21) == 20
    assert log.told == [("others", 1000 - 256 - 20)]


def test_what_is_known_of_a_kind_that_makes_room_is_told(log: Log, clock: FakeClock) -> None:
    log.passes("x", times=25)
    clock.time += 6
    log.passes("looked at, and found busy")
    for number in range(254):
        log.passes(f"kind {number}")
    clock.time += 5
    log.told.clear()

    log.passes("new")

    assert log.told == [("x", 5)]


def test_a_long_text_tells_a_kind_by_its_beginning(log: Log) -> None:
    log.passes("x" * 300 + "a", times=20)

    assert log.passes("x" * 300 + "b") == 0


@pytest.fixture
def read(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def out() -> list[dict[str, Any]]:
        logs.close()
        lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
        for line in lines:
            check(line)
        return lines

    yield out
    logs.close()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_lost_tasks_are_told_apart_by_what_ended_them(
    read: Callable[[], list[dict[str, Any]]],
) -> None:
    configure(LogSettings(format="json"))

    async def fail(kind: type[Exception]) -> None:
        raise kind

    for kind in [ValueError, KeyError] * 25:
        await asyncio.wait([asyncio.create_task(fail(kind))])
    gc.collect()

    *lines, first, second = read()
    assert len(lines) == 40
    for line, name in ((first, "ValueError"), (second, "KeyError")):
        assert (line["of"], line["lines_held_back"]) == ("Task exception was never retrieved", 5)
        assert line["cause"].startswith(f"{name} at ")


@pytest.mark.parametrize("level", ["info", "error"])
def test_no_line_is_lost_in_silence(read: Callable[[], list[dict[str, Any]]], level: Any) -> None:
    configure(LogSettings(format="json", level=level))
    for number in range(50):
        logging.getLogger("library").error("of %d and Bearer abc", number)
        structlog.get_logger().warning("jwks.suppressed", issuer="https://a.example/", cooldown=30)
        structlog.get_logger().error("server.error", request_id="r", exc_info=fault(ValueError))

    lines = read()

    repeated = [line for line in lines if line["event"] == "log.repeated"]
    assert [(line["of"], line.get("logger"), line["level"], line["lines_held_back"]) for line in repeated] == [
        ("of %d and Bearer [redacted]", "library", "error", 30),
        *([("jwks.suppressed", None, "warning", 30)] if level == "info" else []),
        ("server.error", None, "error", 30),
    ]  # fmt: skip
    assert repeated[-1]["cause"].startswith("ValueError at ")
    written = [line["event"] for line in lines]
    assert written.count("server.error") == 20
    assert written.count("jwks.suppressed") == (20 if level == "info" else 0)
    assert sum(event.startswith("of ") for event in written) == 20
