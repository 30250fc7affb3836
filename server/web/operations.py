"""The admin listener: is the process alive, can it judge tokens?"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

from server.jwks.remote_key_set import RemoteKeySet, Status
from server.web.observation import observe, stamp
from server.web.problems import problem_details


def operations_app(
    keys: Sequence[RemoteKeySet], *, draining: Callable[[], bool]
) -> web.Application:
    """Make the application that operators ask; never on the public port."""

    async def livez(_request: web.Request) -> web.Response:
        return _answer({"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        ready = all(each.is_usable for each in keys)
        status = "draining" if draining() else "ready" if ready else "not_ready"
        return _answer(
            {"status": status, "issuers": [_row(each.status) for each in keys]},
            status=200 if status == "ready" else 503,
        )

    app = web.Application(middlewares=[observe, problem_details("operations")])
    app.on_response_prepare.append(stamp)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
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
