from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.numbers import (
    AGE,
    FETCHES,
    GENERATION,
    KEYS,
    STALE,
    TIME_LEFT,
    UNKNOWN_KEYS,
    FetchNumbers,
    KeyGauges,
)
from server.jwks.outcomes import Outcome, Trigger
from server.jwks.remote_key_set import RemoteKeySet
from server.metrics import Family, Metrics
from tests.fakes import FakeClock, FakeIssuer
from tests.minting import ISSUER, key_set

OTHER = "https://other.example/"


def read(metrics: Metrics, family: Family) -> dict[tuple[str, ...], float]:
    return {labels: numbers[0] for labels, numbers in dict(metrics.read())[family].items()}


def test_what_can_happen_is_counted_from_the_start() -> None:
    metrics = Metrics()

    FetchNumbers(metrics, ISSUER)

    fetches, unknown = read(metrics, FETCHES), read(metrics, UNKNOWN_KEYS)
    assert set(fetches) == {
        (ISSUER, trigger, result)
        for trigger in ("start", "timer", "unknown_key", "forced")
        for result in ("ok", "not_modified", "failed")
    }
    assert set(unknown) == {
        (ISSUER, outcome) for outcome in ("refetched", "remembered", "braked", "overflow")
    }
    assert {*fetches.values(), *unknown.values()} == {0}


def test_who_takes_over_goes_on_counting() -> None:
    metrics = Metrics()
    FetchNumbers(metrics, ISSUER).unknown_keys[Outcome.BRAKED].add()

    FetchNumbers(metrics, ISSUER).unknown_keys[Outcome.BRAKED].add()

    assert read(metrics, UNKNOWN_KEYS)[ISSUER, "braked"] == 2


async def test_it_is_told_how_it_stands_with_the_keys(
    keys: RemoteKeySet, clock: FakeClock, issuer: FakeIssuer
) -> None:
    metrics = Metrics()
    gauges = KeyGauges(metrics)

    def figures() -> list[float | None]:
        gauges.write([keys.status])
        families = (KEYS, AGE, TIME_LEFT, STALE, GENERATION)
        return [read(metrics, each).get((ISSUER,)) for each in families]

    assert figures() == [0, None, 0, 1, 0]
    await keys.refresh(Trigger.START)
    assert figures() == [1, 0, 3900, 0, 1]
    await clock.advance(310)
    assert figures() == [1, 310, 3590, 1, 1]
    await clock.advance(4000)
    assert figures() == [1, 4310, 0, 1, 1]


def test_keys_that_are_configured_have_no_age() -> None:
    metrics = Metrics()
    fixed = FixedKeySet(ISSUER, key_set())

    KeyGauges(metrics).write([fixed.status])

    assert read(metrics, AGE) == read(metrics, TIME_LEFT) == {}
    assert read(metrics, STALE) == {(ISSUER,): 0}


async def test_nothing_stands_of_an_issuer_that_was_removed(keys: RemoteKeySet) -> None:
    metrics = Metrics()
    gauges = KeyGauges(metrics)
    gauges.write([keys.status, FixedKeySet(OTHER, key_set()).status])

    gauges.write([keys.status])

    assert list(read(metrics, KEYS)) == [(ISSUER,)]
    gauges.write([])
    assert all(not read(metrics, each) for each in (KEYS, AGE, TIME_LEFT, STALE, GENERATION))
