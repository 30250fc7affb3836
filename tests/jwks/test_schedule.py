import pytest

from server.jwks.policy import RefreshPolicy
from server.jwks.schedule import Schedule
from tests.fakes import FakeClock


@pytest.fixture
def schedule(clock: FakeClock) -> Schedule:
    return Schedule(RefreshPolicy(), now=clock, sleep=clock.sleep, random=lambda: 0.5)


def test_at_first_a_refresh_is_due(schedule: Schedule) -> None:
    assert schedule.due_in == 0


def test_after_a_refresh_the_next_is_due_ahead_of_the_end(
    schedule: Schedule, clock: FakeClock
) -> None:
    schedule.refreshed(asked_at=clock.time - 10, lifetime=100)

    assert schedule.due_in == pytest.approx(80 - 10)


def test_failures_are_followed_by_longer_and_longer_pauses_until_one_succeeds(
    schedule: Schedule, clock: FakeClock
) -> None:
    pauses = []
    for _ in range(8):
        schedule.failed(retry_after=None)
        pauses.append(schedule.due_in)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30])

    schedule.refreshed(asked_at=clock.time, lifetime=100)
    schedule.failed(retry_after=None)

    assert schedule.due_in == pytest.approx(0.5)


@pytest.mark.parametrize(("due", "soon"), [(80, 0.5), (0.2, 0.2)])
def test_what_is_hastened_is_never_put_off(
    schedule: Schedule, clock: FakeClock, due: float, soon: float
) -> None:
    schedule.refreshed(asked_at=clock.time, lifetime=100)
    clock.time += 80 - due

    schedule.hasten(retry_after=None)

    assert schedule.due_in == pytest.approx(soon)


def test_a_pause_that_is_longer_than_the_wait_is_no_reason_to_wait_longer(
    schedule: Schedule, clock: FakeClock
) -> None:
    schedule.refreshed(asked_at=clock.time, lifetime=100)

    schedule.hasten(retry_after=200)

    assert schedule.due_in == pytest.approx(80)
