"""What each part of a request costs: the parts added one at a time, in CPU time of the server."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench.costs_app import PARTS
from bench.load import run_wrk
from bench.processes import NotServingError, Program, free_port, rss_of
from bench.progress import Step
from bench.session import Session

_WARM_UP = 1
_SECONDS = 2


class Costs:
    """The steps of a run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._programs: dict[str, Program] = {}
        self._stack = session.stack.enter_context(ExitStack())
        self._found: dict[str, list[float]] = session.found.setdefault("costs", {})

    def steps(self) -> Iterator[Step]:
        """Give what is to be done: in turns, so that noise falls on all."""
        if not rss_of("self"):
            self._session.skipped["costs"] = "there is no /proc"
            return
        for part in PARTS:
            yield Step(f"starting a server with {part}", 1 + _WARM_UP, partial(self._start, part))
        for number in range(self._session.rounds):
            about = f"round {number + 1} of {self._session.rounds}"
            for part in PARTS:
                do = partial(self._measure, part)
                yield Step(f"cost of {part}, {about}", _SECONDS + 0.3, do)
        yield Step("stopping them", 1, self._stack.close)

    def _start(self, part: str) -> None:
        session = self._session
        count = PARTS.index(part) + 1
        command = [sys.executable, "-m", "bench.costs_app", str(count), str(session.jwks)]
        try:
            program = Program(
                command,
                port=free_port(),
                log=session.work / f"costs-{count}.log",
                cores=session.cores.server,
                environ={"BENCH_ISSUER": session.issuer},
            )
        except NotServingError as error:
            session.skipped[f"cost of {part}"] = str(error)
            return
        self._stack.callback(program.stop)
        self._programs[part] = program
        self._load(program, _WARM_UP)

    def _measure(self, part: str) -> None:
        if part in self._programs:
            self._found.setdefault(part, []).append(self._load(self._programs[part], _SECONDS))

    def _load(self, program: Program, seconds: int) -> float:
        """Give the µs of CPU time that a request costs."""
        session = self._session
        used = program.cpu_seconds
        load = run_wrk(program.port, session.one_token(), seconds=seconds, cores=session.cores.load)
        if load.refused or not load.requests:
            raise NotServingError(f"{load.refused} requests were refused")
        found: Any = (program.cpu_seconds - used) / load.requests * 1e6
        program.drop_log()
        return float(found)
