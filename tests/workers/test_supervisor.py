"""Two workers, as their clients and operators meet them."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientConnectionError, ClientSession, TCPConnector
from prometheus_client.parser import text_string_to_metric_families

from server.config import Config, load
from server.serving import Serving
from server.shared_numbers import SharedMemory
from server.workers.crew import Board, Crew, how_many
from server.workers.crew import Ports as Listeners
from server.workers.supervisor import Supervisor, wait_before_next
from tests.processes import PATIENCE, Ports, Process

ISSUERS = '[{"issuer": "http://localhost:1/"}]'

# The product, but for its patience with a worker that hangs.
KEYTURN = """
import os
import sys
from server.config import load
from server.workers.starting import supervise

async def started(_serving):
    print("greeted", file=sys.stderr, flush=True)

def read():
    return load(None, os.environ)

supervise(read(), read=read, started=started, hung_after=4.0)
"""

SHOP = """
import asyncio
import os
from pathlib import Path
from aiohttp import web
from server.routes import ROUTES
from server.web import get, public

async def who(_request):
    return web.Response(text=str(os.getpid()))

async def slow(_request):
    Path("begun").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return web.Response(text="done")

ROUTES = (*ROUTES, get("/who", who, public), get("/slow", slow, public))
"""


@contextmanager
def two_workers(directory: Path, **listen: str) -> Iterator["Server"]:
    ports = Ports()
    (directory / "shop.py").write_text(SHOP, encoding="utf-8")
    server = Server(ports, directory)
    server.configure()
    environ = ports.environ | {
        "KEYTURN__LISTEN__WORKERS": "2",
        "KEYTURN__ROUTES": "shop:ROUTES",
        "TMPDIR": str(directory),
        **{f"KEYTURN__LISTEN__{name.upper()}": value for name, value in listen.items()},
    }
    server.process = Process([sys.executable, "-c", KEYTURN], environ, directory)
    try:
        server.process.wait_for("greeted")
        server.process.wait_for("server.started")
        yield server
        if server.process.popen.poll() is None:
            assert server.process.stop() == 0, "also when all are told at once"
        server.process.ended()
        assert not list(directory.glob("keyturn-*"))
    finally:
        server.process.kill()


class Server:
    """A supervisor, its two workers, and what they say."""

    process: Process

    def __init__(self, ports: Ports, directory: Path) -> None:
        self.ports = ports
        self.directory = directory

    def configure(self, **settings: Any) -> None:
        dev = {"enabled": True}
        sound = {"audience": "https://quickstarts/api", "dev_issuer": dev}
        text = yaml.safe_dump(sound | settings)
        (self.directory / "config.yaml").write_text(text, "utf-8")

    def signal(self, number: int) -> None:
        os.kill(self.process.popen.pid, number)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.process.events if each["event"] == name]

    async def answered(self, route: str) -> float:
        """Give how many requests for *route* were answered with 200, by the metrics."""
        labels = {"http_route": route, "http_response_status_code": "200"}
        return await self.counted("http_server_request_duration_seconds_count", **labels)

    async def counted(self, name: str, **labels: str) -> float:
        """Give the sum of the series of *name* with these labels."""
        url = f"http://127.0.0.1:{self.ports.admin}/metrics"
        async with ClientSession() as session, session.get(url) as answer:
            page = await answer.text()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def until_answered(self, route: str, times: float) -> None:
        """Wait until so many were counted, which they are when their answers are out."""
        async with asyncio.timeout(PATIENCE):
            while await self.answered(route) != times:  # noqa: ASYNC110 (other processes)
                await asyncio.sleep(0.02)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not is_so():
                await asyncio.to_thread(self.process.wait_for_more)

    async def workers(self) -> dict[int, int]:
        """Find the two that serve: a process ID for each place."""
        await self.until(lambda: len(self._living()) == 2)
        return self._living()

    def _living(self) -> dict[int, int]:
        living = {}
        for each in self.process.events:
            if each["event"] == "worker.started":
                living[each["worker"]] = each["pid"]
            elif each["event"] == "worker.exited":
                living.pop(each["worker"], None)
        return living

    async def ask(self, path: str, token: str = "") -> tuple[int, str]:
        """Ask over a connection of its own, which any worker may take."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            ClientSession(connector=TCPConnector(force_close=True)) as session,
            session.get(f"http://127.0.0.1:{self.ports.api}{path}", headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def operate(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.ports.admin}{path}"
        async with ClientSession() as session, session.request(method, url) as answer:
            return answer.status, await answer.json()

    async def until_ready(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.operate("GET", "/readyz"))[0] != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def issuer(self, path: str, **form: str) -> dict[str, Any]:
        url = f"{self.ports.issuer_name}{path}"
        async with ClientSession() as session, session.post(url, data=form or None) as answer:
            return dict(await answer.json())

    async def token(self) -> str:
        form = {"client_id": "keyturn-dev", "client_secret": "dev-secret"}
        answer = await self.issuer("oauth/token", grant_type="client_credentials", **form)
        return str(answer["access_token"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with two_workers(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
async def server(shared: Server) -> Server:
    await shared.workers()
    await shared.until_ready()
    return shared


async def test_connections_spread_and_a_token_is_good_with_all(server: Server) -> None:
    token = await server.token()
    workers = set((await server.workers()).values())
    url = f"http://127.0.0.1:{server.ports.api}"
    headers = {"Authorization": f"Bearer {token}"}
    found = []
    sessions = []
    for _ in range(8):
        # Each keeps its connection.
        sessions.append(session := ClientSession())
        async with session.get(f"{url}/api/private-scoped", headers=headers) as answer:
            assert answer.status == 200
        async with session.get(f"{url}/who") as answer:
            found.append(int(await answer.text()))
    for each in sessions:
        await each.close()

    assert set(found) == workers


async def test_one_that_is_killed_is_replaced_while_requests_go_on(server: Server) -> None:
    victim = (await server.workers())[0]
    token = await server.token()
    counted = 4 + await server.answered("/api/private")
    for _ in range(4):
        await server.ask("/api/private", token)
    await server.until_answered("/api/private", counted)
    started = await server.counted("keyturn_worker_starts_total")

    os.kill(victim, signal.SIGKILL)

    await server.until(lambda: server.process.events[-1]["event"] != "request")
    while victim in (await server.workers()).values():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    replacement = (await server.workers())[0]
    exits = [each for each in server.events("worker.exited") if each["pid"] == victim]
    assert [each["signal"] for each in exits] == ["SIGKILL"]
    answers = [await server.ask("/api/private", token) for _ in range(8)]
    assert {status for status, _ in answers} == {200}
    assert replacement != victim
    assert server.process.err.count("greeted") == 1
    # What the dead had counted stays.
    await server.until_answered("/api/private", counted + 8)
    assert await server.counted("keyturn_worker_starts_total") == started + 1
    assert await server.counted("keyturn_workers") == 2
    assert await server.counted("keyturn_ready") == 1
    for worker in ("0", "1", "supervisor"):
        assert await server.counted("process_resident_memory_bytes", worker=worker) > 0


async def test_one_that_hangs_keeps_nobody_waiting_is_seen_and_replaced(server: Server) -> None:
    victim = (await server.workers())[1]

    os.kill(victim, signal.SIGSTOP)

    answers = [await server.ask("/who") for _ in range(4)]
    assert str(victim) not in [pid for _, pid in answers]
    assert (await server.operate("GET", "/readyz"))[1]["status"] == "not_ready"
    await server.until(lambda: victim in [each["pid"] for each in server.events("worker.exited")])
    assert victim in [each["pid"] for each in server.events("worker.hung")]
    assert (await server.workers())[1] != victim


async def test_a_refresh_reaches_all(server: Server) -> None:
    before = len(server.events("jwks.refreshed"))
    kid = (await server.issuer("control/rotate"))["kid"]

    status, body = await server.operate("POST", "/jwks/refresh")

    def have_fetched() -> set[int]:
        told = server.events("jwks.refreshed")[before:]
        return {each["worker"] for each in told if each["trigger"] == "forced"}

    def have_rotated() -> set[int]:
        told = server.events("jwks.rotated")
        return {each["worker"] for each in told if kid in each["added"]}

    assert (status, body["issuers"][0]["result"]) == (200, "ok")
    await server.until(lambda: have_fetched() == have_rotated() == {0, 1})


async def realms_of(server: Server) -> set[str]:
    url = f"http://127.0.0.1:{server.ports.api}/api/private"
    realms = set()
    for _ in range(8):
        async with ClientSession() as session, session.get(url) as answer:
            realms.add(answer.headers["WWW-Authenticate"])
    return realms


async def test_a_reload_reaches_all_and_those_to_come(server: Server) -> None:
    before = len(server.events("config.reloaded"))
    server.configure(realm="another")
    server.signal(signal.SIGHUP)
    await server.until(lambda: len(server.events("config.reloaded")) == before + 1)
    assert (await realms_of(server)) == {'Bearer realm="another"'}

    rejected = len(server.events("config.rejected"))
    server.configure(realm="", bogus=1)
    server.signal(signal.SIGHUP)
    await server.until(lambda: len(server.events("config.rejected")) > rejected)
    victim = (await server.workers())[0]
    os.kill(victim, signal.SIGTERM)
    await server.until(lambda: victim in [each["pid"] for each in server.events("worker.exited")])
    await server.workers()

    assert (await realms_of(server)) == {'Bearer realm="another"'}
    assert len(server.events("config.reloaded")) == before + 1
    assert await server.counted("keyturn_config_reloads_total", result="rejected") == rejected + 1
    (told,) = server.events("config.rejected")[rejected:]
    assert sorted(each.split(":")[0] for each in told["faults"]) == ["bogus", "realm"]
    assert "worker" not in told


async def test_what_has_begun_is_finished_and_operators_know(tmp_path: Path) -> None:
    with two_workers(tmp_path) as server:
        await server.workers()
        slow = asyncio.create_task(server.ask("/slow"))
        while not (tmp_path / "begun").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

        server.signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait_for, "server.stopping")

        status, body = await server.operate("GET", "/readyz")
        assert (status, body["status"]) == (503, "draining")
        (tmp_path / "go").touch()
        assert await slow == (200, "done")
        assert await asyncio.to_thread(server.process.ended) == 0
        with pytest.raises(ClientConnectionError):
            await server.ask("/who")
    assert "Traceback" not in "".join(server.process.err)
    names = [each["event"] for each in server.process.events]
    assert [names.count(each) for each in ("server.started", "server.stopped")] == [1, 1]
    assert server.process.err.count("greeted") == 1
    assert names[-1] == "server.stopped"


async def test_they_go_on_for_a_while_and_wait_for_nobody_when_told_again(tmp_path: Path) -> None:
    with two_workers(tmp_path, drain_delay="1h", shutdown_timeout="1h") as server:
        await server.workers()
        slow = asyncio.create_task(server.ask("/slow"))
        while not (tmp_path / "begun").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

        os.killpg(server.process.popen.pid, signal.SIGTERM)  # as some who stop us do
        await asyncio.to_thread(server.process.wait_for, "server.stopping")
        status, body = await server.operate("GET", "/readyz")
        assert (status, body["status"]) == (503, "draining")
        assert [(await server.ask("/who"))[0] for _ in range(4)] == [200] * 4
        server.signal(signal.SIGINT)

        assert await asyncio.to_thread(server.process.ended) == 0
        with pytest.raises(ClientConnectionError):
            await slow
    assert "/slow" in [each.get("url.path") for each in server.process.events], "it has its line"


async def test_nobody_outlives_the_supervisor(tmp_path: Path) -> None:
    with two_workers(tmp_path) as server:
        await server.workers()
        os.kill(server.process.popen.pid, signal.SIGKILL)

        assert await asyncio.to_thread(server.process.ended) == -signal.SIGKILL
        with pytest.raises(ClientConnectionError):
            await server.token()
        with pytest.raises(ClientConnectionError):
            await server.ask("/who")


def test_a_port_that_cannot_be_had_is_told_as_ever(tmp_path: Path) -> None:
    ports = Ports()
    with socket.create_server(("127.0.0.1", ports.api)):
        environ = ports.environ | {
            "KEYTURN__LISTEN__WORKERS": "2",
            "KEYTURN__AUDIENCE": "a",
            "KEYTURN__DEV_ISSUER__ENABLED": "true",
        }
        process = Process([sys.executable, "-m", "server"], environ, tmp_path)
        assert process.ended() == 1

    assert process.err == [
        f"keyturn: cannot listen on 127.0.0.1:{ports.api}: Address already in use (listen.port)"
    ]


def test_where_no_worker_can_start_the_server_ends(tmp_path: Path) -> None:
    ports = Ports()
    (tmp_path / ("x" * 120)).mkdir()
    environ = ports.environ | {
        "KEYTURN__LISTEN__WORKERS": "2",
        "KEYTURN__AUDIENCE": "a",
        "TMPDIR": str(tmp_path / ("x" * 120)),  # no Unix socket may have such a name
    }

    process = Process([sys.executable, "-m", "server"], environ, tmp_path)

    assert process.ended() == 1
    assert "worker.failed" in [each["event"] for each in process.events]
    assert "no worker can start" in "".join(process.out)
    assert process.err == []


def test_none_is_one_for_each_core() -> None:
    assert how_many(3) == 3
    assert how_many(0) >= 1


def test_those_who_die_young_are_replaced_ever_more_slowly() -> None:
    waits = [wait_before_next(lives) for lives in range(9)]

    assert waits[:2] == [0, 0], "an accident is made good at once"
    assert waits[2:5] == [2, 4, 8]
    assert waits[-1] == 30


def test_reloads_that_come_faster_than_they_are_obeyed_are_one(tmp_path: Path) -> None:
    # Else whoever is told to stop behind a thousand of them would obey them all first.
    read: list[None] = []
    supervisor = a_supervisor(tmp_path, read)

    for _ in range(1000):
        supervisor.signal(signal.SIGHUP, None)
    in_the_queue = supervisor.SIG_QUEUE.qsize()
    supervisor.handle_hup()
    supervisor.signal(signal.SIGHUP, None)

    assert (in_the_queue, len(read)) == (1, 1)
    assert supervisor.SIG_QUEUE.qsize() == 2, "what is written from then on is read again"


def a_supervisor(directory: Path, read: list[None]) -> Supervisor:
    config = load(None, {"KEYTURN__AUDIENCE": "x", "KEYTURN__ISSUERS": ISSUERS})

    def read_again() -> Config:
        read.append(None)
        return config

    async def started(_serving: Serving) -> None: ...

    ports = Listeners([], [], [])
    crew = Crew(Board(1), SharedMemory(2), ports, directory, (), read_again, started)
    return Supervisor(config, crew, hung_after=30)
