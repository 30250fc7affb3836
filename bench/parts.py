"""
The server's parts as the benchmarks take hold of them.

What is not measured through a socket is taken from here and nowhere else, so that it is here that
a change of the server's inner names is followed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog import get_logger

from bench.issuer import AUDIENCE
from bench.load import ORIGIN, PATH
from server import logs
from server.app import rules_of
from server.config import Config
from server.jwks.fixed_key_set import FixedKeySet
from server.metrics import Metrics
from server.oauth.access_token import AccessToken, verify
from server.oauth.challenge import Challenge
from server.oauth.errors import InsufficientScopeError, InvalidTokenError
from server.oauth.jwk_set import parse_jwks
from server.oauth.policy import TokenPolicy
from server.oauth.unverified_token import UnverifiedToken
from server.protector import ResourceProtector
from server.throttle import Throttle
from server.web import scope
from server.web.exchange import EXCHANGE, Exchange
from server.web.measurement import Measurement
from server.web.observation import RequestLog
from server.web.routing import Served

ISSUER = "https://issuer.example/"
VARIABLE = "BENCH_SECRET"
SECRET = "0123456789abcdef" * 4
NEEDED = scope("read:messages")


def config(*, size: int = 10_000, **issuer: Any) -> Config:
    """Give a configuration that believes one issuer, described by *issuer* beside its name."""
    settings = {
        "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, **issuer}],
        "token_cache": {"size": size},
        "cors": {"origins": [ORIGIN]},
    }
    return Config.model_validate(settings, context={"environ": {VARIABLE: SECRET}})


def protector(config: Config) -> ResourceProtector:
    """Make what admits requests by *config*, whose one issuer has fixed keys."""
    (issuer,) = config.issuers
    if issuer.fixed_keys is None:
        raise ValueError("an issuer with keys is needed")
    return rules_of(config, [FixedKeySet(ISSUER, issuer.fixed_keys)]).protector


def verification(compact: str, jwks: Mapping[str, Any]) -> Callable[[], AccessToken]:
    """Verify one parsed token, over and over."""
    keys = parse_jwks(jwks).keys
    policy = TokenPolicy(issuer=ISSUER, audience=(AUDIENCE,), profile="at+jwt")
    token = UnverifiedToken.parse(compact)
    return partial(verify, token, keys, policy, now=time.time())


def parsing(compact: str) -> Callable[[], UnverifiedToken]:
    """Parse one token, over and over."""
    return partial(UnverifiedToken.parse, compact)


def refusal(compact: str) -> Callable[[], None]:
    """Refuse what is no token, over and over."""

    def refuse() -> None:
        try:
            UnverifiedToken.parse(compact)
        except InvalidTokenError:
            return
        raise AssertionError(compact)

    return refuse


def challenge() -> Callable[[], str]:
    """Write a challenge, over and over."""
    error = InsufficientScopeError(scopes=NEEDED.scopes, missing=("read:messages",), evidence=None)
    return lambda: str(Challenge.to(error, realm="bench"))


def log_line(access: AccessToken) -> Callable[[], None]:
    """Log and count one admitted request, over and over; the line goes to standard output."""
    logs.configure(logs.LogSettings(format="json"))
    headers = {"User-Agent": "bench", "Origin": ORIGIN}
    request = make_mocked_request("GET", PATH, headers=headers, transport=_Transport())
    exchange = request[EXCHANGE] = Exchange(None, None, is_readable=True)
    exchange.served = Served("GET", PATH, NEEDED)
    exchange.started_at = time.monotonic()
    exchange.admit(access)
    log = RequestLog(
        get_logger(),
        "",
        unreadable=Throttle(burst=1e9, rate=1e9),
        measurement=Measurement(Metrics()),
    )
    return partial(log.log, request, web.Response(), 0.001)


class _Transport(asyncio.Transport):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4711) if name == "peername" else default
