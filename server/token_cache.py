"""Tokens that were verified, so that the same one is verified once."""

from hashlib import sha256
from typing import Annotated, Protocol
from weakref import WeakValueDictionary

from cachebox import LRUCache
from pydantic import Field

from server.metrics import Family, Metrics
from server.oauth.access_token import AccessToken, Mandate, payload_of
from server.settings import Settings
from server.shared_numbers import Kind

# No claim that we believe has a control character in it.
_BETWEEN = "\x00"
_ITS_CLIENT = "\x01"  # where a client acts for itself

LOOKUPS = Family(
    "keyturn_token_cache_lookups", "Look-ups of verified tokens.", Kind.COUNTER, ("result",)
)


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


class TokenCache:
    """
    The tokens most lately verified; bounded, least recently used out first.

    A verdict lives no longer than the token, the key generation under which it was reached, and
    the usability of the keys.  Refusals are not kept.  Entries are found by the SHA-256 of the
    token: the token itself is not kept.

    Args:
        metrics: where look-ups are counted.
    """

    def __init__(self, settings: TokenCacheSettings, metrics: Metrics | None = None) -> None:
        self._size = settings.size
        self._verdicts: LRUCache[int, _Verdict] = LRUCache(self._size)
        # A hundred thousand tokens, a handful of clients: what tokens share is kept once.
        self._warrants: WeakValueDictionary[tuple[Mandate, int], _Warrant] = WeakValueDictionary()
        metrics = Metrics() if metrics is None else metrics
        metrics.declare(LOOKUPS)
        self._count_hit = metrics.counter(LOOKUPS, "hit").add
        self._count_miss = metrics.counter(LOOKUPS, "miss").add

    def __len__(self) -> int:
        """Count the tokens kept, those that have expired since too."""
        return len(self._verdicts)

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
        if verdict is not None:
            warrant = verdict.warrant
            if now < verdict.until and warrant.keys.vouches_for(warrant.generation):
                self._count_hit()
                subject, _, token_id = verdict.names.partition(_BETWEEN)
                return AccessToken(
                    warrant.mandate,
                    warrant.mandate.client_id if subject == _ITS_CLIENT else subject or None,
                    token_id or None,
                    verdict.until,
                    payload_of(compact),
                    True,  # noqa: FBT003 (by position: by name it takes half as long again)
                )
            self._verdicts.pop(digest, None)
        self._count_miss()
        return None

    def put(self, compact: str, access: AccessToken, keys: Guarantor, *, generation: int) -> None:
        """
        Keep *access*, verified from *compact* with *keys*.

        Args:
            generation: of the keys, when they were found.
        """
        if not self._size:
            return
        warrant = self._warrants.get((access.mandate, generation))
        if warrant is None or warrant.keys is not keys:
            warrant = _Warrant(access.mandate, keys, generation)
            self._warrants[access.mandate, generation] = warrant
        self._verdicts.insert(_digest(compact), _Verdict(access, warrant))


class _Warrant:
    """On whose word tokens are believed."""

    __slots__ = ("__weakref__", "generation", "keys", "mandate")

    def __init__(self, mandate: Mandate, keys: Guarantor, generation: int) -> None:
        self.mandate = mandate
        self.keys = keys
        self.generation = generation


class _Verdict:
    """What must be known of one token when it comes again."""

    __slots__ = ("names", "until", "warrant")

    def __init__(self, access: AccessToken, warrant: _Warrant) -> None:
        self.warrant = warrant
        # Subject and token id, in one text: two take fifty bytes more.
        is_its_client = access.subject is not None and access.subject == access.client_id
        subject = _ITS_CLIENT if is_its_client else access.subject or ""
        self.names = f"{subject}{_BETWEEN}{access.token_id or ''}"
        self.until = access.believed_until


def _digest(compact: str) -> int:
    # A header may hold anything; what is no text is not in here, and is refused later.
    octets = sha256(compact.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(octets, "little")  # a sixth smaller than they are
