import json
from typing import Any

from aiohttp import web

from server.metrics import Metrics
from server.web import authenticated, get, public, scope
from server.web.measurement import DECISIONS, DURATION, MEASUREMENT
from tests.conftest import Client, MakeClient
from tests.minting import ISSUER, token
from tests.raw import send


async def say(_request: web.Request) -> web.Response:
    return web.Response(text="x")


async def crash(_request: web.Request) -> web.Response:
    raise RuntimeError


async def break_the_head(_request: web.Request) -> web.Response:
    return web.Response(headers={"A": "x\ny"})


ROWS = (
    get("/open", say, public),
    get("/notes/{name}", say, authenticated),
    get("/scoped", say, scope("write:notes")),
    get("/crash", crash, public),
    get("/broken", break_the_head, public),
)


def counted(client: Client) -> tuple[dict[str, float], dict[str, float]]:
    app = client.server.app  # type: ignore[attr-defined]
    metrics: Metrics = app[MEASUREMENT].metrics
    found: dict[Any, Any] = dict(metrics.read())
    requests = {json.dumps(labels): sum(n[:-1]) for labels, n in found[DURATION].items()}
    decisions = {json.dumps(labels): n[0] for labels, n in found[DECISIONS].items()}
    return requests, decisions


async def test_each_request_is_counted_once_with_what_became_of_it(
    make_client: MakeClient, calm: None
) -> None:
    client = await make_client(ROWS)
    bearer = {"Authorization": f"Bearer {token()}"}
    for path in ("/open", "/notes/1", "/notes/2", "/scoped", "/nowhere", "/crash", "/broken"):
        await client.get(path, headers=bearer)
    await client.get("/notes/1")
    await client.head("/open")
    await client.post("/open")
    await client.request("PROPFIND", "/open")
    await send(client, b"rubbish\r\n\r\n")

    requests, decisions = counted(client)

    assert requests == {
        '["GET", "/open", "200"]': 1,
        '["GET", "/notes/{name}", "200"]': 2,
        '["GET", "/scoped", "403"]': 1,
        '["GET", "", "404"]': 1,
        '["GET", "/crash", "500"]': 1,
        '["GET", "/broken", "500"]': 1,
        '["GET", "/notes/{name}", "401"]': 1,
        '["HEAD", "/open", "200"]': 1,
        '["POST", "", "405"]': 1,
        '["_OTHER", "", "405"]': 1,
        '["_OTHER", "", "400"]': 1,
    }
    assert decisions == {
        '["anonymous", "", ""]': 8,
        json.dumps(["granted", "", ISSUER]): 2,
        json.dumps(["refused", "insufficient_scope", ISSUER]): 1,
        '["refused", "missing_token", ""]': 1,
    }
