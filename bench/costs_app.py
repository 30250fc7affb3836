"""
A server with the first of Keyturn's parts: ``python -m bench.costs_app PART CONFIG``.

It has all parts up to PART; what a part costs is the difference to the one before.  Here is what
must follow, when the application is put together in another way.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from bench import parts
from bench.load import PATH
from bench.peers import bare
from bench.peers.answering import answer_for
from server import logs
from server.app import rules_of
from server.jwks.fixed_key_set import FixedKeySet
from server.oauth.jwk_set import parse_jwks
from server.routes import ROUTES
from server.web import get, public
from server.web.cors import let_pages_call
from server.web.listener import Runner
from server.web.observation import observe, stamp
from server.web.problems import problem_details
from server.web.protection import protect
from server.web.routing import Route, RouteTable

PARTS = (
    "bare",
    "routing and answer",
    "authentication, token seen before",
    "log",
    "metrics",
    "request id",
    "CORS",
)
MISSING = {"metrics": "there are none yet"}


async def _open_answer(_request: web.Request) -> web.Response:
    body = orjson.dumps(answer_for("user-0000000", "read:messages"))
    return web.Response(body=body, content_type="application/json")


_OPEN: tuple[Route, ...] = (get(PATH, _open_answer, public),)


def _with(count: int, jwks: dict[str, object], issuer: str) -> web.AppRunner:
    """Put the first *count* parts together."""
    has = frozenset(PARTS[:count])
    if "routing and answer" not in has:
        return web.AppRunner(bare.app(), access_log=None)
    config = parts.config(issuer=issuer, jwks=jwks, profile="at+jwt")
    rules = rules_of(config, [FixedKeySet(issuer, parse_jwks(jwks))])
    app = web.Application()
    asks = PARTS[2] in has
    table = RouteTable(app, ROUTES if asks else _OPEN)
    if "log" in has:
        app.middlewares.append(observe)
        app.middlewares.append(problem_details(lambda: rules.realm))
    if "CORS" in has:
        let_pages_call(app, lambda: rules.cors)
    if asks:
        app.middlewares.append(protect(table, lambda: rules.protector))
    if "request id" in has:
        app.on_response_prepare.append(stamp)
    return Runner(app, shutdown_timeout=1, log_requests="log" in has)


async def _serve(runner: web.AppRunner) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"]), backlog=1024).start()
    await asyncio.Event().wait()


def main(count: str, jwks: str) -> None:
    logs.configure(logs.LogSettings(format="json"))
    document = json.loads(Path(jwks).read_bytes())
    runner = _with(int(count), document, os.environ["BENCH_ISSUER"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(runner))


if __name__ == "__main__":
    main(*sys.argv[1:])
