"""The admin listener: is the process alive, can it judge tokens, and fetch the keys now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import orjson
from aiohttp import web

from server.jwks.outcomes import Result, Trigger
from server.jwks.snapshot import Status
from server.web.answering import sign_answers
from server.web.cors import Cors, CorsSettings
from server.web.metrics_page import CONTENT_TYPE
from server.web.problems import problem_details


class IssuerKeys(Protocol):
    """The keys of one issuer, as an operator sees them."""

    @property
    def is_usable(self) -> bool:
        """Tell whether tokens can be judged."""

    @property
    def status(self) -> Status:
        """What an operator wants to know."""

    async def refresh(self, trigger: Trigger, /) -> Result:
        """Fetch the keys."""


Report = dict[str, Any]
"""What an operator is told: a status, and a row for each issuer."""


class Question(StrEnum):
    """What an operator asks of all workers; the path is the name."""

    READY = "/readyz"
    REFRESH = "/jwks/refresh"


Share = Callable[[Question, Awaitable[Report]], Awaitable[Report]]
"""Gives the report of all workers, who are asked the same; one's own is there already."""


async def alone(_question: Question, own: Awaitable[Report]) -> Report:
    """Report for the only worker there is."""
    return await own


_NO_PAGES = Cors(CorsSettings())


def operations_app(
    keys: Callable[[], Sequence[IssuerKeys]],
    *,
    draining: Callable[[], bool],
    metrics: Callable[[Report], bytes],
    share: Share = alone,
) -> web.Application:
    """
    Make the application that operators ask about *keys*; never on the public port.

    Args:
        draining: whether the process has been told to stop.
        metrics: writes the page of them, with how ready all are.
        share: with other workers that are to be asked as well.
    """
    operations = _Operations(keys, draining, metrics, share)
    app = web.Application(middlewares=[problem_details(lambda: "operations")])
    sign_answers(app, lambda: _NO_PAGES)
    app.router.add_get("/livez", operations.livez)
    app.router.add_get(Question.READY, operations.readyz)
    app.router.add_post(Question.REFRESH, operations.refresh)
    app.router.add_get("/metrics", operations.numbers)
    return app


@dataclass(frozen=True, slots=True)
class _Operations:
    keys: Callable[[], Sequence[IssuerKeys]]
    draining: Callable[[], bool]
    metrics: Callable[[Report], bytes]
    share: Share

    async def livez(self, _request: web.Request) -> web.Response:
        return _answer({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        report = await self.share(Question.READY, self._own_state())
        return _answer(report, status=200 if report["status"] == "ready" else 503)

    async def refresh(self, _request: web.Request) -> web.Response:
        return _answer(await self.share(Question.REFRESH, self._own_refresh()))

    async def numbers(self, _request: web.Request) -> web.Response:
        report = await self.share(Question.READY, self._own_state())
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        return web.Response(body=self.metrics(report), headers=headers)

    async def _own_state(self) -> Report:
        rows = [_row(each.status) for each in self.keys()]
        return {"status": self._status(), "issuers": rows}

    async def _own_refresh(self) -> Report:
        asked = self.keys()
        results = await asyncio.gather(*(each.refresh(Trigger.FORCED) for each in asked))
        pairs = zip(asked, results, strict=True)
        rows = [_row(each.status) | {"result": result} for each, result in pairs]
        return {"status": self._status(), "issuers": rows}

    def _status(self) -> str:
        ready = all(each.is_usable for each in self.keys())
        return "draining" if self.draining() else "ready" if ready else "not_ready"


def _row(status: Status) -> dict[str, Any]:
    row: dict[str, Any] = {
        "issuer": status.issuer,
        "state": status.state.value,
        "keys": status.keys,
    }
    if status.age is not None:
        row["age_seconds"] = round(status.age, 3)
    return row


def _answer(document: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
