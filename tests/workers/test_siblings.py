"""One answer of all workers, made of what each of them says."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.listening import listening, private
from server.shared_numbers import SharedMemory
from server.web.operations import Question, Report
from server.workers.crew import GONE, NEW, SERVING, Board, Crew, Ports
from server.workers.siblings import Siblings, merge
from tests.fakes import FakeClock


def row(issuer: str = "a", state: str = "fresh", keys: int = 2, **more: Any) -> dict[str, Any]:
    return {"issuer": issuer, "state": state, "keys": keys, **more}


def report(*rows: dict[str, Any], status: str = "ready") -> Report:
    return {"status": status, "issuers": list(rows)}


@pytest.mark.parametrize(
    ("reports", "merged"),
    [
        pytest.param([report(row())], report(row()), id="one"),
        pytest.param(
            [report(row(age_seconds=1)), report(row(keys=1, age_seconds=9, state="stale"))],
            report(row(keys=1, age_seconds=9, state="stale")),
            id="the oldest, and the fewest",
        ),
        pytest.param(
            [report(row(state="expired")), report(row(state="empty", keys=0), status="not_ready")],
            report(row(state="empty", keys=0), status="not_ready"),
            id="one without keys",
        ),
        pytest.param(
            [report(row("a"), row("b")), report(row("b", keys=1), row("c"))],
            report(row("a"), row("b", keys=1), row("c")),
            id="issuers that not all know yet",
        ),
        pytest.param(
            [report(row()), report(status="not_ready")],
            report(row(), status="not_ready"),
            id="one that is silent",
        ),
        pytest.param(
            [report(row(result="ok")), report(row(result="failed"))],
            report(row(result="failed")),
            id="failed is worse than ok",
        ),
        pytest.param(
            [report(row(result="not_modified")), report(row(result="ok"))],
            report(row(result="ok")),
            id="ok is worse than not modified",
        ),
        pytest.param(
            [report(row(result="ok")), report(status="not_ready")],
            report(row(result="failed"), status="not_ready"),
            id="nobody knows what became of a refresh of one that is silent",
        ),
    ],
)
def test_of_several_reports_the_worst_is_told(reports: list[Report], merged: Report) -> None:
    assert merge(reports, complete=True, draining=False) == merged


def test_it_is_ready_only_when_all_are_there_and_nobody_is_to_stop() -> None:
    told = [report(row())]

    assert merge(told, complete=False, draining=False)["status"] == "not_ready"
    assert merge(told, complete=True, draining=True)["status"] == "draining"


def test_one_worker_that_was_told_to_stop_leaves_the_server_ready_while_others_serve() -> None:
    leaving = report(row(), status="draining")

    assert merge([leaving, report(row())], complete=True, draining=False)["status"] == "ready"
    assert merge([leaving], complete=True, draining=False)["status"] == "not_ready"


@asynccontextmanager
async def answering(crew: Crew, place: int, told: Report, asked: list[int]) -> AsyncIterator[None]:
    async def answer(_request: web.Request) -> web.Response:
        asked.append(place)
        return web.json_response(told)

    app = web.Application()
    app.router.add_get(Question.READY, answer)
    app.router.add_post(Question.REFRESH, answer)
    path = crew.socket_of(place)

    def sites(runner: web.AppRunner) -> list[web.BaseSite]:
        return [web.UnixSite(runner, path)]

    async with listening(private(app), sites, "a sibling", at_once=asyncio.Event()):
        yield


async def nothing(_serving: object) -> None:
    """Say nothing."""


@pytest.fixture
def crew(tmp_path: Path, clock: FakeClock) -> Crew:
    board = Board(3, now=clock)
    for place in board.places:
        board.beat(place)
        board.state[place] = SERVING
    return Crew(board, SharedMemory(), Ports([], [], []), tmp_path, (), NotImplemented, nothing)


async def ask(crew: Crew, question: Question, own: Report) -> Report:
    async def mine() -> Report:
        return own

    return await Siblings(crew, 0).share(question, mine())


async def test_all_who_serve_are_asked(crew: Crew) -> None:
    asked: list[int] = []
    async with (
        answering(crew, 1, report(row(keys=1)), asked),
        answering(crew, 2, report(row(state="stale")), asked),
    ):
        for question in Question:
            told = await ask(crew, question, report(row()))
            assert told == report(row(keys=1, state="stale"))

    assert sorted(asked) == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("state", "status"), [(NEW, "not_ready"), (SERVING, "ready"), (GONE, "ready")]
)
async def test_one_that_is_being_replaced_is_not_missed_one_that_never_served_is(
    crew: Crew, state: int, status: str
) -> None:
    crew.board.state[1] = GONE
    crew.board.state[2] = state

    # Nobody answers at 2: it has just ended, or has not begun.
    assert await ask(crew, Question.READY, report(row())) == report(row(), status=status)


async def test_one_that_hangs_is_seen_and_not_waited_for(crew: Crew, clock: FakeClock) -> None:
    clock.time += 60
    crew.board.beat(0)
    crew.board.state[1] = GONE

    told = await ask(crew, Question.READY, report(row()))

    assert told == report(row(), status="not_ready")


async def test_what_a_worker_lacks_that_does_not_serve_yet_harms_nobody(crew: Crew) -> None:
    crew.board.state[0] = crew.board.state[2] = GONE
    asked: list[int] = []
    mine = report(row(state="empty", keys=0), status="not_ready")

    async with answering(crew, 1, report(row()), asked):
        assert await ask(crew, Question.READY, mine) == report(row())
    crew.board.state[1] = GONE
    assert await ask(crew, Question.READY, mine) == mine


async def test_all_are_draining_at_once(crew: Crew) -> None:
    crew.board.drain()

    assert (await ask(crew, Question.READY, report(row())))["status"] == "draining"


async def test_an_answer_that_does_not_come_is_not_waited_for(crew: Crew) -> None:
    crew.board.state[2] = GONE

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(crew.socket_of(1)))
        silent.listen()
        told = await ask(crew, Question.READY, report(row()))

    assert told == report(row(), status="not_ready")
