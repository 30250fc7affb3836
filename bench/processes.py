"""Programs that are measured: each on cores of its own, and what it takes of them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent
_PATIENCE = 20.0
_FLUSHED = 1.1  # when a server that is idle has written its log, in seconds
_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

# Nothing of the developer's environment but what finds programs.
_ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


class NotServingError(Exception):
    """A program did not come up; says what it wrote."""


class MeasuringError(Exception):
    """A measurement failed; says what was written."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the server has, and which the load."""

    server: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def for_workers(cls, workers: int = 1) -> Self:
        """Keep both apart, where there are cores enough for that."""
        if not shutil.which("taskset"):
            return cls((), ())
        cores = usable_cores()
        if len(cores) > workers:
            return cls(cores[:workers], cores[-1:])
        return cls(cores, cores)

    @property
    def are_apart(self) -> bool:
        return bool(self.server) and not set(self.server) & set(self.load)


def usable_cores() -> tuple[int, ...]:
    """Give the cores that this process may run on."""
    if sys.platform == "linux":
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def pinned(command: Sequence[str], cores: Sequence[int]) -> list[str]:
    """Give the command that runs *command* on *cores*; on any, if there are none."""
    if not cores:
        return list(command)
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


@dataclass(frozen=True, slots=True)
class Running:
    """A module of ours in an interpreter of its own, which will have found something."""

    _popen: subprocess.Popen[bytes]
    _found: Path
    _errors: Path

    def finding(self) -> Any:
        """
        Wait for what it finds.

        Raises:
            MeasuringError: it failed.
        """
        if self._popen.wait() != 0:
            raise MeasuringError(self._errors.read_text(encoding="utf-8"))
        return json.loads(self._found.read_bytes())

    def stop(self) -> None:
        """End it, if it still runs."""
        self._popen.kill()
        self._popen.wait()


def start_for_json(module: str, *arguments: str, cores: Sequence[int], log: Path) -> Running:
    """Run a module; the first of its arguments is the file that it writes its finding to."""
    found, errors = log.with_suffix(".json"), log.with_suffix(".err")
    command = pinned([sys.executable, "-m", module, str(found), *arguments], cores)
    with log.open("wb") as out, errors.open("wb") as err:
        popen = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
    return Running(popen, found, errors)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


class Program:
    """
    A server that runs until it is stopped; what it writes goes into *log*.

    Args:
        port: where it answers HTTP once it is up.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        cores: Sequence[int],
        environ: Mapping[str, str],
    ) -> None:
        self.port = port
        self.log = log
        self._errors = log.with_suffix(".err")
        with log.open("ab") as out, self._errors.open("wb") as errors:
            self._popen = subprocess.Popen(
                pinned(command, cores),
                cwd=ROOT,
                env={**_ENVIRONMENT, "PORT": str(port), **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        said = self._errors.read_text(encoding="utf-8", errors="replace").strip()
        raise NotServingError(said.splitlines()[-1] if said else "it does not listen")

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far, in user mode and in the kernel, its children included."""
        return sum(_ticks(pid) for pid in self._pids()) * _TICK

    @property
    def rss(self) -> int:
        """Its resident memory, its children's included, in bytes."""
        return sum(rss_of(pid) for pid in self._pids())

    def take_log(self) -> bytes:
        """Give what it has written to its log since this was asked last."""
        time.sleep(_FLUSHED)
        said = self.log.read_bytes()
        self.drop_log()
        return said

    def drop_log(self) -> None:
        """Let its log not fill the disk."""
        os.truncate(self.log, 0)

    def stop(self) -> None:
        """End it, and what it has started."""
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._popen.pid, number)
                self._popen.wait(patience)
            except ProcessLookupError:
                self._popen.wait()
                return
            except subprocess.TimeoutExpired:
                continue

    def _pids(self) -> Iterator[int]:
        found = [self._popen.pid]
        while found:
            yield (pid := found.pop())
            found.extend(_children(pid))


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(each) for task in tasks for each in (task / "children").read_text().split()]
    except OSError:
        return []


def _ticks(pid: int) -> int:
    try:
        # The name, in parentheses, may hold anything: what follows it counts.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def rss_of(pid: int | str) -> int:
    """Give the resident memory of a process in bytes; 0 where /proc does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * _PAGE
    except OSError:
        return 0
