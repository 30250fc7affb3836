"""What happens to an issuer's keys: counted, and told once for each change."""

import structlog

from server.jwks.numbers import FetchNumbers
from server.jwks.outcomes import Result, Trigger
from server.jwks.snapshot import State
from server.metrics import Metrics
from server.oauth.keys import KeySet, UnfitKey

_MOST_CAUSES = 32


class Journal:
    """
    Writes the ``jwks.*`` events of *issuer*, and counts in *metrics*, also what is too frequent for
    a line.

    Attributes:
        numbers: what is counted.
        crashes: exceptions that nobody expected.
    """

    def __init__(self, issuer: str, metrics: Metrics | None = None) -> None:
        self._log = structlog.get_logger().bind(issuer=issuer)
        self._state = State.EMPTY
        self._unfit: frozenset[UnfitKey] = frozenset()
        self._failures: set[str] = set()
        self._is_braking = False
        self.numbers = FetchNumbers(Metrics() if metrics is None else metrics, issuer)
        self.crashes = 0

    def refreshed(self, trigger: Trigger, result: Result, keys: KeySet) -> None:
        """Tell that the issuer gave *keys*, or confirmed them."""
        self.numbers.fetches[trigger, result].add()
        self._log.info(
            "jwks.refreshed", trigger=trigger.value, result=result.value, keys=len(keys.keys)
        )
        self._failures.clear()

    def taken_over(self, keys: KeySet) -> None:
        """Tell that another process had newer *keys*."""
        self._log.info("jwks.refreshed", trigger="store", keys=len(keys.keys))
        self._failures.clear()

    def ignored(self, unfit: tuple[UnfitKey, ...]) -> None:
        """Tell which keys the issuer publishes in vain."""
        for each in sorted(frozenset(unfit) - self._unfit, key=str):
            report = self._log.error if each.is_secret else self._log.warning
            named = {} if each.key_id is None else {"kid": each.key_id}
            report("jwks.key_ignored", **named, cause=each.cause)
        self._unfit = frozenset(unfit)

    def rotated(self, *, added: list[str], removed: list[str]) -> None:
        """Tell which keys came and went."""
        self._log.info("jwks.rotated", added=added, removed=removed)

    def failed(self, trigger: Trigger, cause: str, *, retry_in: float) -> None:
        """Tell that a fetch failed; once for each cause, until one succeeds."""
        self.numbers.fetches[trigger, Result.FAILED].add()
        if cause not in self._failures and len(self._failures) < _MOST_CAUSES:
            self._failures.add(cause)
            self._log.warning(
                "jwks.refresh_failed",
                trigger=trigger.value,
                cause=cause,
                retry_in=round(retry_in, 1),
            )

    def crashed(self, trigger: Trigger) -> None:
        """Tell, with its traceback, of an exception that nobody expected."""
        self.numbers.fetches[trigger, Result.FAILED].add()
        self.crashes += 1
        self._log.exception(
            "jwks.refresh_failed",
            trigger=trigger.value,
            cause="unexpected error",
            crashes=self.crashes,
        )

    def aged(self, state: State, *, age: float | None) -> None:
        """Tell, once, that the keys have become stale or expired; *age* in seconds."""
        if state is not self._state and state in {State.STALE, State.EXPIRED}:
            report = self._log.warning if state is State.STALE else self._log.error
            known = {} if age is None else {"age_seconds": round(age, 1)}
            report(f"jwks.{state.value}", **known)
        self._state = state

    def braked(self, *, cooldown: float) -> None:
        """Tell, once, that unknown key IDs cause no more fetches."""
        if not self._is_braking:
            self._is_braking = True
            self._log.warning("jwks.suppressed", cooldown=cooldown)

    def released(self) -> None:
        """Take note that they may again."""
        self._is_braking = False
