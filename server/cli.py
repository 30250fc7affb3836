"""The commands: serve, check, routes, token, explain, issuer."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from server import __version__, logs
from server.checking import check_issuers, store_fault
from server.client import (
    TokenFile,
    TokenQuery,
    TokenRefusedError,
    is_still_published,
    request_token,
)
from server.config import Config, ConfigError, load
from server.config_sources import DEFAULT_FILE
from server.explaining import explain, find_row, verdict
from server.greeting import dev_query, greet
from server.jwks.connection import open_session
from server.listening import ListenError
from server.oauth.access_token import AccessToken
from server.oauth.scope import ScopeRequirement, authenticated
from server.serving import Serving, run, serve, serve_dev_issuer
from server.terminal import complain, cut, say
from server.web.routing import Access, RouteTableError
from server.web.table_loading import load_table
from server.workers.crew import how_many

_MAX_SENT = 64 * 1024  # bytes; far more than a token may have
_OK, _FAILED, _BAD_CONFIG, _INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give the exit status."""
    options = _parser().parse_args(_with_default(sys.argv[1:] if arguments is None else arguments))
    try:
        return int(options.run(_load(options), options))
    except ConfigError as error:
        complain(*error.faults)
        return _BAD_CONFIG
    except ListenError as error:
        complain(f"keyturn: {error}")
        return _FAILED
    except RouteTableError as error:
        complain(f"routes: {error}")
        return _BAD_CONFIG
    except KeyboardInterrupt:
        return _INTERRUPTED


def _load(options: argparse.Namespace) -> Config:
    return load(getattr(options, "config", None), os.environ, _overrides(options))


def _serve(config: Config, options: argparse.Namespace) -> int:
    async def started(serving: Serving) -> None:
        if config.dev_issuer.enabled:
            complain(*await greet(config, serving))

    def read() -> Config:
        return _load(options)

    if "config" not in options and Path(DEFAULT_FILE).exists():
        options.config = os.environ.get("KEYTURN_CONFIG", DEFAULT_FILE)  # from now on it must exist
    if how_many(config.listen.workers) > 1:
        from server.workers.starting import supervise  # noqa: PLC0415 (one needs no gunicorn)

        supervise(config, read=read, started=started)
    logs.configure(config.logging)
    run(lambda signals: serve(config, signals, read=read, started=started), config.listen)
    return _OK


def _issuer(config: Config, _options: argparse.Namespace) -> int:
    logs.configure(config.logging)
    run(lambda signals: serve_dev_issuer(config, signals))
    return _OK


def _check(config: Config, options: argparse.Namespace) -> int:
    if options.offline:
        say("The configuration is sound.")
        return _OK
    if fault := asyncio.run(store_fault(config)):
        complain(f"keyturn: jwks.store cannot be used, keys come from the issuers alone: {fault}")
    findings = asyncio.run(check_issuers(config))
    say(*(each.line for each in findings))
    return _OK if all(each.is_good for each in findings) else _FAILED


def _routes(config: Config, _options: argparse.Namespace) -> int:
    rows = load_table(config.routes)
    method = max((len(row.method) for row in rows), default=0)
    path = max((len(row.path) for row in rows), default=0)
    for row in rows:
        say(f"{row.method:{method}}  {row.path:{path}}  {row.access}")
    return _OK


def _token(config: Config, options: argparse.Namespace) -> int:
    if (options.username is None) != (options.password is None):
        complain("keyturn: --username and --password are given together")
        return _BAD_CONFIG
    query = _query(config, options)
    if query is None:
        complain("keyturn: --client-id and --client-secret are needed, both")
        return _BAD_CONFIG
    try:
        say(asyncio.run(_obtain(query)))
    except TokenRefusedError as error:
        complain(f"keyturn: {error}")
        return _FAILED
    return _OK


