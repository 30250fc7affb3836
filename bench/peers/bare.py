"""aiohttp with nothing on it: what an answer costs that asks nothing and tells nothing."""

import os

import orjson
import uvloop
from aiohttp import web

from bench.peers.answering import answer_for

_BODY = orjson.dumps(answer_for("user-0000000", "read:messages"))


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(body=_BODY)


def app() -> web.Application:
    bare = web.Application()
    bare.router.add_get("/api/private-scoped", _answer)
    return bare


if __name__ == "__main__":
    web.run_app(
        app(),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        access_log=None,
        backlog=1024,
        loop=uvloop.new_event_loop(),
        print=None,
    )
