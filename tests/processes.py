"""The product as a process of its own, on ports of its own."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.log_schema import check_output

ROOT = Path(__file__).parent.parent
PATIENCE = 20.0

# Nothing of the developer's environment but what finds programs and measures coverage.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name in {"PATH", "LANG", "SYSTEMROOT"} or name.startswith("COVERAGE")
}
# What holds of one process holds of several: KEYTURN_TEST_WORKERS=2 puts it to the test.
WORKERS = int(os.environ.get("KEYTURN_TEST_WORKERS", "1"))
if WORKERS != 1:
    ENVIRONMENT["KEYTURN__LISTEN__WORKERS"] = str(WORKERS)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Ports:
    """Where one process serves its API, its operators and its development issuer."""

    def __init__(self) -> None:
        self.api, self.admin, self.issuer = free_ports(3)

    @property
    def issuer_name(self) -> str:
        return f"http://localhost:{self.issuer}/"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "KEYTURN__LISTEN__PORT": str(self.api),
            "KEYTURN__ADMIN__PORT": str(self.admin),
            "KEYTURN__DEV_ISSUER__PORT": str(self.issuer),
            "KEYTURN__ISSUERS": json.dumps([{"issuer": self.issuer_name, "profile": "at+jwt"}]),
        }


class Process:
    """A command that runs, and what it has written so far."""

    def __init__(self, command: list[str], environ: Mapping[str, str], cwd: Path) -> None:
        self.popen = subprocess.Popen(  # noqa: S603 (a command of ours)
            command,
            cwd=cwd,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._changed: queue.Queue[None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.popen.stdout, self.out), (self.popen.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            for line in stream:
                lines.append(line.rstrip("\n"))
                self._changed.put(None)

    def wait_for(self, text: str, *, times: int = 1) -> str:
        """Wait until a line with *text* has been written *times* times, and give the last."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [line for line in [*self.out, *self.err] if text in line]
            if len(found) >= times:
                return found[times - 1]
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {text!r} in {self.out} {self.err}")
            self.wait_for_more()

    def wait_for_more(self) -> None:
        """Wait until another line has been written, for a moment at most."""
        with suppress(queue.Empty):
            self._changed.get(timeout=0.2)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit status."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end, hold its lines against their schema, and give the exit status."""
        status = self._wait()
        # Whoever is killed in the midst of a line has not written it.
        check_output(self.out if status >= 0 else self.out[:-1])
        return status

    def kill(self) -> None:
        """End it, whatever it has to say."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self._wait()

    def _wait(self) -> int:
        status = self.popen.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Give what was told of *event*: by one worker, where there are several."""
        told = [each for each in self.events if each["event"] == event]
        return [each for each in told if each.get("worker", 0) == 0]


@contextmanager
def running(
    *arguments: str, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[Process]:
    """Run ``keyturn`` with *arguments*, end it, and hold its lines against their schema."""
    process = Process([sys.executable, "-m", "server", *arguments], environ or {}, cwd)
    try:
        yield process
    finally:
        process.kill()
    process.ended()


class Redis:
    """A real Redis of our own, with nothing in it."""

    def __init__(self, program: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = [program, "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._process = Process(command, {}, ROOT)
        self._process.wait_for("Ready to accept connections")

    def command(self, *words: str) -> str:
        """Say *words* to it, in its own protocol, and give the answer."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            sent = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{sent}".encode())
            answer = connection.recv(64 * 1024).decode()
        if answer.startswith("-"):
            raise AssertionError(answer)
        return answer

    def pause(self) -> None:
        """Let it hang."""
        os.killpg(self._process.popen.pid, signal.SIGSTOP)

    def stop(self) -> None:
        self._process.stop(signal.SIGKILL)
