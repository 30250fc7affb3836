"""An issuer's keys as they are at one time; swapped whole, never changed."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from server.jwks.policy import parse_age
from server.jwks.published import PublishedKeySet
from server.oauth.keys import KeySet

# In seconds.  Age has no fractions; clocks that are read one after the other differ a little.
_PRECISION_OF_AGE = 2.0
_CLOCK_NOISE = 0.1


class State(StrEnum):
    """How far the keys can be relied on."""

    EMPTY = "empty"
    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    Attributes:
        generation: counts the changes, 0 before the first keys; what was verified under another
            one is not believed.
        expires_at: on the monotonic clock, in seconds.
        published: where the keys are from; nothing before the first.
    """

    keys: KeySet
    generation: int
    expires_at: float
    published: PublishedKeySet | None

    def succeeded_by(self, published: PublishedKeySet, *, lifetime: float) -> Self:
        """Make the snapshot that comes after this one, of a set that lives for *lifetime*."""
        changed = _identities(published.keys) != _identities(self.keys)
        return type(self)(
            published.keys, self.generation + changed, published.asked_at + lifetime, published
        )

    def would_be_rolled_back_by(self, published: PublishedKeySet) -> bool:
        """Tell whether *published* left the issuer before what is held, and has other keys."""
        return (
            self.published is not None
            and _left_issuer_at(self.published) - _left_issuer_at(published) > _PRECISION_OF_AGE
            and _identities(self.keys) != _identities(published.keys)
        )

    def is_outdated_by(self, published: PublishedKeySet) -> bool:
        """Tell whether *published* was asked for later, and would not roll back what is held."""
        if self.published is None:
            return True
        is_later = published.asked_at - self.published.asked_at > _CLOCK_NOISE
        return is_later and not self.would_be_rolled_back_by(published)

    def age(self, *, now: float) -> float | None:
        """Give the seconds since the keys were asked for."""
        return None if self.published is None else now - self.published.asked_at

    def state(self, *, now: float, max_stale: float) -> State:
        """Tell how far the keys can be relied on *now*, if they may be used *max_stale* late."""
        if self.generation == 0:
            return State.EMPTY
        overdue = now - self.expires_at
        if overdue < 0:
            return State.FRESH
        return State.STALE if overdue < max_stale else State.EXPIRED

    def time_left(self, *, now: float, max_stale: float) -> float:
        """Give the seconds to the next change of state; infinite if nothing but keys changes it."""
        moments = (self.expires_at, self.expires_at + max_stale) if self.generation else ()
        return min((each - now for each in moments if each > now), default=math.inf)

    def names_missing_from(self, other: Self) -> list[str]:
        """Name the keys that are here, and not, or not the same, in *other*."""
        missing = _identities(self.keys) - _identities(other.keys)
        return sorted(name for name, *_ in missing)


@dataclass(frozen=True, slots=True)
class Status:
    """
    What an operator wants to know.

    Attributes:
        age: in seconds since the keys were asked for.
        time_left: in seconds until they are believed no longer; nothing if they always are.
        generation: counts their changes.
    """

    issuer: str
    state: State
    keys: int
    age: float | None
    time_left: float | None
    generation: int


NOTHING = Snapshot(KeySet(()), generation=0, expires_at=0.0, published=None)
"""What there is before the first keys."""


def _identities(keys: KeySet) -> frozenset[tuple[str, str, frozenset[str]]]:
    return frozenset(
        (key.key_id or key.thumbprint, key.thumbprint, key.algorithms) for key in keys.keys
    )


def _left_issuer_at(published: PublishedKeySet) -> float:
    return published.asked_at - parse_age(published.headers)
