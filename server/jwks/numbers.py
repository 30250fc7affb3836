"""What is counted of keys, for those who watch: questions to issuers, unknown keys, ages."""

from collections.abc import Iterable
from itertools import product

from server.jwks.outcomes import Outcome, Result, Trigger
from server.jwks.snapshot import State, Status
from server.metrics import Across, Family, Metrics
from server.shared_numbers import NOTHING, Cell, Kind

FETCHES = Family(
    "keyturn_jwks_fetches",
    "Questions to an issuer for its keys.",
    Kind.COUNTER,
    ("issuer", "trigger", "result"),
)
UNKNOWN_KEYS = Family(
    "keyturn_jwks_unknown_keys",
    "Requests whose token named a key that was not known.",
    Kind.COUNTER,
    ("issuer", "outcome"),
)
KEYS = Family(
    "keyturn_jwks_keys", "Keys that are held of an issuer.", Kind.GAUGE, ("issuer",), Across.LEAST
)
AGE = Family(
    "keyturn_jwks_age_seconds",
    "Since the keys that are held were asked for.",
    Kind.GAUGE,
    ("issuer",),
    Across.MOST,
)
TIME_LEFT = Family(
    "keyturn_jwks_time_left_seconds",
    "Until the keys that are held are believed no longer.",
    Kind.GAUGE,
    ("issuer",),
    Across.LEAST,
)
STALE = Family(
    "keyturn_jwks_stale", "1 unless the keys are fresh.", Kind.GAUGE, ("issuer",), Across.MOST
)
GENERATION = Family(
    "keyturn_jwks_generation", "Changes of the key set.", Kind.GAUGE, ("issuer",), Across.MOST
)


class FetchNumbers:
    """
    What is counted of one *issuer* as it happens; each number is there, at 0, from the start.

    Attributes:
        fetches: by trigger and result; what another process had is no question to the issuer.
        unknown_keys: by what became of the request.
    """

    def __init__(self, metrics: Metrics, issuer: str) -> None:
        metrics.declare(FETCHES, UNKNOWN_KEYS)
        results = (Result.OK, Result.NOT_MODIFIED, Result.FAILED)
        self.fetches: dict[tuple[Trigger, Result], Cell] = {
            each: metrics.counter(FETCHES, issuer, *each) for each in product(Trigger, results)
        }
        self.unknown_keys: dict[Outcome, Cell] = {
            each: metrics.counter(UNKNOWN_KEYS, issuer, each) for each in Outcome
        }


class KeyGauges:
    """What stands in *metrics* of the keys that are held."""

    def __init__(self, metrics: Metrics) -> None:
        metrics.declare(KEYS, AGE, TIME_LEFT, STALE, GENERATION)
        self._metrics = metrics
        self._gauges: dict[str, dict[Family, Cell]] = {}

    def write(self, statuses: Iterable[Status]) -> None:
        """Write down how it stands with the keys of all issuers; others have nothing any more."""
        told = {each.issuer: each for each in statuses}
        for gone in self._gauges.keys() - told.keys():
            for gauge in self._gauges.pop(gone).values():
                gauge.value = NOTHING
        for issuer, status in told.items():
            for family, value in _figures(status).items():
                self._gauge(issuer, family).value = NOTHING if value is None else value

    def _gauge(self, issuer: str, family: Family) -> Cell:
        gauges = self._gauges.setdefault(issuer, {})
        if family not in gauges:
            gauges[family] = self._metrics.gauge(family, issuer)
        return gauges[family]


def _figures(status: Status) -> dict[Family, float | None]:
    return {
        KEYS: status.keys,
        AGE: status.age,
        TIME_LEFT: status.time_left,
        STALE: status.state is not State.FRESH,
        GENERATION: status.generation,
    }
