"""The brake on fetches that unknown key IDs cause, so that forgers cannot make us a weapon."""

from collections.abc import Iterable

_BURST = 2
_REWARDS = 32
_REWARD_INTERVAL = 1.0
_REMEMBERED = 1024


class TokenBucket:
    """
    Permits: *burst* of them at once, one more each *interval* seconds.

    Counted from the attempt, whatever became of it: counting from the last success would leave no
    brake while the issuer is down.
    """

    def __init__(self, *, burst: int, interval: float) -> None:
        self._burst = burst
        self._interval = interval
        self._permits = float(burst)
        self._counted_at = float("-inf")

    def take(self, *, now: float, reserve: int = 0) -> bool:
        """Take a permit, if there is one beside *reserve*."""
        gained = (now - self._counted_at) / self._interval
        self._permits = min(self._burst, self._permits + gained)
        self._counted_at = now
        if self._permits < 1 + reserve:
            return False
        self._permits -= 1
        return True

    def give_back(self) -> None:
        """Return a permit: the fetch that it paid for was worth it."""
        self._permits = min(self._burst, self._permits + 1)


class UnknownKeyBrake:
    """
    Says which unknown key may cause a fetch: two at once, then one each *cooldown* seconds.

    A key that the issuer is known not to have, because it took it back or because we have asked,
    never takes the last permit: somebody who goes on with a dead token must not keep us from
    seeing a new key.  A fetch that brought keys that are really new is free, within reason: they
    are the issuer's doing and not a forger's.
    """

    def __init__(self, *, cooldown: float) -> None:
        self._bucket = TokenBucket(burst=_BURST, interval=cooldown)
        self._rewards = TokenBucket(burst=_REWARDS, interval=_REWARD_INTERVAL)
        self._absent: dict[str | None, None] = {}

    def permits(self, key_id: str | None, *, now: float) -> bool:
        """Take a permit to ask the issuer for *key_id*, if there is one for it."""
        return self._bucket.take(now=now, reserve=1 if key_id in self._absent else 0)

    def remember_absent(self, key_ids: Iterable[str | None]) -> None:
        """Take note of keys that the issuer does not have."""
        for key_id in key_ids:
            self._absent.pop(key_id, None)  # so that it stands last
            self._absent[key_id] = None
        while len(self._absent) > _REMEMBERED:
            del self._absent[next(iter(self._absent))]

    def reward(self, key_ids: Iterable[str | None], *, now: float) -> None:
        """Give the permit back that brought *key_ids*, if one of them is really new."""
        # Two servers of one issuer may take turns in what they publish; that is nothing new.
        if any(each not in self._absent for each in key_ids) and self._rewards.take(now=now):
            self._bucket.give_back()

    def forget(self, key_ids: Iterable[str | None]) -> None:
        """Take note of keys that the issuer has after all."""
        for key_id in key_ids:
            self._absent.pop(key_id, None)
