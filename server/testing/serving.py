"""A route table on a test socket, served as the product serves it."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from server.app import create_api, rules_of
from server.config import Config
from server.jwks.fixed_key_set import FixedKeySet
from server.oauth.jwk_set import parse_jwks
from server.oauth.policy import TokenPolicy
from server.testing.issuer import TestIssuer
from server.web.listener import Runner
from server.web.routing import Route

_FINISH_REQUESTS = 1.0
_OF_THE_API = frozenset({"cors", "realm", "token_cache"})
# Who the issuer is and how it signs is its own affair.
_OF_THE_ISSUER = frozenset(TokenPolicy.model_fields) - {"algorithms", "issuer"}


class KeyturnServer(TestServer):
    """
    Serves *rows* to an aiohttp ``TestClient``, on the word of *issuer* alone.

    The application, its connections and its protector are the product's.

    Args:
        settings: as in config.yaml, those of the API and those of an issuer alike.  Unless they
            are given the profile is ``at+jwt``, the stricter one, and there is no leeway: who mints
            and who judges have one clock.

    Raises:
        RouteTableError: the table cannot be served.
        TypeError: a setting that does nothing here.
        ValidationError: a setting that config.yaml could not have either.
    """

    __test__ = False

    def __init__(self, rows: Iterable[Route], issuer: TestIssuer, **settings: Any) -> None:
        config = _configure(issuer, settings)
        keys = FixedKeySet(issuer.name, parse_jwks(issuer.jwks))
        rules = rules_of(config, [keys], clock=issuer.clock)
        self._api = create_api(rows, lambda: rules)
        super().__init__(self._api)

    async def _make_runner(self, **_settings: Any) -> web.AppRunner:
        # aiohttp's own would bring its own connections.
        return Runner(self._api, shutdown_timeout=_FINISH_REQUESTS, log_requests=True)


def _configure(issuer: TestIssuer, settings: Mapping[str, Any]) -> Config:
    if idle := sorted(settings.keys() - _OF_THE_API - _OF_THE_ISSUER):
        known = ", ".join(sorted(_OF_THE_API | _OF_THE_ISSUER))
        raise TypeError(f"{', '.join(idle)}: no setting of a test, which has {known}")
    believed = {
        "issuer": issuer.name,
        "audience": issuer.audience,
        "profile": "at+jwt",
        "leeway": 0,
        **{name: value for name, value in settings.items() if name in _OF_THE_ISSUER},
    }
    others = {name: value for name, value in settings.items() if name in _OF_THE_API}
    return Config.model_validate({**others, "issuers": [believed]})
