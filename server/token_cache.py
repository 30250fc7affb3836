"""Tokens that were verified, so that the same one is verified once."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Protocol

from pydantic import Field

from server.oauth.access_token import AccessToken
from server.oauth.policy import TokenPolicy
from server.settings import Settings


class TokenCacheSettings(Settings):
    """
    Attributes:
        size: verified tokens kept; 0 turns the cache off.
    """

    size: Annotated[int, Field(ge=0)] = 10_000


class Guarantor(Protocol):
    """A set of keys that changes, and says whether an earlier verdict still stands."""

    @property
    def generation(self) -> int:
        """Counts the changes of the keys."""

    def vouches_for(self, generation: int) -> bool:
        """Tell whether what was verified under *generation* may still be believed."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    access: AccessToken
    until: float
    keys: Guarantor
    generation: int

    def stands(self, *, now: float) -> bool:
        return now < self.until and self.keys.vouches_for(self.generation)


class TokenCache:
    """
    The tokens most lately verified; bounded, least recently used out first.

    A verdict lives no longer than the token, the key generation under which it was reached, and
    the usability of the keys.  Refusals are not kept.  Entries are found by the SHA-256 of the
    token: the token itself is not kept.
    """

    def __init__(self, settings: TokenCacheSettings) -> None:
        self._size = settings.size
        self._verdicts: OrderedDict[bytes, _Verdict] = OrderedDict()

    def get(self, compact: str, *, now: float) -> AccessToken | None:
        """
        Give the verified token, marked as cached, if its verdict still stands.

        Args:
            now: in seconds since the epoch.
        """
        if not self._size:
            return None
        digest = _digest(compact)
        verdict = self._verdicts.get(digest)
        if verdict is None:
            return None
        if not verdict.stands(now=now):
            del self._verdicts[digest]
            return None
        self._verdicts.move_to_end(digest)
        return verdict.access

    def put(self, compact: str, access: AccessToken, policy: TokenPolicy, keys: Guarantor) -> None:
        """Keep *access*, verified from *compact* under *policy* with *keys* as they are now."""
        if not self._size:
            return
        self._verdicts[_digest(compact)] = _Verdict(
            replace(access, cached=True),
            policy.believed_until(expires_at=access.expires_at, issued_at=access.issued_at),
            keys,
            keys.generation,
        )
        if len(self._verdicts) > self._size:
            self._verdicts.popitem(last=False)


def _digest(compact: str) -> bytes:
    # A header may hold anything; what is no text is not in here, and is refused later.
    return sha256(compact.encode("utf-8", "surrogatepass")).digest()
