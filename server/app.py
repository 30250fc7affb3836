"""The composition root: one Config becomes an application, its keys and its rules."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import ClientSession, web

from server.config import Config
from server.key_ring import IssuerKeys, KeyRing
from server.metrics import Metrics
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache
from server.vital_signs import VitalSigns
from server.web.answering import sign_answers
from server.web.cors import Cors
from server.web.limits import USUAL_LIMITS
from server.web.measurement import MEASUREMENT, Measurement
from server.web.problems import problem_details
from server.web.protection import protect
from server.web.routing import Route, RouteTable
from server.web.table_loading import load_table


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What requests are judged by.

    Exchanged whole, so that no request meets half of the old and half of the new.
    """

    realm: str
    cors: Cors
    protector: ResourceProtector


class Keyturn:
    """
    The API and the keys that it relies on, which are kept current until it is closed.

    Needs a running event loop.

    Args:
        session: what the issuers are asked with.
        metrics: what is counted in.

    Attributes:
        rows: the route table.
        api: what serves them.
        keys: one set for each issuer.
    """

    def __init__(
        self, config: Config, session: ClientSession, metrics: Metrics | None = None
    ) -> None:
        self.metrics = Metrics() if metrics is None else metrics
        self._vital_signs = VitalSigns(self.metrics)
        self.rows = load_table(config.routes)
        self.api = create_api(
            self.rows, lambda: self._rules, self.metrics, max_body_size=config.listen.max_body_size
        )
        # From here on tasks run, which a fault in the table would leave behind.
        self._ring = KeyRing(session, self.metrics)
        self.keys = self._hold(config)
        self._rules = rules_of(config, self.keys, metrics=self.metrics)

    async def reload(self, config: Config) -> None:
        """
        Judge requests by *config* from now on.

        The keys of new issuers are asked for first; what was verified before is forgotten.
        """
        keys = self._hold(config)
        await self._ring.until_tried(each for each in keys if each not in self.keys)
        self.keys, self._rules = keys, rules_of(config, keys, metrics=self.metrics)
        await self._ring.drop_all_but(keys)

    async def until_tried(self) -> None:
        """Wait until the issuers have given their keys, or have failed to."""
        await self._ring.until_tried(self.keys)

    def look_up_numbers(self, *, active: int, connections: int) -> None:
        """
        Write down the numbers that are not counted as they change.

        Args:
            active: requests that are being answered.
            connections: that are open.
        """
        self._vital_signs.write(
            active=active,
            connections=connections,
            kept=self._rules.protector.tokens_kept,
            keys=(each.status for each in self.keys),
        )

    async def close(self) -> None:
        """Let the keys go."""
        await self._ring.close()

    def _hold(self, config: Config) -> tuple[IssuerKeys, ...]:
        return self._ring.hold(config.issuers, config.jwks, config.jwks.store)


def create_api(
    rows: Iterable[Route],
    rules: Callable[[], Rules],
    metrics: Metrics | None = None,
    *,
    max_body_size: int = USUAL_LIMITS.max_body_size,
) -> web.Application:
    """
    Make the application that serves *rows* by the *rules* that hold when it is asked.

    Args:
        metrics: what requests are counted in.
        max_body_size: as the connections have it.
    """
    app = web.Application(client_max_size=max_body_size)
    table = RouteTable(app, rows)
    app[MEASUREMENT] = Measurement(Metrics() if metrics is None else metrics)
    app.middlewares.append(problem_details(lambda: rules().realm))
    app.middlewares.append(protect(table, lambda: rules().protector, lambda: rules().cors))
    sign_answers(app, lambda: rules().cors)
    return app


def rules_of(
    config: Config,
    keys: Iterable[IssuerKeys],
    *,
    clock: Callable[[], float] = time.time,
    metrics: Metrics | None = None,
) -> Rules:
    """
    Judge as *config* says, by *keys*: one set for each of its issuers, in their order.

    Args:
        clock: gives the time in seconds since the epoch.
        metrics: what look-ups of tokens are counted in.
    """
    pairs = zip(config.issuers, keys, strict=True)
    issuers = [Issuer(each.policy, its) for each, its in pairs]
    cache = TokenCache(config.token_cache, metrics)
    protector = ResourceProtector(issuers, cache, clock=clock)
    return Rules(config.realm, Cors(config.cors), protector)
