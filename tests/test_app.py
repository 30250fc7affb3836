"""The product as a whole, in a process of its own: rotation, two issuers, start and stop."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession
from joserfc import jwk

from server.oauth.unverified_token import UnverifiedToken
from tests.minting import AUDIENCE, ISSUER, claims, header, sign
from tests.processes import ROOT, WORKERS, Ports, Process, Redis, running


class Keyturn:
    """A running server and its development issuer, as a client sees them."""

    def __init__(self, session: ClientSession, ports: Ports, process: Process) -> None:
        self.session = session
        self.ports = ports
        self.process = process

    async def token(self, **form: str) -> str:
        sent = {
            "grant_type": "client_credentials",
            "client_id": "keyturn-dev",
            "client_secret": "dev-secret",
            **form,
        }
        async with self.session.post(f"{self.ports.issuer_name}oauth/token", data=sent) as answer:
            return str((await answer.json())["access_token"])

    async def status(self, path: str = "/api/private", token: str | None = None) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://127.0.0.1:{self.ports.api}{path}"
        async with self.session.get(url, headers=headers) as answer:
            return answer.status

    async def rotate(self, **wish: bool) -> str:
        url = f"{self.ports.issuer_name}control/rotate"
        async with self.session.post(url, json=wish) as answer:
            return str((await answer.json())["kid"])

    async def fault(self, mode: str) -> None:
        url = f"{self.ports.issuer_name}control/fault"
        async with self.session.post(url, json={"mode": mode, "seconds": 60}) as answer:
            assert answer.status == 200

    async def refresh(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.ports.admin}/jwks/refresh"
        async with self.session.post(url) as answer:
            rows: list[dict[str, Any]] = (await answer.json())["issuers"]
            return rows[0]

    async def ready(self) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.ports.admin}/readyz"
        async with self.session.get(url) as answer:
            return answer.status, await answer.json()


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def process(ports: Ports) -> Iterator[Process]:
    with running(environ=ports.environ) as process:
        process.wait_for("# 403")
        yield process


@pytest.fixture
async def keyturn(ports: Ports, process: Process) -> AsyncIterator[Keyturn]:
    async with ClientSession() as session:
        yield Keyturn(session, ports, process)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Ports, Process]]:
    ports = Ports()
    with running(environ=ports.environ) as process:
        process.wait_for("# 403")
        yield ports, process


@pytest.fixture
async def well(shared: tuple[Ports, Process]) -> AsyncIterator[Keyturn]:
    """A server that others use as well: leave it as well as it was."""
    async with ClientSession() as session:
        yield Keyturn(session, *shared)


async def test_the_quickstart(well: Keyturn) -> None:
    token = await well.token()
    guest = await well.token(client_id="keyturn-guest", client_secret="guest-secret")

    assert await well.status("/api/public") == 200
    assert await well.status("/api/private") == 401
    assert await well.status("/api/private", token) == 200
    assert await well.status("/api/private-scoped", token) == 200
    assert await well.status("/api/private-scoped", guest) == 403
    status, body = await well.ready()
    assert status == 200
    assert body["issuers"][0]["issuer"] == well.ports.issuer_name


async def test_no_request_fails_while_the_key_turns_and_turns(well: Keyturn) -> None:
    """Old and new tokens, each used only while its key is published."""
    answers: list[int] = []
    turned: list[str] = []
    tokens = [await well.token()]
    for _ in range(8):
        turned.append(await well.rotate())
        tokens = [tokens[-1], await well.token()]
        answers += await asyncio.gather(
            *(well.status(token=token) for token in tokens * 25),
        )

    assert answers == [200] * 400
    told = {kid for each in well.process.told("jwks.rotated") for kid in each["added"]}
    assert told.issuperset(turned[:-1]), "the last may not have been written yet"


async def test_a_key_that_has_left_takes_its_tokens_along(well: Keyturn) -> None:
    old = await well.token()
    assert await well.status(token=old) == 200

    await well.rotate(revoke=True)
    assert await well.status(token=await well.token()) == 200

    assert await well.status(token=old) == 401


async def test_whatever_the_issuer_does_what_is_known_is_served_and_nobody_is_called_a_forger(
    keyturn: Keyturn,
) -> None:
    for mode in ("down", "error", "garbage", "empty", "huge", "redirect", "truncated"):
        token = await keyturn.token()
        assert await keyturn.status(token=token) == 200, mode
        await keyturn.fault(mode)

        assert (await keyturn.refresh())["result"] == "failed", mode
        assert await keyturn.status(token=token) == 200, mode
        await keyturn.rotate()
        new = await keyturn.token()
        assert await keyturn.status(token=new) == 503, mode
        assert (await keyturn.ready())[0] == 200, mode

        await keyturn.fault("none")
        assert (await keyturn.refresh())["result"] == "ok", mode
        assert await keyturn.status(token=new) == 200, mode


async def test_stopping_in_mid_fetch_is_stopping_at_once(keyturn: Keyturn) -> None:
    await keyturn.fault("slow")
    asking = [asyncio.create_task(keyturn.refresh()) for _ in range(2)]
    new = asyncio.create_task(keyturn.status(token=await keyturn.token()))
    await asyncio.to_thread(keyturn.process.wait_for, "dev_issuer.fault")

    assert await asyncio.to_thread(keyturn.process.stop) == 0

    await asyncio.gather(*asking, new, return_exceptions=True)
    assert "Traceback" not in "".join(keyturn.process.err + keyturn.process.out)
    assert not [each for each in keyturn.process.events if each["event"] == "jwks.refresh_failed"]


async def test_a_key_that_was_revoked_is_dead_at_once_if_one_asks_for_it(well: Keyturn) -> None:
    token = await well.token()
    assert await well.status(token=token) == 200
    await well.rotate(revoke=True)

    row = await well.refresh()

    assert (row["result"], row["state"], row["keys"]) == ("ok", "fresh", 1)
    assert await well.status(token=token) == 401


async def test_a_forged_token_of_a_new_key_is_refused_and_the_log_says_why(
    keyturn: Keyturn,
) -> None:
    head, body, _ = (await keyturn.token()).split(".")

    assert await keyturn.status(token=f"{head}.{body}.{'A' * 342}") == 401

    keyturn.process.stop()
    assert "bad_signature" in [event.get("auth.reason") for event in keyturn.process.events]


async def test_the_log_is_one_json_object_a_line_and_holds_no_token(keyturn: Keyturn) -> None:
    token = await keyturn.token()
    await keyturn.status(token=token)
    await keyturn.status(f"/api/private?access_token={token}")
    await keyturn.rotate()

    assert keyturn.process.stop() == 0

    names = [event["event"] for event in keyturn.process.events]
    assert {"server.started", "jwks.refreshed", "dev_issuer.rotated"} <= set(names)
    of_server = [name for name in names if name.startswith("server.")]
    assert of_server == ["server.started", "server.stopping", "server.stopped"]
    assert names.count("request") == 2
    assert token.split(".")[1] not in "".join(keyturn.process.out)
    assert "dev-secret" not in "".join(keyturn.process.out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_both_servers_end_cleanly(keyturn: Keyturn, number: int) -> None:
    assert keyturn.process.stop(number) == 0
    assert "Traceback" not in "\n".join(keyturn.process.err)

    with pytest.raises(ClientConnectionError):
        await keyturn.status()
    with pytest.raises(ClientConnectionError):
        await keyturn.token()


SHOP = """
import asyncio
import threading
import time
from pathlib import Path
from aiohttp import web
from server.web import get, public

