"""The admin listener: is the process alive, can it judge tokens, and fetch the keys now."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from aiohttp import web

from server.jwks.journal import Result, Trigger
from server.jwks.snapshot import Status
from server.web.answering import sign_answers
from server.web.cors import Cors, CorsSettings
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


_NO_PAGES = Cors(CorsSettings())


def operations_app(
    keys: Callable[[], Sequence[IssuerKeys]], *, draining: Callable[[], bool]
) -> web.Application:
    """Make the application that operators ask about *keys*; never on the public port."""

    def status() -> str:
        ready = all(each.is_usable for each in keys())
        return "draining" if draining() else "ready" if ready else "not_ready"

    async def livez(_request: web.Request) -> web.Response:
        return _answer({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        rows = [_row(each.status) for each in keys()]
        code = 200 if status() == "ready" else 503
        return _answer({"status": status(), "issuers": rows}, status=code)

    async def refresh(_request: web.Request) -> web.Response:
        asked = keys()
        results = await asyncio.gather(*(each.refresh(Trigger.FORCED) for each in asked))
        pairs = zip(asked, results, strict=True)
        rows = [_row(each.status) | {"result": result} for each, result in pairs]
        return _answer({"status": status(), "issuers": rows})

    app = web.Application(middlewares=[problem_details(lambda: "operations")])
    sign_answers(app, lambda: _NO_PAGES)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_post("/jwks/refresh", refresh)
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
