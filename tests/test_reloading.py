"""The configuration changed under a running server, while requests are in flight."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from aiohttp import ClientSession
from structlog.typing import EventDict

from server.config import Config
from server.reloading import obey_reloads, tell_reloaded
from tests.minting import ISSUER
from tests.processes import Ports, Process, running

AUDIENCE = "https://quickstarts/api"


class Server:
    """A running server, its file, and a client that never stops asking."""

    def __init__(self, session: ClientSession, ports: Ports, process: Process, file: Path) -> None:
        self.session = session
        self.ports = ports
        self.process = process
        self.file = file

    async def reload(self, **settings: Any) -> dict[str, Any]:
        """Change the file, ask for a reload, and give the line that tells of it."""
        if settings:
            self.file.write_text(yaml.safe_dump({"audience": AUDIENCE} | settings), "utf-8")
        before = len(self._told())
        os.kill(self.process.popen.pid, signal.SIGHUP)
        while len(self._told()) == before:
            await asyncio.to_thread(self.process.wait_for_more)
        return self._told()[-1]

    def _told(self) -> list[dict[str, Any]]:
        return [each for each in self.process.events if each["event"].startswith("config.")]

    async def status(self, token: str, **headers: str) -> int:
        url = f"http://127.0.0.1:{self.ports.api}/api/private"
        sent = {"Authorization": f"Bearer {token}", **headers}
        async with self.session.get(url, headers=sent) as answer:
            return answer.status

    @asynccontextmanager
    async def under_load(self, token: str) -> AsyncIterator[list[int]]:
        """Ask with *token* over and over; gives what was answered."""
        answers: list[int] = []
        begun = asyncio.Event()

        async def ask() -> None:
            while True:
                answers.append(await self.status(token))
                begun.set()

        asking = [asyncio.create_task(ask()) for _ in range(8)]
        await begun.wait()
        try:
            yield answers
        finally:
            for each in asking:
                each.cancel()
            await asyncio.gather(*asking, return_exceptions=True)


async def token_of(session: ClientSession, ports: Ports) -> str:
    form = {"grant_type": "client_credentials", "client_id": "keyturn-dev", "client_secret": "dev-secret"}  # fmt: skip
    async with session.post(f"{ports.issuer_name}oauth/token", data=form) as answer:
        return str((await answer.json())["access_token"])


OURS, THEIRS = Ports(), Ports()


@pytest.fixture(scope="module")
def issuers() -> Any:
    """Two development issuers, each in a process of its own."""
    with (
        running("issuer", environ=OURS.environ | {"KEYTURN__AUDIENCE": AUDIENCE}) as ours,
        running("issuer", environ=THEIRS.environ | {"KEYTURN__AUDIENCE": AUDIENCE}) as theirs,
    ):
        ours.wait_for("dev_issuer.started")
        theirs.wait_for("dev_issuer.started")
        yield ours, theirs


@contextmanager
def serving(directory: Path) -> Iterator[tuple[Ports, Process, Path]]:
    ports = Ports()
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({"audience": AUDIENCE, "issuers": [ours()]}), "utf-8")
    environ = {
        name: value
        for name, value in ports.environ.items()
        if name in {"KEYTURN__LISTEN__PORT", "KEYTURN__ADMIN__PORT"}
    }
    with running(environ=environ, cwd=directory) as process:
        process.wait_for("jwks.refreshed")
        yield ports, process, file


@pytest.fixture(scope="module")
def shared(
    issuers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Ports, Process, Path]]:
    with serving(tmp_path_factory.mktemp("reloading")) as parts:
        yield parts


@pytest.fixture
async def server(shared: tuple[Ports, Process, Path]) -> AsyncIterator[Server]:
    """A server that others use as well, with the configuration that it began with."""
    async with ClientSession() as session:
        server = Server(session, *shared)
        await server.reload(issuers=[ours()])
        yield server


@pytest.fixture
async def server_to_stop(issuers: Any, tmp_path: Path) -> AsyncIterator[Server]:
    with serving(tmp_path) as parts:
        async with ClientSession() as session:
            yield Server(session, *parts)


def ours(**settings: Any) -> dict[str, Any]:
    return {"issuer": OURS.issuer_name, **settings}


def theirs(**settings: Any) -> dict[str, Any]:
    return {"issuer": THEIRS.issuer_name, **settings}


async def test_an_issuer_that_is_added_is_believed_and_the_others_notice_nothing(
    server: Server,
) -> None:
    mine, new = [await token_of(server.session, each) for each in (OURS, THEIRS)]
    assert await server.status(new) == 401
    before = len(server.process.told("jwks.refreshed"))

    async with server.under_load(mine) as answers:
        told = await server.reload(issuers=[ours(), theirs()])

        assert await server.status(new) == 200, "its keys were there before it was believed"
    assert told["event"] == "config.reloaded"
    assert told["issuers"] == [OURS.issuer_name, THEIRS.issuer_name]
    assert set(answers) == {200}
    fetches = server.process.told("jwks.refreshed")[before:]
    assert [each["issuer"] for each in fetches] == [THEIRS.issuer_name]


async def test_an_issuer_that_is_removed_is_refused_at_once_verified_tokens_included(
    server: Server,
) -> None:
    mine, other = [await token_of(server.session, each) for each in (OURS, THEIRS)]
    await server.reload(issuers=[ours(), theirs()])
    assert await server.status(mine) == await server.status(other) == 200

    async with server.under_load(mine) as answers:
        await server.reload(issuers=[theirs()])
        assert await server.status(mine) == 401
        assert await server.status(other) == 200

    assert set(answers) == {200, 401}


async def test_an_issuer_that_is_changed_is_judged_by_the_new_policy_without_a_gap(
    server: Server,
) -> None:
    mine = await token_of(server.session, OURS)

    async with server.under_load(mine) as answers:
        await server.reload(issuers=[ours()], jwks={"timeout": "3s"})
        await server.reload(issuers=[ours(profile="at+jwt", leeway="5s")])
    assert set(answers) == {200}

    await server.reload(issuers=[ours(audience="https://another")])
    assert await server.status(mine) == 401
    await server.reload(issuers=[ours()])
    assert await server.status(mine) == 200


async def test_a_configuration_that_cannot_be_used_changes_nothing(server: Server) -> None:
    mine = await token_of(server.session, OURS)

    async with server.under_load(mine) as answers:
        told = await server.reload(issuers=[ours(leeway="soon")], bogus=1)

    assert told["event"] == "config.rejected"
    assert sorted(each.split(":")[0] for each in told["faults"]) == ["bogus", "issuers[0].leeway"]
    assert set(answers) == {200}


async def test_a_file_that_is_gone_changes_nothing(server: Server) -> None:
    mine = await token_of(server.session, OURS)
    server.file.unlink()

    told = await server.reload()

    assert told["event"] == "config.rejected"
    assert told["faults"] == ["config.yaml: no such file"]
    assert await server.status(mine) == 200


async def test_what_nobody_expected_is_told_and_the_next_reload_works(
    log: list[EventDict],
) -> None:
    class Reloadable:
        configs: ClassVar[list[Config]] = []

        async def reload(self, config: Config) -> None:
            self.configs.append(config)

    config = Config.model_validate({"issuers": [{"issuer": ISSUER, "audience": "a"}]})
    wanted = asyncio.Event()
    readings: Iterator[Config | Exception] = iter([ZeroDivisionError("a fault of ours"), config])

    def read() -> Config:
        reading = next(readings)
        if isinstance(reading, Exception):
            raise reading
        return reading

    keyturn: Any = Reloadable()
    applied = partial(tell_reloaded, instead_of=config)
    obeying = asyncio.create_task(obey_reloads(keyturn, wanted, read, applied=applied))
    for event in ("config.rejected", "config.reloaded"):
        wanted.set()
        while event not in [each["event"] for each in log]:  # noqa: ASYNC110 (a thread reads)
            await asyncio.sleep(0)

    assert keyturn.configs == [config]
    assert log[0].get("exc_info")
    obeying.cancel()


async def test_stopping_does_not_wait_for_a_reload(server_to_stop: Server) -> None:
    server = server_to_stop
    with socket.create_server(("127.0.0.1", 0)) as silent:
        issuers = [ours(), {"issuer": f"http://127.0.0.1:{silent.getsockname()[1]}/"}]
        server.file.write_text(yaml.safe_dump({"audience": AUDIENCE, "issuers": issuers}), "utf-8")
        os.kill(server.process.popen.pid, signal.SIGHUP)
        connection, _ = await asyncio.to_thread(silent.accept)

        with connection:
            assert await asyncio.to_thread(server.process.stop) == 0

    names = [each["event"] for each in server.process.events]
    assert names[-1] == "server.stopped"
    assert [each for each in names if each.startswith("server.")][-2:] == [
        "server.stopping",
        "server.stopped",
    ]


async def test_all_else_that_can_be_changed_is(server_to_stop: Server) -> None:
    server = server_to_stop
    mine = await token_of(server.session, OURS)
    origin = "https://app.example"
    told = await server.reload(
        issuers=[ours()],
        realm="another",
        cors={"origins": [origin]},
        token_cache={"size": 0},
        logging={"level": "warning"},
        listen={"host": "localhost"},
    )

    url = f"http://127.0.0.1:{server.ports.api}/api/private"
    async with server.session.get(url, headers={"Origin": origin}) as answer:
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="another"'
        assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert told["needs_restart"] == ["listen"]
    before = len(server.process.out)
    assert await server.status(mine) == 200
    told = await server.reload(issuers=[ours()])
    assert told["event"] == "config.reloaded", "by the new level, which is info again"
    assert len(server.process.out[before:]) == 1, "the request was not told: it is at level info"
    assert server.process.stop() == 0
