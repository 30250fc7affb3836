"""The composition root: one Config becomes applications, keys and a protector."""

import importlib
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import ClientSession, web

from server.config import Config, ConfigError
from server.jwks.client import IssuerClient
from server.jwks.remote_key_set import RemoteKeySet
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache
from server.web.cors import Cors
from server.web.observation import observe, stamp
from server.web.problems import problem_details
from server.web.protection import protect
from server.web.routing import Route, RouteTable, RouteTableError


@dataclass(frozen=True, slots=True)
class Parts:
    """What is served, and the keys that it relies on: whoever serves it keeps them current."""

    api: web.Application
    keys: tuple[RemoteKeySet, ...]


def compose(config: Config, rows: Iterable[Route], session: ClientSession) -> Parts:
    """Put the parts together; *session* is what the issuers are asked with."""
    keys = tuple(
        RemoteKeySet(
            each.issuer,
            IssuerClient(
                session,
                each.issuer,
                jwks_uri=each.jwks_uri,
                timeout=config.jwks.timeout,
                now=time.monotonic,
            ).fetch_key_set,
            config.jwks,
        )
        for each in config.issuers
    )
    protector = ResourceProtector(
        [Issuer(each.policy, its) for each, its in zip(config.issuers, keys, strict=True)],
        TokenCache(config.token_cache),
    )
    return Parts(create_api(config, rows, protector), keys)


def create_api(
    config: Config, rows: Iterable[Route], protector: ResourceProtector
) -> web.Application:
    """Make the application that serves *rows* to those whom *protector* admits."""
    app = web.Application()
    table = RouteTable(app, rows)
    app.middlewares.append(observe)
    app.middlewares.append(problem_details(config.realm))
    Cors(config.cors).install(app)
    app.middlewares.append(protect(table, protector))
    app.on_response_prepare.append(stamp)
    return app


def load_routes(name: str) -> tuple[Route, ...]:
    """
    Import the route table that *name* names, as ``module:attribute``, from the working directory.

    Raises:
        ConfigError: it cannot be imported, or is no table.
    """
    module_name, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        rows = tuple(getattr(importlib.import_module(module_name), attribute))
    except Exception as error:
        # A user's module may fail in any way; each is a fault of the configuration.
        raise ConfigError([f"routes: {name} cannot be loaded: {_blame(error)}"]) from error
    try:
        RouteTable(web.Application(), rows)
    except RouteTableError as error:
        raise ConfigError([f"routes: {error}"]) from error
    return rows


def _blame(error: Exception) -> str:
    cause = f"{type(error).__name__}: {error}"
    frames: Sequence[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith("<")][1:]
    return f"{cause} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else cause
