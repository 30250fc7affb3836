"""The composition root: one Config becomes applications, keys and a protector."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from aiohttp import ClientSession, web

from server.config import Config
from server.issuer_settings import IssuerSettings
from server.jwks.client import IssuerClient
from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache
from server.web.cors import Cors
from server.web.observation import observe, stamp
from server.web.problems import problem_details
from server.web.protection import protect
from server.web.routing import Route, RouteTable
from server.web.table_loading import load_table

IssuerKeys = RemoteKeySet | FixedKeySet
"""Where one issuer's keys come from."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is served, and the keys that it relies on: whoever serves it keeps them current."""

    api: web.Application
    rows: tuple[Route, ...]
    keys: tuple[IssuerKeys, ...]


def compose(config: Config, session: ClientSession, store: Store) -> Parts:
    """Put the parts together; *session* asks the issuers, *store* is shared with others."""
    rows = load_table(config.routes)
    keys = tuple(_keys_of(each, config.jwks, session, store) for each in config.issuers)
    protector = ResourceProtector(
        [Issuer(each.policy, its) for each, its in zip(config.issuers, keys, strict=True)],
        TokenCache(config.token_cache),
    )
    return Parts(create_api(config, rows, protector), rows, keys)


def issuer_client(
    issuer: IssuerSettings, policy: RefreshPolicy, session: ClientSession
) -> IssuerClient:
    """Make the client that asks *issuer* for its keys."""
    return IssuerClient(
        session,
        issuer.issuer,
        jwks_uri=issuer.jwks_uri,
        timeout=policy.timeout,
        now=time.monotonic,
    )


def _keys_of(
    issuer: IssuerSettings, policy: RefreshPolicy, session: ClientSession, store: Store
) -> IssuerKeys:
    if issuer.fixed_keys is not None:
        return FixedKeySet(issuer.issuer, issuer.fixed_keys)
    client = issuer_client(issuer, policy, session)
    shared = SharedKeys(issuer.issuer, store)
    return RemoteKeySet(issuer.issuer, client.fetch_key_set, policy, shared)


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
