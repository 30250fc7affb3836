"""How long requests take while the issuer turns its key, and while somebody invents keys."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import uvloop

from bench.client import Sample, Stream, p99_ms, send
from bench.contestants import KEYTURN, WrongAnswerError, check
from bench.issuer import SigningKey, Wording, invented, jwk_set, publish, put
from bench.processes import NotServingError, Program, start_for_json
from bench.progress import Step
from bench.session import Session

_RATE = 1_000
_CONNECTIONS = 16
_TOKENS = 200
_PERIOD = 3  # seconds from one rotation to the next
_PHASE = 3  # seconds with the flood, and seconds without
_FLOOD_RATE = 500


class Rotation:
    """The steps of a run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rotations = 2 if session.quick else 6
        self._phases = 2 if session.quick else 6
        self._program: Program | None = None

    def steps(self) -> Iterator[Step]:
        """Give what is to be done."""
        yield Step("starting Keyturn, for rotations", 2, self._start)
        seconds = (self._rotations + 1) * _PERIOD + 2
        yield Step(f"{self._rotations} rotations under load", seconds, self._rotate)
        seconds = self._phases * _PHASE + 2
        yield Step("a flood of invented keys", seconds, self._flood)

    def _start(self) -> None:
        try:
            self._program = self._session.arena.start(KEYTURN, label="rotation")
            check(self._program, KEYTURN, self._session.samples)
        except (NotServingError, WrongAnswerError) as error:
            self._session.skipped["rotation"] = str(error)
        else:
            self._session.stack.callback(self._program.stop)

    def _rotate(self) -> None:
        self._find("rotation", self._rotations)

    def _flood(self) -> None:
        self._find("flood", self._phases)
        publish(self._session.jwks, self._session.key)

    def _find(self, what: str, count: int) -> None:
        if self._program is None:
            return
        session = self._session
        running = start_for_json(
            "bench.rotation",
            what,
            str(count),
            str(self._program.port),
            session.issuer,
            str(session.jwks),
            cores=session.cores.load,
            log=session.work / f"{what}.log",
        )
        session.found[what] = running.finding()


class _Rotating:
    """
    An issuer that turns its key, and clients that follow.

    In the second of a rotation every tenth request has a token of the new key, which no server has
    seen; from the next second on all have.
    """

    def __init__(self, issuer: str, jwks: Path, rotations: int) -> None:
        self._jwks = jwks
        self._keys = [SigningKey.generate(f"turn-{number:03}") for number in range(rotations + 1)]
        self._tokens = [
            cycle(key.mint(Wording(issuer, key.key_id), range(_TOKENS))) for key in self._keys
        ]
        self._published = 0
        self._sent = 0
        # Made beforehand: who makes them cannot ask at the same time.
        self._documents = [jwk_set(self._keys[0])]
        self._documents += [jwk_set(new, old) for old, new in pairwise(self._keys)]
        put(jwks, self._documents[0])

    def token(self, at: float) -> str:
        self._sent += 1
        turn, since = divmod(at, _PERIOD)
        number = min(int(turn), len(self._keys) - 1)
        if number > self._published:
            put(self._jwks, self._documents[number])
            self._published = number
        if self._published and since < 1 and self._sent % 10:
            number -= 1
        return next(self._tokens[number])


async def rotations(count: int, port: int, issuer: str, jwks: Path) -> dict[str, Any]:
    """Turn the key *count* times under load."""
    rotating = _Rotating(issuer, jwks, count)
    stream = Stream(_RATE, _CONNECTIONS, rotating.token)
    (samples,) = await send(port, [stream], seconds=(count + 1) * _PERIOD)
    turns = range(_PERIOD, (count + 1) * _PERIOD, _PERIOD)
    return {
        "rate": _RATE,
        "before_ms": [p99_ms(samples, at - 1, at) for at in turns],
        "during_ms": [p99_ms(samples, at, at + 1) for at in turns],
        "refused": _refused(samples),
    }


async def flood(count: int, port: int, issuer: str, jwks: Path) -> dict[str, Any]:
    """Send good tokens, and in every second phase of *count* tokens of invented keys beside."""
    key = SigningKey.generate("flooded")
    publish(jwks, key)
    good = cycle(key.mint(Wording(issuer, key.key_id), range(_TOKENS)))
    wording = Wording(issuer, key.key_id)
    bad = cycle([invented(wording, number) for number in range(_FLOOD_RATE * _PHASE * 2)])
    streams = [
        Stream(_RATE, _CONNECTIONS, lambda _at: next(good)),
        Stream(_FLOOD_RATE, 8, lambda _at: next(bad), lambda at: int(at / _PHASE) % 2 == 1),
    ]
    samples, _ = await send(port, streams, seconds=count * _PHASE)
    found = [p99_ms(samples, at * _PHASE, (at + 1) * _PHASE) for at in range(count)]
    return {
        "rate": _RATE,
        "flood_rate": _FLOOD_RATE,
        "without_ms": found[::2],
        "beside_ms": found[1::2],
        "refused": _refused(samples),
    }


def _refused(samples: Sequence[Sample]) -> list[Sample]:
    return [each for each in samples if each[2] != 200]


def main(path: str, what: str, count: str, port: str, issuer: str, jwks: str) -> None:
    do = {"rotation": rotations, "flood": flood}[what]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(do(int(count), int(port), issuer, Path(jwks)))
    Path(path).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
