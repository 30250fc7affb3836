import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.stopping import Signals, StopSettings

GRANTED = 10  # seconds, by whoever stops us


@pytest.fixture
def ends() -> list[float]:
    return []


@pytest.fixture
def signals(ends: list[float]) -> Signals:
    return Signals(9.0, ends.append)


def told(signals: Signals) -> tuple[bool, bool]:
    return signals.stop.is_set(), signals.at_once.is_set()


def test_told_once_it_has_its_time(signals: Signals, ends: list[float]) -> None:
    signals.tell()

    assert told(signals) == (True, False)
    assert ends == [9.0]


def test_told_again_it_has_none(signals: Signals, ends: list[float]) -> None:
    for _ in range(3):
        signals.tell()

    assert told(signals) == (True, True)
    assert ends == [9.0, 0.5]


def test_a_worker_that_is_told_by_two_is_told_once(signals: Signals, ends: list[float]) -> None:
    signals.tell_to_stop()
    signals.tell_to_stop()

    assert told(signals) == (True, False)
    assert ends == [9.0]


def test_what_is_to_end_is_to_stop_as_well(signals: Signals, ends: list[float]) -> None:
    signals.tell_to_end()

    assert told(signals) == (True, True)
    assert ends == [0.5]


async def test_who_lingers_does_so_until_it_is_to_end(signals: Signals) -> None:
    lingering = asyncio.create_task(signals.linger(3600))
    await asyncio.sleep(0)
    signals.tell()
    await asyncio.sleep(0)
    assert not lingering.done()

    signals.tell()

    await lingering


async def test_who_has_no_delay_does_not_linger(signals: Signals) -> None:
    await signals.linger(0)

    assert told(signals) == (False, False)


def test_with_the_usual_settings_the_end_comes_in_time() -> None:
    assert StopSettings().end < GRANTED


@given(st.floats(0, 3600), st.floats(0.1, 3600))
def test_each_has_time_to_see_those_below_it_end(delay: float, timeout: float) -> None:
    settings = StopSettings(drain_delay=delay, shutdown_timeout=timeout)

    steps = [delay + timeout, delay + settings.give_up, settings.end_worker]
    steps += [settings.wait_for_workers, settings.end, delay + timeout + 3.5]
    assert steps == sorted(steps)
