"""Requests a second: one token, a thousand in turn, every token new; two workers; few clients."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from bench.contestants import ALL, KEYTURN, Contestant, WrongAnswerError, check
from bench.load import CONNECTIONS, Load, Tokens, run_wrk
from bench.processes import Cores, NotServingError, Program, start_for_json
from bench.progress import Step
from bench.session import Session

ONE, THOUSAND, NEW = "one token", "1,000 tokens", "all new"
SIGNATURE = "one signature"
TWO_WORKERS = "Keyturn, two workers"
FEW_CLIENTS = "8 connections"
_FEW = 8
_WARM_UP = 1
_STARTING = 1.5


class Throughput:
    """The contest: everyone is started once, and takes turns."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._programs: dict[str, Program] = {}
        self._stack = session.stack.enter_context(ExitStack())
        self._found: dict[str, Any] = session.found.setdefault("throughput", {})

    def steps(self) -> Iterator[Step]:
        """Give what is to be done, in the order that falls fairest on all."""
        here = [each for each in ALL if self._is_here(each)]
        for each in here:
            yield Step(f"starting {each.name}", _STARTING, partial(self._start, each))
        yield Step(f"starting {TWO_WORKERS}", _STARTING, self._start_two)
        for number in range(self._session.rounds):
            about = f"round {number + 1} of {self._session.rounds}"
            took = self._session.seconds + (_WARM_UP if number == 0 else 0) + 0.3
            yield Step(f"{SIGNATURE}, {about}", 1, self._verify_once)
            for case in (ONE, THOUSAND, NEW):
                for each in here if case == ONE else here[1:]:
                    do = partial(self._measure, each, case, warm_up=number == 0)
                    yield Step(f"{each.name}, {case}, {about}", took, do)
            yield Step(f"{TWO_WORKERS}, {about}", took, self._measure_two)
            yield Step(f"Keyturn, {FEW_CLIENTS}, {about}", took, self._measure_few)
        yield Step("stopping them", 2, self._stack.close)

    def _is_here(self, contestant: Contestant) -> bool:
        if contestant.missing is not None:
            self._session.skipped[contestant.name] = contestant.missing
        return contestant.missing is None

    def _start(self, contestant: Contestant) -> None:
        self._keep(contestant.name, partial(self._session.arena.start, contestant), contestant)

    def _start_two(self) -> None:
        session = self._session
        two = Cores.for_workers(2)
        arena = type(session.arena)(session.work, session.issuer, two.server)
        if len(two.server) < 2:
            session.skipped[TWO_WORKERS] = "there is one core"
            return
        self._keep(TWO_WORKERS, partial(arena.start, KEYTURN, "--workers", "2", label="2"), KEYTURN)

    def _keep(self, name: str, start: Callable[[], Program], contestant: Contestant) -> None:
        try:
            program = start()
            self._stack.callback(program.stop)
            check(program, contestant, self._session.samples)
        except (NotServingError, WrongAnswerError, OSError) as error:
            self._session.skipped[name] = str(error)
        else:
            self._programs[name] = program

    def _measure(self, contestant: Contestant, case: str, *, warm_up: bool) -> None:
        tokens = {ONE: self._session.one_token, THOUSAND: self._session.thousand_tokens}
        if warm_up:
            self._run(contestant.name, tokens.get(case), seconds=_WARM_UP)
        self._note(contestant.name, case, self._run(contestant.name, tokens.get(case)))

    def _measure_two(self) -> None:
        cores = Cores.for_workers(2).load
        self._run(TWO_WORKERS, self._session.one_token, seconds=_WARM_UP, cores=cores)
        found = self._run(TWO_WORKERS, self._session.one_token, cores=cores)
        self._note(TWO_WORKERS, ONE, found)

    def _measure_few(self) -> None:
        found = self._run(KEYTURN.name, self._session.one_token, connections=_FEW)
        self._note(KEYTURN.name, FEW_CLIENTS, found)

    def _run(
        self,
        name: str,
        tokens: Callable[[], Tokens] | None,
        *,
        seconds: int = 0,
        connections: int = CONNECTIONS,
        cores: tuple[int, ...] | None = None,
    ) -> dict[str, Any]:
        """Load *name*; with new tokens, if *tokens* does not say with which."""
        if name not in self._programs:
            return {}
        program, session = self._programs[name], self._session
        used = program.cpu_seconds
        load = run_wrk(
            program.port,
            tokens() if tokens else session.new_tokens(name),
            seconds=seconds or session.seconds,
            connections=connections,
            cores=session.cores.load if cores is None else cores,
        )
        used = program.cpu_seconds - used
        if tokens is None:
            # wrk counts no answer that was still on its way when the time was over.
            session.have_sent(name, load.requests + connections)
        log = program.take_log() if name == KEYTURN.name else b""
        return _findings(load, used, program.rss, log)

    def _note(self, name: str, case: str, found: dict[str, Any]) -> None:
        if found:
            self._found.setdefault(name, {}).setdefault(case, []).append(found)

    def _verify_once(self) -> None:
        session = self._session
        seconds = start_for_json(
            "bench.micro",
            "openssl",
            cores=session.cores.server,
            log=session.work / "signature.log",
        ).finding()
        self._found.setdefault(SIGNATURE, []).append(seconds)


def _findings(load: Load, cpu_seconds: float, rss: int, log: bytes) -> dict[str, Any]:
    return {
        **asdict(load),
        "rate": load.rate,
        "cpu_us": cpu_seconds / load.requests * 1e6 if load.requests else 0.0,
        "rss": rss,
        "log_lines": log.count(b'"event":"request"'),
        "log_hits": log.count(b'"auth.cached":true'),
    }
