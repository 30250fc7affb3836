"""Against an issuer that is not ours: oidc-provider, a certified OpenID provider, on Node."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, encode_basic_auth

from server.oauth.unverified_token import UnverifiedToken
from tests.processes import Ports, Process, running

HERE = Path(__file__).parent
AUDIENCE = "https://quickstarts/api"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not shutil.which("node"), reason="Node is missing: install it from nodejs.org"
    ),
    pytest.mark.skipif(
        not (HERE / "node_modules").exists(), reason="oidc-provider is missing: make test-interop"
    ),
]


class Interop:
    """A running server, and an issuer of others that it believes."""

    def __init__(self, session: ClientSession, ports: Ports) -> None:
        self._session = session
        self._api = f"http://localhost:{ports.api}/api"
        self.issuer = f"http://localhost:{ports.issuer}"

    async def token(self, **form: str) -> str:
        async with self._session.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", **form},
            headers={"Authorization": encode_basic_auth("app", "app-secret")},
        ) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return str(body["access_token"])

    async def rotate(self) -> None:
        async with self._session.post(f"{self.issuer}/rotate") as answer:
            assert answer.status == 200

    async def ask(self, path: str, token: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.get(f"{self._api}/{path}", headers=headers) as answer:
            return answer.status, answer.headers.get("WWW-Authenticate", "")


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports()


@pytest.fixture(scope="module")
def issuer(ports: Ports) -> Iterator[Process]:
    process = Process(["node", str(HERE / "issuer.mjs"), str(ports.issuer)], {}, HERE)
    process.wait_for("listening on")
    yield process
    process.stop()


@pytest.fixture(scope="module", params=["jwt", "at+jwt"])
def server(request: pytest.FixtureRequest, ports: Ports, issuer: Process) -> Iterator[Process]:
    believed = [{"issuer": f"http://localhost:{ports.issuer}", "profile": request.param}]
    environ = ports.environ | {
        "KEYTURN__ISSUERS": json.dumps(believed),
        "KEYTURN__DEV_ISSUER__ENABLED": "false",
    }
    with running(environ=environ) as process:
        process.wait_for("jwks.refreshed")
        yield process


@pytest.fixture
async def interop(ports: Ports, server: Process) -> AsyncIterator[Interop]:
    async with ClientSession() as session:
        yield Interop(session, ports)


async def test_its_token_is_accepted_and_its_scope_enforced(interop: Interop) -> None:
    scoped, bare = await interop.token(scope="read:messages"), await interop.token()

    assert (await interop.ask("private-scoped", scoped))[0] == 200
    assert (await interop.ask("private", bare))[0] == 200
    status, challenge = await interop.ask("private-scoped", bare)
    assert status == 403
    assert 'scope="read:messages"' in challenge


async def test_its_rotations_are_survived(interop: Interop) -> None:
    old = await interop.token()
    for _ in range(4):
        await interop.rotate()
        new = await interop.token()
        assert UnverifiedToken.parse(new).jws.key_id != UnverifiedToken.parse(old).jws.key_id
        answers = await asyncio.gather(*(interop.ask("private", each) for each in [old, new] * 20))
        assert {status for status, _ in answers} == {200}
        old = new


async def test_its_token_with_another_signature_is_refused(interop: Interop) -> None:
    head, body, signature = (await interop.token()).split(".")

    status, challenge = await interop.ask("private", f"{head}.{body}.{signature[::-1]}")

    assert status == 401
    assert 'error="invalid_token"' in challenge