async def slow(_request):
    print("begun", flush=True)
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return web.Response(text="done")

async def stuck(_request):
    print("begun", flush=True)
    await asyncio.to_thread(time.sleep, 60)

async def leave(_request):
    threading.Thread(target=time.sleep, args=[60]).start()
    return web.Response(text="done")

ROUTES = (get("/slow", slow, public), get("/stuck", stuck, public), get("/leave", leave, public))
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(
        "audience: a\nroutes: shop:ROUTES\ndev_issuer: {enabled: true}", encoding="utf-8"
    )
    return tmp_path


async def test_what_has_begun_is_finished_before_the_end(ports: Ports, shop: Path) -> None:
    environ = ports.environ | {"KEYTURN__ROUTES": "shop:ROUTES"}
    with running(environ=environ, cwd=shop) as process:
        process.wait_for("server.started")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)
            slow = asyncio.create_task(keyturn.status("/slow"))
            await asyncio.to_thread(process.wait_for, "begun")

            os.kill(process.popen.pid, signal.SIGTERM)
            await asyncio.to_thread(process.wait_for, "server.stopping")

            status, body = await keyturn.ready()
            assert (status, body["status"]) == (503, "draining")
            (shop / "go").touch()
            assert await slow == 200
        assert await asyncio.to_thread(process.ended) == 0


