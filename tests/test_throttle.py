from server.throttle import Throttle
from tests.fakes import FakeClock


async def test_a_burst_passes_and_then_so_many_a_second(clock: FakeClock) -> None:
    throttle = Throttle(burst=3, rate=2, now=clock)

    assert [throttle.admits() for _ in range(5)] == [True, True, True, False, False]
    await clock.advance(1)
    assert [throttle.admits() for _ in range(3)] == [True, True, False]


async def test_what_is_held_back_is_counted_until_it_is_told(clock: FakeClock) -> None:
    throttle = Throttle(burst=1, rate=1, now=clock)
    for _ in range(4):
        throttle.admits()

    assert throttle.take_held_back() == 3
    assert throttle.take_held_back() == 0


async def test_rest_earns_no_more_than_a_burst(clock: FakeClock) -> None:
    throttle = Throttle(burst=2, rate=1, now=clock)

    await clock.advance(3600)

    assert [throttle.admits() for _ in range(3)] == [True, True, False]
