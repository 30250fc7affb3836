"""Who is measured, how each is started, and that each does what it is measured at."""

import json
import shutil
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from bench.issuer import AUDIENCE
from bench.load import ORIGIN, PATH
from bench.processes import ROOT, Program, free_port

PEERS = ROOT / "bench/peers"
NODE_MODULES = PEERS / "node_modules"
PEER_ENV = ROOT / ".venv-bench"


class WrongAnswerError(Exception):
    """A server does not do what it is to be measured at."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    One server.

    Attributes:
        command: what starts it; ``PORT``, ``BENCH_ISSUER`` and ``BENCH_AUDIENCE`` are set.
        needs: the program without which it cannot be had.
        asks: whether it asks for a token at all.
        logs: whether it writes its log to the file that ``LOG`` names.
    """

    name: str
    command: tuple[str, ...]
    needs: Path | None = None
    asks: bool = True
    logs: bool = False

    @property
    def missing(self) -> str | None:
        """Say what is not installed, if it is not."""
        if self.needs is None:
            return None
        if self.command[0] == "node" and not shutil.which("node"):
            return "Node is missing: install Node 20 or newer, then make bench-deps"
        return None if self.needs.exists() else "it is not installed: make bench-deps"


def _node(name: str, script: str, *, logs: bool = False) -> Contestant:
    return Contestant(name, ("node", str(PEERS / script)), needs=NODE_MODULES, logs=logs)


_UVICORN = (
    *(str(PEER_ENV / "bin/python"), "-m", "uvicorn", "bench.peers.fastapi_pyjwt:app"),
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    *("--workers", "1", "--backlog", "1024", "--port"),
)
_GUNICORN = (
    *(str(PEER_ENV / "bin/python"), "-m", "gunicorn", "bench.peers.flask_authlib:app"),
    # Without threads gunicorn would close each connection behind its answer.
    *("--workers", "1", "--threads", "4", "--log-level", "warning", "--backlog", "1024", "--bind"),
)

BARE = Contestant("aiohttp, bare", (sys.executable, "-m", "bench.peers.bare"), asks=False)
KEYTURN = Contestant("Keyturn, all on", (sys.executable, "-m", "server", "serve"), logs=True)
EXPRESS = _node("Express + express-oauth2-jwt-bearer", "express.mjs")
FASTIFY_JWKS = _node("Fastify + fastify-jwt-jwks", "fastify-jwt-jwks.mjs")
FASTIFY_FAST = _node("Fastify + fast-jwt, cached", "fastify-fast-jwt.mjs")
FASTIFY_PINO = _node("Fastify + fast-jwt, cached, pino", "fastify-fast-jwt.mjs", logs=True)
FASTAPI = Contestant("FastAPI + PyJWT, uvicorn", _UVICORN, needs=PEER_ENV)
FLASK = Contestant("Flask + Authlib, gunicorn", _GUNICORN, needs=PEER_ENV)

ALL = (BARE, KEYTURN, EXPRESS, FASTIFY_JWKS, FASTIFY_FAST, FASTIFY_PINO, FASTAPI, FLASK)


@dataclass(frozen=True, slots=True)
class Arena:
    """
    Where contestants are started.

    Attributes:
        work: a directory for what they write.
        issuer: whom they believe.
    """

    work: Path
    issuer: str
    cores: tuple[int, ...] = field(default=())

    def start(self, contestant: Contestant, *arguments: str, label: str = "") -> Program:
        """
        Start *contestant*, and wait until it listens.

        Raises:
            NotServingError: it does not.
        """
        port, slug = free_port(), "".join(filter(str.isalnum, contestant.name)) + label
        log = self.work / f"{slug}.log"
        command = list(contestant.command)
        if contestant is KEYTURN:
            command += ["--config", str(self._config(slug, port))]
        elif contestant is FASTAPI:
            command.append(str(port))
        elif contestant is FLASK:
            command.append(f"127.0.0.1:{port}")
        environ = {
            "BENCH_ISSUER": self.issuer,
            "BENCH_AUDIENCE": AUDIENCE,
            "NODE_ENV": "production",
        }
        if contestant.logs:
            environ["LOG"] = str(log)
        return Program(
            [*command, *arguments], port=port, log=log, cores=self.cores, environ=environ
        )

    def _config(self, slug: str, port: int) -> Path:
        path = self.work / f"{slug}.yaml"
        settings = {
            "realm": "bench",
            "audience": AUDIENCE,
            "listen": {"port": port},
            "admin": {"port": free_port()},
            "issuers": [{"issuer": self.issuer, "algorithms": ["RS256"], "profile": "at+jwt"}],
            "cors": {"origins": [ORIGIN]},
            "logging": {"format": "json"},
        }
        path.write_text(json.dumps(settings), encoding="utf-8")  # which is YAML, too
        return path


@dataclass(frozen=True, slots=True)
class Samples:
    """Tokens with which a server shows what it does."""

    good: str
    forged: str
    without_scope: str


def check(program: Program, contestant: Contestant, samples: Samples) -> None:
    """
    See that a server does what it is to be measured at.

    Raises:
        WrongAnswerError: it does not.
    """
    cases: tuple[tuple[str, str | None, int], ...] = (
        ("a good token", samples.good, 200),
        ("no token", None, 401),
        ("a forged token", samples.forged, 401),
        ("a token without the scope", samples.without_scope, 403),
    )
    _wait_for_keys(program.port, samples.good)
    for what, token, wanted in cases if contestant.asks else cases[:1]:
        status, body = ask(program.port, token)
        if status != wanted:
            raise WrongAnswerError(f"{what} was answered with {status} instead of {wanted}")
        if wanted == 200 and json.loads(body).keys() != {"message", "subject", "scopes"}:
            raise WrongAnswerError(f"{what} was answered with {body!r}")


def _wait_for_keys(port: int, token: str) -> None:
    deadline = time.monotonic() + 5
    while ask(port, token)[0] != 200 and time.monotonic() < deadline:
        time.sleep(0.1)


def ask(port: int, token: str | None) -> tuple[int, bytes]:
    """Ask once, and give status and body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", PATH, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