async def test_it_goes_on_for_a_while_and_waits_for_nobody_when_told_again(
    ports: Ports, shop: Path
) -> None:
    environ = ports.environ | {
        "KEYTURN__ROUTES": "shop:ROUTES",
        "KEYTURN__LISTEN__DRAIN_DELAY": "1h",
        "KEYTURN__LISTEN__SHUTDOWN_TIMEOUT": "1h",
    }
    with running(environ=environ, cwd=shop) as process:
        process.wait_for("server.started")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)
            stuck = asyncio.create_task(keyturn.status("/stuck"))
            await asyncio.to_thread(process.wait_for, "begun")

            os.kill(process.popen.pid, signal.SIGTERM)
            await asyncio.to_thread(process.wait_for, "server.stopping")
            status, body = await keyturn.ready()
            assert (status, body["status"]) == (503, "draining")
            async with session.get(f"http://127.0.0.1:{ports.api}/nothing") as answer:
                assert answer.status == 404, "connections are taken"
                assert answer.headers["Connection"] == "close", "and not kept"
            os.kill(process.popen.pid, signal.SIGINT)

            assert await asyncio.to_thread(process.ended) == 0
            with pytest.raises(ClientConnectionError):
                await stuck
    assert "Traceback" not in "".join(process.err)
    assert any('"url.path":"/stuck"' in line for line in process.out), "it has its line"


async def test_a_thread_that_a_handler_has_left_does_not_keep_the_process(
    ports: Ports, shop: Path
) -> None:
    environ = ports.environ | {
        "KEYTURN__ROUTES": "shop:ROUTES",
        "KEYTURN__LISTEN__SHUTDOWN_TIMEOUT": "0.1s",
    }
    with running(environ=environ, cwd=shop) as process:
        process.wait_for("server.started")
        async with ClientSession() as session:
            assert await Keyturn(session, ports, process).status("/leave") == 200

        assert await asyncio.to_thread(process.stop) == 0


async def test_a_signal_while_greeting_is_obeyed(ports: Ports) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuers = [
            {"issuer": ports.issuer_name},
            {"issuer": f"http://127.0.0.1:{silent.getsockname()[1]}/"},
        ]
        environ = ports.environ | {"KEYTURN__ISSUERS": json.dumps(issuers)}
        with running(environ=environ) as process:
            process.wait_for("server.started")

            assert await asyncio.to_thread(process.stop) == 0

    assert "Traceback" not in "".join(process.err)
    assert process.events[-1]["event"] == "server.stopped"


async def test_a_reader_of_the_log_that_goes_away_is_no_harm(ports: Ports) -> None:
    process = Process(["/bin/sh", "-c", f"{sys.executable} -m server | true"], ports.environ, ROOT)
    process.wait_for("# 403")
    async with ClientSession() as session:
        keyturn = Keyturn(session, ports, process)

        await keyturn.rotate()

        assert await keyturn.status(token=await keyturn.token()) == 200
        assert (await keyturn.ready())[0] == 200
    process.stop()
    assert process.err[-1] == ""


async def test_an_issuer_that_is_down_at_first_is_found_when_it_comes(ports: Ports) -> None:
    environ = ports.environ | {"KEYTURN__AUDIENCE": "https://quickstarts/api"}
    without = environ | {"KEYTURN__DEV_ISSUER__ENABLED": "false"}
    with running("serve", environ=without) as process:
        process.wait_for("jwks.refresh_failed")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)
            assert await keyturn.status("/api/public") == 200
            now = int(time.time())
            early = sign(claims(iss=ports.issuer_name, iat=now, exp=now + 60))
            assert await keyturn.status(token=early) == 503
            async with session.get(f"http://127.0.0.1:{ports.admin}/livez") as answer:
                assert answer.status == 200
            status, body = await keyturn.ready()
            assert (status, body["status"]) == (503, "not_ready")
            assert body["issuers"][0]["state"] == "empty"

            with running("issuer", environ=environ) as issuer:
                issuer.wait_for("dev_issuer.started")
                token = await keyturn.token()
                process.wait_for("jwks.refreshed", times=WORKERS)
                assert await keyturn.status(token=token) == 200
                assert (await keyturn.ready())[0] == 200
                assert issuer.stop() == 0

            assert await keyturn.status(token=token) == 200, "the keys outlive the issuer"


async def test_who_starts_while_the_issuer_is_down_begins_with_what_others_have_shared(
    ports: Ports, redis: Redis
) -> None:
    environ = ports.environ | {"KEYTURN__JWKS__STORE": redis.url}
    replica = ports.environ | {
        "KEYTURN__JWKS__STORE": redis.url,
        "KEYTURN__AUDIENCE": "https://quickstarts/api",
        "KEYTURN__DEV_ISSUER__ENABLED": "false",
    }
    with running(environ=environ) as process:
        process.wait_for("# 403")
        async with ClientSession() as session:
            token = await Keyturn(session, ports, process).token()
        assert process.stop() == 0  # and the issuer with it

    with running(environ=replica) as process:
        process.wait_for("jwks.refreshed")
        process.wait_for("server.started")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)

            assert await keyturn.status(token=token) == 200
            assert (await keyturn.ready())[0] == 200
        assert process.stop() == 0

    assert [each["trigger"] for each in process.told("jwks.refreshed")] == ["store"]


