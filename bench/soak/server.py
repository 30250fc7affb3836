"""The server on trial: its files, its log, its memory, and what it is told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from bench.processes import ROOT, free_port, rss_of
from bench.soak.tokens import AUDIENCE, OwnIssuer

WORKERS = 2
HEADER_TIMEOUT = 5
_CLIENT = {"client_id": "soak", "client_secret": "soak-secret"}
_PIECE = 1 << 16

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name, and its labels in order."""


class Log:
    """What the server writes; somebody reads it, or nobody for a while."""

    def __init__(self, pipe: int, path: Path) -> None:
        self._pipe = pipe
        self._path = path
        path.touch()
        self._reads = threading.Event()
        self._reads.set()
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def stop_reading(self) -> None:
        """Let it run full."""
        self._reads.clear()

    def read_on(self) -> None:
        """Read again."""
        self._reads.set()

    def lines(self) -> list[bytes]:
        """Give all that was written, once the server has ended."""
        self._thread.join()
        return self._path.read_bytes().splitlines()

    def so_far(self) -> list[dict[str, Any]]:
        """Give the whole lines that have been read."""
        return [json.loads(each) for each in self._path.read_bytes().split(b"\n")[:-1]]

    def _copy(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while piece := os.read(self._pipe, _PIECE):
                file.write(piece)
                self._reads.wait()


class Server:
    """
    Keyturn with two workers and a development issuer, in processes of its own.

    Attributes:
        log: what it writes.
        oldest: the process ID of the worker that is left alone.
    """

    def __init__(self, work: Path, own: OwnIssuer, guest: OwnIssuer) -> None:
        self._own, self._guest = own, guest
        self._file = work / "config.yaml"
        self.port, self.admin_port, self.issuer_port = free_port(), free_port(), free_port()
        self.configure(guest=False)
        self._errors = (work / "stderr").open("wb")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "server", "--config", str(self._file)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        if self._popen.stdout is None:
            raise RuntimeError
        self.log = Log(self._popen.stdout.fileno(), work / "log")
        self.oldest = self._wait_until_started()

    @property
    def issuer(self) -> str:
        """The development issuer's name."""
        return f"http://localhost:{self.issuer_port}/"

    @property
    def supervisor(self) -> int:
        """The process ID of who keeps the workers."""
        return self._popen.pid

    def configure(self, *, guest: bool) -> None:
        """Write a configuration that believes the *guest* issuer, or not."""
        issuers: list[dict[str, Any]] = [{"issuer": self.issuer, "profile": "at+jwt"}]
        issuers += [{"issuer": each.name, "jwks": each.jwks} for each in self._issuers(guest=guest)]
        listen = {"port": self.port, "workers": WORKERS, "header_timeout": HEADER_TIMEOUT}
        settings = {
            "audience": AUDIENCE,
            "routes": "bench.soak.routes:ROUTES",
            "listen": listen,
            "admin": {"port": self.admin_port},
            "issuers": issuers,
            # Full after two minutes: what grows then is a leak.
            "token_cache": {"size": 500},
            "realm": "with a guest" if guest else "without a guest",
            "dev_issuer": {
                "enabled": True,
                "port": self.issuer_port,
                "rotate_every": "1d",
                "clients": [{**_CLIENT, "scopes": ["read:messages"]}],
            },
        }
        self._file.write_text(json.dumps(settings), encoding="utf-8")

    def spoil(self) -> None:
        """Write a configuration that nobody can use."""
        self._file.write_text('{"issuers": [], "bogus": 1, "listen": {"port": "x"}}', "utf-8")

    def hang_up(self) -> None:
        """Have it read its configuration again."""
        os.kill(self._popen.pid, signal.SIGHUP)

    async def tokens(self, session: ClientSession, count: int) -> list[str]:
        """Get tokens of the development issuer's present key."""
        form = {"grant_type": "client_credentials", **_CLIENT}
        made = []
        for _ in range(count):
            async with session.post(f"{self.issuer}oauth/token", data=form) as answer:
                made.append(str((await answer.json())["access_token"]))
        return made

    async def control(self, session: ClientSession, what: str, **wish: Any) -> None:
        """Turn or break the development issuer."""
        async with session.post(f"{self.issuer}control/{what}", json=wish) as answer:
            answer.raise_for_status()

    async def refresh(self, session: ClientSession) -> bool:
        """Have every worker ask for keys; tell whether all have got some."""
        url = f"http://127.0.0.1:{self.admin_port}/jwks/refresh"
        async with session.post(url) as answer:
            rows = (await answer.json())["issuers"]
        return all(row["result"] != "failed" for row in rows)

    async def metrics(self, session: ClientSession) -> dict[Series, float]:
        """Give every series."""
        async with session.get(f"http://127.0.0.1:{self.admin_port}/metrics") as answer:
            page = await answer.text()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def memory(self) -> Mapping[str, int]:
        """Give what the oldest worker and the supervisor hold of memory, in bytes."""
        return {"worker": rss_of(self.oldest), "supervisor": rss_of(self.supervisor)}

    def stop(self) -> int:
        """Tell it to stop, and give its exit status."""
        self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(20)
        finally:
            if self._popen.poll() is None:
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._errors.close()

    def _issuers(self, *, guest: bool) -> list[OwnIssuer]:
        return [self._own, self._guest] if guest else [self._own]

    def _wait_until_started(self) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._popen.poll() is None:
            events = self.log.so_far()
            started = {e["worker"]: e["pid"] for e in events if e["event"] == "worker.started"}
            # Each process writes its lines when it has time to.
            if len(started) == WORKERS and any(e["event"] == "server.started" for e in events):
                return int(started[0])
            time.sleep(0.1)
        raise RuntimeError(f"it does not start: {self._file.with_name('stderr').read_text()}")
