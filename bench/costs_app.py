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
from server.metrics import Metrics
from server.oauth.jwk_set import parse_jwks
from server.routes import ROUTES
from server.web import get, public
from server.web.answering import SIGN, sign_answers
from server.web.exchange import EXCHANGE
from server.web.listener import Runner
from server.web.measurement import MEASUREMENT, Measurement
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
    if asks:
        app.middlewares.append(problem_details(lambda: rules.realm))
        app.middlewares.append(protect(table, lambda: rules.protector, lambda: rules.cors))
    if "CORS" in has:
        sign_answers(app, lambda: rules.cors)
    else:
        app[SIGN] = _name_request if "request id" in has else _say_nothing
        app.on_response_prepare.append(_prepare)
    app[MEASUREMENT] = Measurement(Metrics()) if "metrics" in has else _Uncounted(Metrics())
    return Runner(app, shutdown_timeout=1, log_requests="log" in has)


def _say_nothing(_request: web.Request, _response: web.StreamResponse) -> None:
    pass


def _name_request(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["X-Request-Id"] = request[EXCHANGE].request_id


async def _prepare(_request: web.Request, _response: web.StreamResponse) -> None:
    pass  # no answer here is prepared: they are written at once


class _Uncounted(Measurement):
    def take(self, *_of: object) -> None:
        pass


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
