"""The composition root: one Config becomes applications, keys and a protector."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import ClientSession, web

from server.config import Config
from server.jwks.client import IssuerClient
from server.jwks.remote_key_set import RemoteKeySet
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache
from server.web.cors import Cors
from server.web.observation import observe, stamp
from server.web.problems import problem_details
from server.web.protection import protect
from server.web.routing import Route, RouteTable
from server.web.table_loading import load_table


@dataclass(frozen=True, slots=True)
class Parts:
    """What is served, and the keys that it relies on: whoever serves it keeps them current."""

    api: web.Application
    rows: tuple[Route, ...]
    keys: tuple[RemoteKeySet, ...]


def compose(config: Config, session: ClientSession) -> Parts:
    """Put the parts together; *session* is what the issuers are asked with."""
    rows = load_table(config.routes)
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
    return Parts(create_api(config, rows, protector), rows, keys)


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
