"""A bound on lines that strangers cause."""

from collections.abc import Callable
from time import monotonic


class Throttle:
    """Lets *burst* pass at once, and then *rate* each second; counts what it holds back."""

    def __init__(self, *, burst: float, rate: float, now: Callable[[], float] = monotonic) -> None:
        self._burst = burst
        self._rate = rate
        self._now = now
        self._left = burst
        self._at = now()
        self._held_back = 0

    def admits(self) -> bool:
        """Tell whether one more may pass."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            self._held_back += 1
            return False
        self._left -= 1
        return True

    def take_held_back(self) -> int:
        """Give how many did not pass since this was last asked."""
        held_back, self._held_back = self._held_back, 0
        return held_back
