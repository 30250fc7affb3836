"""An issuer's keys as they are at one time; swapped whole, never changed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from server.oauth.keys import KeySet


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
        fetched_at, expires_at: on the monotonic clock, in seconds.
    """

    keys: KeySet
    generation: int
    fetched_at: float
    expires_at: float

    def succeeded_by(self, keys: KeySet, *, fetched_at: float, lifetime: float) -> Self:
        """Make the snapshot that comes after this one."""
        changed = _identities(keys) != _identities(self.keys)
        return type(self)(keys, self.generation + changed, fetched_at, fetched_at + lifetime)

    def state(self, *, now: float, max_stale: float) -> State:
        """Tell how far the keys can be relied on *now*, if they may be used *max_stale* late."""
        if self.generation == 0:
            return State.EMPTY
        overdue = now - self.expires_at
        if overdue < 0:
            return State.FRESH
        return State.STALE if overdue < max_stale else State.EXPIRED

    def names_missing_from(self, other: Self) -> list[str]:
        """Name the keys that are here, and not, or not the same, in *other*."""
        missing = _identities(self.keys) - _identities(other.keys)
        return sorted(name for name, *_ in missing)


NOTHING = Snapshot(KeySet(()), generation=0, fetched_at=0.0, expires_at=0.0)
"""What there is before the first keys."""


def _identities(keys: KeySet) -> frozenset[tuple[str, str, frozenset[str]]]:
    return frozenset(
        (key.key_id or key.thumbprint, key.thumbprint, key.algorithms) for key in keys.keys
    )
