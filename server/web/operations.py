"""The admin listener: is the process alive, can it judge tokens, and fetch the keys now."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import orjson
from aiohttp import web

from server.jwks.journal import Result, Trigger
from server.jwks.snapshot import Status
from server.web.observation import observe, stamp
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


def operations_app(
    keys: Callable[[], Sequence[IssuerKeys]],
    *,
    draining: Callable[[], bool],
    share: Share = alone,
) -> web.Application:
    """
    Make the application that operators ask about *keys*; never on the public port.

    Args:
        draining: whether the process has been told to stop.
        share: with other workers that are to be asked as well.
    """

    def status() -> str:
        ready = all(each.is_usable for each in keys())
        return "draining" if draining() else "ready" if ready else "not_ready"

    async def livez(_request: web.Request) -> web.Response:
        return _answer({"status": "alive"})

    async def own_state() -> Report:
        return {"status": status(), "issuers": [_row(each.status) for each in keys()]}

    async def own_refresh() -> Report:
        asked = keys()
        results = await asyncio.gather(*(each.refresh(Trigger.FORCED) for each in asked))
        pairs = zip(asked, results, strict=True)
        rows = [_row(each.status) | {"result": result} for each, result in pairs]
        return {"status": status(), "issuers": rows}

    async def readyz(_request: web.Request) -> web.Response:
        report = await share(Question.READY, own_state())
        return _answer(report, status=200 if report["status"] == "ready" else 503)

    async def refresh(_request: web.Request) -> web.Response:
        return _answer(await share(Question.REFRESH, own_refresh()))

    app = web.Application(middlewares=[observe, problem_details(lambda: "operations")])
    app.on_response_prepare.append(stamp)
    app.router.add_get("/livez", livez)
    app.router.add_get(Question.READY, readyz)
    app.router.add_post(Question.REFRESH, refresh)
    return app


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
