"""The commands: serve, check, routes, token, issuer."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server import __version__, logs
from server.app import Parts, load_routes
from server.client import (
    TokenFile,
    TokenQuery,
    TokenRefusedError,
    is_still_published,
    request_token,
)
from server.config import Config, ConfigError, load
from server.greeting import dev_query, greet
from server.jwks.client import IssuerClient, JWKSFetchError, open_session
from server.serving import ListenError, run, serve, serve_dev_issuer

_OK, _FAILED, _BAD_CONFIG, _INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give the exit status."""
    options = _parser().parse_args(_with_default(sys.argv[1:] if arguments is None else arguments))
    try:
        config = load(getattr(options, "config", None), os.environ, _overrides(options))
        return int(options.run(config, options))
    except ConfigError as error:
        _complain(*error.faults)
        return _BAD_CONFIG
    except ListenError as error:
        _complain(f"keyturn: {error}")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _serve(config: Config, _options: argparse.Namespace) -> int:
    logs.configure(config.logging)

    async def started(parts: Parts) -> None:
        if config.dev_issuer.enabled:
            _complain(*await greet(config, parts))

    run(serve(config, started=started))
    return _OK


def _issuer(config: Config, _options: argparse.Namespace) -> int:
    logs.configure(config.logging)
    run(serve_dev_issuer(config))
    return _OK


def _check(config: Config, options: argparse.Namespace) -> int:
    load_routes(config.routes)
    if options.offline:
        print("The configuration is sound.")
        return _OK
    return asyncio.run(_ask_issuers(config))


async def _ask_issuers(config: Config) -> int:
    status = _OK
    async with open_session() as session:
        for each in config.issuers:
            client = IssuerClient(
                session,
                each.issuer,
                jwks_uri=each.jwks_uri,
                timeout=config.jwks.timeout,
                now=time.monotonic,
            )
            try:
                fetched = await client.fetch_key_set(fresh=False)
            except JWKSFetchError as error:
                print(f"{each.issuer}  cannot be reached: {error}")
                status = _FAILED
                continue
            names = ", ".join(key.key_id or "no kid" for key in fetched.keys.keys)
            unfit = f"; {len(fetched.keys.unfit)} unfit" if fetched.keys.unfit else ""
            print(f"{each.issuer}  ok: {len(fetched.keys.keys)} keys ({names}){unfit}")
    return status


def _routes(config: Config, _options: argparse.Namespace) -> int:
    rows = load_routes(config.routes)
    method = max((len(row.method) for row in rows), default=0)
    path = max((len(row.path) for row in rows), default=0)
    for row in rows:
        print(f"{row.method:{method}}  {row.path:{path}}  {row.access}")
    return _OK


def _token(config: Config, options: argparse.Namespace) -> int:
    if (options.username is None) != (options.password is None):
        _complain("keyturn: --username and --password are given together")
        return _BAD_CONFIG
    query = _query(config, options)
    if query is None:
        _complain("keyturn: --client-id and --client-secret are needed for this issuer")
        return _BAD_CONFIG
    try:
        print(asyncio.run(_obtain(query)))
    except TokenRefusedError as error:
        _complain(f"keyturn: {error}")
        return _FAILED
    return _OK


def _query(config: Config, options: argparse.Namespace) -> TokenQuery | None:
    given = {
        name: value
        for name in TokenQuery.__slots__
        if (value := getattr(options, name)) is not None
    }
    ours = options.issuer in {None, config.dev_issuer.name}
    if ours and (query := dev_query(config)) is not None:
        return replace(query, **given)
    if "client_id" not in given or "client_secret" not in given:
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


def _complain(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    given = {name: getattr(options, name, None) for name in ("host", "port", "workers")}
    return {"listen": {name: value for name, value in given.items() if value is not None}}


def _with_default(arguments: Sequence[str]) -> list[str]:
    """``serve`` is what runs where no command is named."""
    rest = list(arguments)
    if any(each in _COMMANDS or each in {"-h", "--help", "--version"} for each in rest):
        return rest
    return ["serve", *rest]


_COMMANDS = {
    "serve": (_serve, "serve the API"),
    "check": (_check, "judge the configuration and ask each issuer for its keys"),
    "routes": (_routes, "print the route table with who may use each route"),
    "token": (_token, "print an access token"),
    "issuer": (_issuer, "serve the development issuer alone"),
}


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS)
    parser = argparse.ArgumentParser(
        prog="keyturn", description="An OAuth 2.0 resource server.", parents=[shared]
    )
    parser.add_argument("--version", action="version", version=f"keyturn {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    made = {}
    for name, (function, summary) in _COMMANDS.items():
        made[name] = commands.add_parser(name, help=summary, parents=[shared])
        made[name].set_defaults(run=function)
    made["serve"].add_argument("--host")
    made["serve"].add_argument("--port")
    made["serve"].add_argument("--workers")
    made["check"].add_argument(
        "--offline", action="store_true", help="judge the configuration alone"
    )
    for option in TokenQuery.__slots__:
        made["token"].add_argument("--" + option.replace("_", "-"))
    return parser
