"""What happens to an issuer's keys, told once for each change."""

from enum import StrEnum

import structlog

from server.jwks.snapshot import State
from server.oauth.keys import KeySet, UnfitKey


class Trigger(StrEnum):
    """What caused a fetch."""

    START = "start"
    TIMER = "timer"
    UNKNOWN_KEY = "unknown_key"


class Journal:
    """Writes the ``jwks.*`` events of *issuer*."""

    def __init__(self, issuer: str) -> None:
        self._log = structlog.get_logger().bind(issuer=issuer)
        self._state = State.EMPTY
        self._unfit: frozenset[UnfitKey] = frozenset()
        self._is_braking = False

    def refreshed(self, trigger: Trigger, keys: KeySet) -> None:
        """Tell that *keys* were fetched, and which the issuer published in vain."""
        self._state = State.FRESH
        self._log.info("jwks.refreshed", trigger=trigger.value, keys=len(keys.keys))
        for unfit in frozenset(keys.unfit) - self._unfit:
            report = self._log.error if unfit.is_secret else self._log.warning
            report("jwks.key_ignored", kid=unfit.key_id, cause=unfit.cause)
        self._unfit = frozenset(keys.unfit)

    def rotated(self, *, added: list[str], removed: list[str]) -> None:
        """Tell which keys came and went."""
        self._log.info("jwks.rotated", added=added, removed=removed)

    def failed(self, trigger: Trigger, cause: str, *, state: State, retry_in: float) -> None:
        """Tell that a fetch failed; and once, that the keys have become stale or expired by it."""
        self._log.warning(
            "jwks.refresh_failed", trigger=trigger.value, cause=cause, retry_in=round(retry_in, 1)
        )
        if state is not self._state:
            self._state = state
            self._log.error(f"jwks.{state.value}")

    def crashed(self, trigger: Trigger) -> None:
        """Tell, with its traceback, of an exception that nobody expected."""
        self._log.exception("jwks.refresh_failed", trigger=trigger.value)

    def braked(self, *, cooldown: float) -> None:
        """Tell, once, that unknown key IDs cause no more fetches."""
        if not self._is_braking:
            self._is_braking = True
            self._log.warning("jwks.suppressed", cooldown=cooldown)

    def released(self) -> None:
        """Take note that they may again."""
        self._is_braking = False