async def test_a_store_that_hangs_harms_nobody(ports: Ports, redis: Redis) -> None:
    redis.pause()
    with running(environ=ports.environ | {"KEYTURN__JWKS__STORE": redis.url}) as process:
        process.wait_for("# 403")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)
            for _ in range(3):
                await keyturn.rotate()
                assert await keyturn.status(token=await keyturn.token()) == 200
        assert process.stop() == 0

    assert [each["cause"] for each in process.told("jwks.store_failed")] == ["TimeoutError"]


async def test_an_issuer_with_a_secret_needs_no_network(ports: Ports) -> None:
    secret = "a secret of two hundred and fifty-six bits"
    key = jwk.OctKey.import_key(secret)
    issuers = [{"issuer": ISSUER, "audience": AUDIENCE, "secret_env": "API_SECRET"}]
    environ = ports.environ | {
        "KEYTURN__ISSUERS": json.dumps(issuers),
        "KEYTURN__DEV_ISSUER__ENABLED": "false",
        "API_SECRET": secret,
    }
    now = int(time.time())
    theirs = claims(iat=now, exp=now + 60)
    with running(environ=environ) as process:
        process.wait_for("server.started")
        async with ClientSession() as session:
            keyturn = Keyturn(session, ports, process)
            assert await keyturn.status(token=sign(theirs, header(alg="HS256"), key)) == 200
            assert await keyturn.status(token=sign(theirs)) == 401
            forger = jwk.OctKey.import_key(secret[::-1])
            assert await keyturn.status(token=sign(theirs, header(alg="HS256"), forger)) == 401
            assert (await keyturn.ready())[0] == 200
        assert process.stop() == 0

    assert secret not in "".join(process.out)
    reasons = [each.get("auth.reason") for each in process.events if each["event"] == "request"]
    assert reasons == [None, "algorithm_not_allowed", "bad_signature"]


async def test_two_issuers_are_believed_each_for_itself(ports: Ports) -> None:
    other = Ports()
    issuers = [
        {"issuer": ports.issuer_name, "audience": "https://quickstarts/api"},
        {"issuer": other.issuer_name, "audience": "https://other/api"},
    ]
    theirs = other.environ | {
        "KEYTURN__ISSUERS": json.dumps([{"issuer": other.issuer_name}]),
        "KEYTURN__AUDIENCE": "https://other/api",
    }
    both = ports.environ | {"KEYTURN__ISSUERS": json.dumps(issuers)}
    with running("issuer", environ=theirs) as issuer:
        issuer.wait_for("dev_issuer.started")
        with running(environ=both) as process:
            process.wait_for("# 403")
            await _believed_each_for_itself(ports, process, other, issuer)


async def _believed_each_for_itself(
    ports: Ports, process: Process, other: Ports, issuer: Process
) -> None:
    async with ClientSession() as session:
        keyturn = Keyturn(session, ports, process)
        stranger = Keyturn(session, other, issuer)
        token = await stranger.token()

        assert UnverifiedToken.parse(token).issuer == other.issuer_name
        assert await keyturn.status(token=await keyturn.token()) == 200
        assert await keyturn.status(token=token) == 200


def test_a_port_in_use_is_told_in_one_line(ports: Ports) -> None:
    with (
        socket.create_server(("127.0.0.1", ports.admin)),
        running(environ=ports.environ) as process,
    ):
        assert process.ended() == 1

    assert process.err == [
        f"keyturn: cannot listen on 127.0.0.1:{ports.admin}: Address already in use (admin.port)"
    ]


def test_a_development_issuer_that_nobody_believes_is_told_of(ports: Ports) -> None:
    strange = ports.environ | {"KEYTURN__ISSUERS": '[{"issuer": "https://issuer.example/"}]'}
    with running(environ=strange) as process:
        process.wait_for(f"{ports.issuer_name} is not among issuers")


def test_an_issuer_without_clients_has_nothing_to_show(ports: Ports) -> None:
    with running(environ=ports.environ | {"KEYTURN__DEV_ISSUER__CLIENTS": "[]"}) as process:
        process.wait_for(f"Keyturn serves http://localhost:{ports.api}.")
        assert process.stop() == 0

    assert not [line for line in process.err if line.startswith("curl")]


def test_a_route_that_does_not_say_who_may_stops_the_start(tmp_path: Path, ports: Ports) -> None:
    (tmp_path / "bad.py").write_text(
        "from server.web import get\nROUTES = (get('/x', print, None),)", encoding="utf-8"
    )
    with running(environ=ports.environ | {"KEYTURN__AUDIENCE": "a", "KEYTURN__ROUTES": "bad:ROUTES"}, cwd=tmp_path) as process:  # fmt: skip
        assert process.ended() == 2

    assert process.err == [
        "routes: GET /x: say who may: public, authenticated, scope(…) (from KEYTURN__ROUTES)"
    ]
