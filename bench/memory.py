"""What verified tokens take of memory; each finding in a fresh process."""

import asyncio
import gc
import hashlib
import hmac
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench import parts
from bench.issuer import Wording, base64url
from bench.processes import Running, rss_of, start_for_json
from bench.progress import Step
from bench.session import Session
from server.protector import ResourceProtector

FIRST = 100_000
_PATIENCE = 150.0
"""When no more tokens are admitted, in seconds: the run is to end within ten minutes."""


def _tokens(first: int, count: int) -> Iterator[str]:
    # HS256: the cheapest to sign and to verify; what is kept of a token is the same.
    wording = Wording(parts.ISSUER, "main", "HS256")
    secret = parts.SECRET.encode()
    for number in range(first, first + count):
        signing_input = wording.signing_input(number)
        signature = hmac.digest(secret, signing_input.encode(), hashlib.sha256)
        yield f"{signing_input}.{base64url(signature)}"


def _protector(size: int) -> ResourceProtector:
    return parts.protector(parts.config(size=size, secret_env=parts.VARIABLE, profile="at+jwt"))


async def _admit(protector: ResourceProtector, first: int, count: int) -> int:
    for token in _tokens(first, count):
        await protector.admit([f"Bearer {token}"], parts.NEEDED)
    gc.collect()
    return rss_of("self")


async def bytes_each(count: int) -> float:
    """Give the bytes that each of *count* cached tokens takes, by the resident memory."""
    protector = _protector(count)
    # All that is loaded and compiled when it is first used is there before the first look.
    await _admit(_protector(1_000), 0, 2_000)
    gc.collect()
    before = rss_of("self")
    return (await _admit(protector, 0, count) - before) / count


async def bytes_traced(count: int) -> float:
    """Give the same by what Python itself has allocated."""
    protector = _protector(count)
    await _admit(_protector(1_000), 0, 2_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await _admit(protector, 0, count)
    return (tracemalloc.get_traced_memory()[0] - before) / count


async def growth(count: int) -> dict[str, float]:
    """Give by how many bytes memory grows from the first tenth of *count* tokens to the last."""
    deadline = time.monotonic() + _PATIENCE
    done, step = count // 10, count // 100
    protector = _protector(10_000)
    before = after = await _admit(protector, 0, done)
    while done < count and time.monotonic() < deadline:
        after = await _admit(protector, done, step)
        done += step
    return {"bytes": after - before, "tokens": done}


_WHAT: dict[str, Callable[[int], Coroutine[Any, Any, object]]] = {
    "each": bytes_each,
    "traced": bytes_traced,
    "growth": growth,
}


class Memory:
    """The steps of a run: the longest beside all others that are not timed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counts = {"each": FIRST, "traced": 20_000, "growth": 1_000_000}
        if session.quick:
            self._counts = {name: count // 20 for name, count in self._counts.items()}
        self._found: dict[str, object] = {}
        self._running: Running | None = None

    def begin(self) -> Iterator[Step]:
        """Give the steps that can be taken while nothing is timed."""
        if not rss_of("self"):
            self._session.skipped["memory"] = "there is no /proc"
            return
        self._session.found["memory"] = self._found
        self._found["counts"] = self._counts
        yield Step("beginning a million tokens, in the background", 0.1, self._begin_growth)
        for what in ("each", "traced"):
            count = self._counts[what]
            text = f"memory of {count:,} cached tokens"
            yield Step(text, count / 4_000 + 1, partial(self._measure, what))

    def end(self) -> Iterator[Step]:
        """Give the step after which things may be timed."""
        if rss_of("self"):
            yield Step("memory after a million tokens", self._counts["growth"] / 12_000, self._wait)

    def _begin_growth(self) -> None:
        self._running = self._start("growth")
        self._session.stack.callback(self._running.stop)

    def _measure(self, what: str) -> None:
        self._found[what] = self._start(what).finding()

    def _wait(self) -> None:
        if self._running is not None:
            self._found["growth"] = self._running.finding()

    def _start(self, what: str) -> Running:
        cores = self._session.cores
        return start_for_json(
            "bench.memory",
            what,
            str(self._counts[what]),
            cores=cores.load if what == "growth" else cores.server,
            log=self._session.work / f"memory-{what}.log",
        )


def main(path: str, what: str, count: str) -> None:
    found = asyncio.run(_WHAT[what](int(count)))
    Path(path).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
