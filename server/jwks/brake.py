"""The brake on fetches that unknown key IDs cause, so that forgers cannot make us a weapon."""

from collections.abc import Iterable
from typing import Any

_BURST = 2
_REWARDS = 32
_REWARD_INTERVAL = 1.0
_REMEMBERED = 1024
_MEMORY = 30.0
_SUSPECT = 2  # times asked for in vain


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

    A key that the issuer did not have when it was last asked is remembered for a while.  After
    that, or when it was asked for in vain twice, as one that the issuer took back, it never takes
    the last permit: somebody who goes on with a dead token must not keep us from seeing a new key.
    A fetch that brought keys that are really new is free, within reason: they are the issuer's
    doing and not a forger's.
    """

    def __init__(self, *, cooldown: float) -> None:
        self._bucket = TokenBucket(burst=_BURST, interval=cooldown)
        self._rewards = TokenBucket(burst=_REWARDS, interval=_REWARD_INTERVAL)
        self._asked_at: dict[str, float] = {}
        self._absences: dict[str, int] = {}
        self._taken_back: dict[str, None] = {}

    def remembers(self, key_id: str, *, now: float) -> bool:
        """Tell whether the issuer has just said that it does not have *key_id*."""
        asked_at = self._asked_at.get(key_id)
        return asked_at is not None and now - asked_at < _MEMORY

    def permits(self, key_id: str, *, now: float) -> bool:
        """Take a permit to ask the issuer for *key_id*, if there is one for it."""
        is_suspect = (
            key_id in self._asked_at
            or key_id in self._taken_back
            or self._absences.get(key_id, 0) >= _SUSPECT
        )
        return self._bucket.take(now=now, reserve=1 if is_suspect else 0)

    def give_back(self) -> None:
        """Return a permit: the issuer was not asked after all."""
        self._bucket.give_back()

    def learn_absent(self, key_id: str, *, now: float) -> None:
        """Take note of a key that the issuer was asked for and does not have."""
        self._asked_at.pop(key_id, None)  # so that it stands last
        self._asked_at[key_id] = now
        _trim(self._asked_at)
        # A change of the keys makes one of them worth a question again, and not every change.
        self._absences[key_id] = self._absences.pop(key_id, 0) + 1
        _trim(self._absences)

    def reward(self, added: Iterable[str], *, now: float) -> None:
        """Give the permit back that brought *added*, if one of them is really new."""
        # Two servers of one issuer may take turns in what they publish; that is nothing new.
        if any(each not in self._taken_back for each in added) and self._rewards.take(now=now):
            self._bucket.give_back()

    def learn_change(
        self, *, added: Iterable[str], removed: Iterable[str], past_caches: bool = False
    ) -> None:
        """
        Take note of another generation.

        What was learned of absent keys is out of date then; not so if the issuer itself was asked,
        *past_caches*, and had them not.
        """
        if not past_caches:
            self._asked_at.clear()
        for key_id in removed:
            self._taken_back.pop(key_id, None)
            self._taken_back[key_id] = None
        for key_id in added:  # a key replaced under its name is in both
            self._taken_back.pop(key_id, None)
            self._absences.pop(key_id, None)
            self._asked_at.pop(key_id, None)
        _trim(self._taken_back)


def _trim(kept: dict[str, Any]) -> None:
    while len(kept) > _REMEMBERED:
        del kept[next(iter(kept))]