def _explain(config: Config, options: argparse.Namespace) -> int:
    rows = load_table(config.routes)
    asked: Access = authenticated
    if options.route is not None:
        row = find_row(rows, options.route)
        if row is None:
            complain(f"keyturn: no such route: {cut(options.route)} (keyturn routes lists them)")
            return _BAD_CONFIG
        rows, asked = (row,), row.access
    if not isinstance(asked, ScopeRequirement):
        say("Anyone may: no token is looked at.")
        return _OK
    # An unquoted "Bearer …" is two words.
    text = _read_stdin() if options.sent in ([], ["-"]) else " ".join(options.sent)
    explanation = asyncio.run(explain(config, text, asked, offline=options.offline))
    say(*explanation.checks, "", *verdict(explanation, rows, realm=config.realm))
    return _OK if isinstance(explanation.outcome, AccessToken) else _FAILED


def _read_stdin() -> str:
    return sys.stdin.buffer.read(_MAX_SENT).decode("utf-8", "surrogateescape")


def _query(config: Config, options: argparse.Namespace) -> TokenQuery | None:
    given = {
        name: value
        for name in TokenQuery.__slots__
        if (value := getattr(options, name)) is not None
    }
    ours = options.issuer in {None, config.dev_issuer.name}
    is_half = "client_id" in given and "client_secret" not in given
    if ours and not is_half and (query := dev_query(config)) is not None:
        return replace(query, **given)
    if not {"client_id", "client_secret"} <= given.keys():
        return None
    audience = None if ours or config.audience is None else config.audience[0]
    return TokenQuery(**{"issuer": config.dev_issuer.name, "audience": audience, **given})


async def _obtain(query: TokenQuery) -> str:
    kept = TokenFile.of_user(os.environ)
    async with open_session() as session:
        token = kept.get(query)
        if token is not None and await is_still_published(session, query.issuer, token):
            return token
        answer = await request_token(session, query)
        kept.put(query, answer)
        return str(answer["access_token"])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        complain(f"{self.prog}: {cut(message)}")
        raise SystemExit(_BAD_CONFIG)


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    named = {name: getattr(options, name, None) for name in ("host", "port", "workers")}
    given = {name: value for name, value in named.items() if value is not None}
    return {"listen": given} if given else {}


def _with_default(arguments: Sequence[str]) -> list[str]:
    """``serve`` is what runs where no command is named."""
    rest = list(arguments)
    if any(each in _COMMANDS or each in {"-h", "--help", "--version"} for each in rest):
        return rest
    return ["serve", *rest] if not rest or rest[0].startswith("-") else rest


_COMMANDS = {
    "serve": (_serve, "serve the API (what runs without a command)"),
    "check": (_check, "judge the configuration and ask each issuer for its keys"),
    "routes": (_routes, "print the route table with who may use each route"),
    "token": (_token, "print an access token, by default of the development issuer"),
    "explain": (_explain, "say of a token what each check finds, and what a client would get"),
    "issuer": (_issuer, "serve the development issuer alone"),
}

_OPTIONS = {
    "serve": {
        "--host": "instead of listen.host",
        "--port": "instead of listen.port",
        "--workers": "instead of listen.workers",
    },
    "token": {
        "--issuer": "whom to ask, by its exact name",
        "--client-id": "as whom",
        "--client-secret": "and its secret",
        "--username": "for a user, by password",
        "--password": "and the password",
        "--scope": "what to ask for; all that there is if absent",
        "--audience": "for which API",
    },
    "explain": {"--route": 'which one is asked for: "GET /api/private"; any, if absent'},
}


def _parser() -> argparse.ArgumentParser:
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help="instead of config.yaml"
    )
    parser = _Parser(prog="keyturn", description="An OAuth 2.0 resource server.", parents=[shared])
    parser.add_argument("--version", action="version", version=f"keyturn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (function, summary) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary, parents=[shared])
        command.set_defaults(run=function)
        for option, purpose in _OPTIONS.get(name, {}).items():
            command.add_argument(option, help=purpose)
        if name in {"check", "explain"}:
            command.add_argument("--offline", action="store_true", help="ask nobody")
        if name == "explain":
            purpose = "what was sent; - reads it from standard input, as does nothing"
            command.add_argument("sent", metavar="TOKEN", nargs="*", help=purpose)
    return parser
