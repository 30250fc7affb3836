"""Asking all workers what an operator asks one of them, and making one answer of it."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from aiohttp import ClientError, ClientSession, UnixConnector

from server.web.operations import Question, Report
from server.workers.crew import GONE, NEW, SERVING, Board, Crew

# From the best to the worst; among several workers the worst is told.
_STATES = ("fresh", "stale", "expired", "empty")
_RESULTS = ("not_modified", "taken_over", "ok", "failed")

# In seconds.  A refresh asks an issuer, who has his own limits.
_PATIENCE = {Question.READY: 1.0, Question.REFRESH: 15.0}
_METHODS = {Question.READY: "GET", Question.REFRESH: "POST"}

_SILENT: Report = {"status": "not_ready", "issuers": []}


class Siblings:
    """The other workers, as the one at *place* sees them."""

    def __init__(self, crew: Crew, place: int) -> None:
        self._crew = crew
        self._place = place

    async def share(self, question: Question, own: Awaitable[Report]) -> Report:
        """Give the report of all who matter, *own* among them."""
        asked = list(self._asked(question))
        mine, *answers = await asyncio.gather(own, *(self._ask(each, question) for each in asked))
        found = {self._place: mine} | dict(zip(asked, answers, strict=True))
        reports = {each: report for each, report in found.items() if report is not None}
        return merge(
            _those_that_matter(reports, self._crew.board),
            complete=_is_complete(self._crew.board),
            draining=self._crew.board.is_draining,
        )

    def _asked(self, question: Question) -> Iterable[int]:
        # One that does not serve yet is to have the newest keys when it does.
        for each in self._crew.board.places:
            does_serve = self._crew.board.state[each] == SERVING
            if each != self._place and (does_serve or question is Question.REFRESH):
                yield each

    async def _ask(self, place: int, question: Question) -> Report | None:
        """Ask one; gives nothing if it does not exist: no client gets to it either."""
        if not self._crew.board.is_alive(place):
            return _SILENT
        path = str(self._crew.socket_of(place))
        try:
            async with (
                asyncio.timeout(_PATIENCE[question]),
                ClientSession(connector=UnixConnector(path)) as session,
                session.request(_METHODS[question], f"http://worker{question}") as answer,
            ):
                return dict(await answer.json())
        except TimeoutError:
            return _SILENT
        except (ClientError, OSError, ValueError):
            return None


def _those_that_matter(reports: dict[int, Report], board: Board) -> list[Report]:
    # Until it serves, what a worker lacks harms no client, unless nobody serves.
    serving = [report for each, report in reports.items() if board.state[each] == SERVING]
    return serving or list(reports.values())


def _is_complete(board: Board) -> bool:
    # One that is being replaced is not missed: the others take its connections.
    states = set(board.state)
    return NEW not in states and states != {GONE}


def merge(reports: Sequence[Report], *, complete: bool, draining: bool) -> Report:
    """
    Make one report of several: of each issuer the worst.

    Args:
        complete: whether those have reported who have to.
        draining: whether all have been told to stop.
    """
    # One that alone was told to stop still serves; it is about to be replaced, and is not missed.
    states = {each["status"] for each in reports}
    ready = complete and "ready" in states and states <= {"ready", "draining"}
    rows: dict[str, list[dict[str, Any]]] = {}
    for report in reports:
        for row in report["issuers"]:
            rows.setdefault(row["issuer"], []).append(row)
    silent = any(not each["issuers"] for each in reports)
    return {
        "status": "draining" if draining else "ready" if ready else "not_ready",
        "issuers": [_worst(each, silent=silent) for each in rows.values()],
    }


def _worst(rows: Sequence[dict[str, Any]], *, silent: bool) -> dict[str, Any]:
    worst: dict[str, Any] = {
        "issuer": rows[0]["issuer"],
        "state": max((each["state"] for each in rows), key=_STATES.index),
        "keys": min(each["keys"] for each in rows),
    }
    ages = [each["age_seconds"] for each in rows if "age_seconds" in each]
    if ages:
        worst["age_seconds"] = max(ages)
    results = [each["result"] for each in rows if "result" in each]
    if results:
        # Of one who did not answer nobody knows whether it has the newest keys.
        worst["result"] = "failed" if silent else max(results, key=_RESULTS.index)
    return worst
