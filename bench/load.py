"""Load by wrk: as many requests as a server answers, over connections that stay."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.processes import pinned

PATH = "/api/private-scoped"
ORIGIN = "http://localhost:3000"
"""What every request says where it comes from, so that CORS has something to do."""

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Some tokens of a file: *count* from the *first*; sent in turn, *begin* being the first."""

    file: Path
    first: int
    count: int
    begin: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """
    What one run of wrk found.

    Attributes:
        refused: answers from 400 on.
        broken: connections that failed, and answers that did not come.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return (self.requests - self.refused) / self.seconds


def run_wrk(
    port: int,
    tokens: Tokens,
    *,
    seconds: float,
    cores: Sequence[int],
    connections: int = CONNECTIONS,
) -> Load:
    """Ask the server at *port* as fast as it answers, for whole *seconds*."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    command += ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}{PATH}", "--"]
    command += [str(tokens.file), str(tokens.first), str(tokens.count), str(tokens.begin), ORIGIN]
    done = subprocess.run(pinned(command, cores), capture_output=True, text=True, check=True)
    return read_findings(done.stdout)


def read_findings(printed: str) -> Load:
    """Read what load.lua prints behind wrk's own words."""
    return Load(**json.loads(printed.strip().splitlines()[-1]))
