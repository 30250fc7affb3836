"""What runs now, and how long it still takes."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing to do.

    Attributes:
        what: for people.
        seconds: what it takes, about.
    """

    what: str
    seconds: float
    do: Callable[[], None]


def run(steps: Sequence[Step], out: TextIO = sys.stderr) -> float:
    """Take *steps* one by one, and tell on *out*; gives the seconds that all took."""
    begun = time.monotonic()
    left = sum(each.seconds for each in steps)
    for number, step in enumerate(steps, 1):
        left -= step.seconds
        with _Line(f"[{number}/{len(steps)}] {step.what}", step.seconds, left, out):
            step.do()
    if out.isatty():
        print(f"\r{'':{_WIDTH}}\r", end="", file=out, flush=True)
    return time.monotonic() - begun


class _Line:
    """The line of one step: kept current on a terminal, written once elsewhere."""

    def __init__(self, what: str, seconds: float, left: float, out: TextIO) -> None:
        self._what, self._seconds, self._left, self._out = what, seconds, left, out
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_current, daemon=True)

    def __enter__(self) -> None:
        if self._out.isatty():
            self._thread.start()
        else:
            print(self._text(0), file=self._out, flush=True)

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_current(self) -> None:
        begun = time.monotonic()
        while True:
            text = self._text(time.monotonic() - begun)[: _WIDTH - 1]
            print(f"\r{text:{_WIDTH}}", end="", file=self._out, flush=True)
            if self._over.wait(1):
                return

    def _text(self, elapsed: float) -> str:
        return f"{self._what} · {remaining(self._left + max(0.0, self._seconds - elapsed))}"


def remaining(seconds: float) -> str:
    """Say how long it still takes, no more exactly than it is known."""
    if seconds < 60:
        return f"{5 * max(1, round(seconds / 5))} s left"
    return f"{int(seconds) // 60} min {int(seconds) % 60 // 10 * 10} s left"
