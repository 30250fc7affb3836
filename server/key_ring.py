"""The keys of all whom we believe, each set kept current by a task of its own."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiohttp import ClientSession
from pydantic import SecretStr

from server.issuer_settings import IssuerSettings
from server.jwks.client import IssuerClient
from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.outcomes import Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.metrics import Metrics

IssuerKeys = RemoteKeySet | FixedKeySet
"""Where one issuer's keys come from."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    issuer: IssuerSettings
    policy: RefreshPolicy
    store: str
    keys: IssuerKeys
    task: asyncio.Task[None]

    def is_of(self, issuer: IssuerSettings) -> bool:
        """Tell whether these are keys of *issuer*, from where it has them."""
        return (self.issuer.issuer, self.issuer.jwks_uri, self.issuer.fixed_keys) == (
            issuer.issuer,
            issuer.jwks_uri,
            issuer.fixed_keys,
        )


class KeyRing:
    """
    The keys that are kept current; *session* is what issuers are asked with.

    Needs a running event loop, and to be closed.

    Args:
        metrics: what happens to the keys is counted in.
    """

    def __init__(self, session: ClientSession, metrics: Metrics) -> None:
        self._session = session
        self._metrics = metrics
        self._kept: list[_Kept] = []
        self._stores: dict[str, Store] = {}

    def hold(
        self, issuers: Sequence[IssuerSettings], policy: RefreshPolicy, store: SecretStr
    ) -> tuple[IssuerKeys, ...]:
        """
        Keep the keys of *issuers* current from now on, beside those that are kept already.

        An issuer that has not changed has the keys that it had, whatever changed around it.

        Args:
            store: where processes share keys.
        """
        return tuple(self._keep(each, policy, store.get_secret_value()) for each in issuers)

    async def until_tried(self, keys: Iterable[IssuerKeys]) -> None:
        """Wait until the issuers of *keys* have given some, or have failed to."""
        missing = [each for each in keys if not each.is_usable]
        await asyncio.gather(*(each.refresh(Trigger.START) for each in missing))

    async def drop_all_but(self, keys: Sequence[IssuerKeys]) -> None:
        """Stop keeping the others current, once those who wait for them have their answer."""
        dropped = [each for each in self._kept if each.keys not in keys]
        await asyncio.gather(*(each.keys.until_idle() for each in dropped))
        await _end(dropped)
        self._kept = [each for each in self._kept if each.keys in keys]
        for url in self._stores.keys() - {each.store for each in self._kept}:
            await self._stores.pop(url).close()

    async def close(self) -> None:
        """Stop keeping any, at once."""
        await _end(self._kept)
        for store in self._stores.values():
            await store.close()

    def _keep(self, issuer: IssuerSettings, policy: RefreshPolicy, store: str) -> IssuerKeys:
        earlier = [each for each in self._kept if each.is_of(issuer)]
        for each in earlier:
            if (each.policy, each.store) == (policy, store):
                return each.keys
        keys = self._make(issuer, policy, store)
        match keys, earlier:
            case RemoteKeySet(), [_Kept(keys=RemoteKeySet() as before), *_]:
                keys.begin_as(before)
        task = asyncio.create_task(keys.run())
        self._kept.insert(0, _Kept(issuer, policy, store, keys, task))
        return keys

    def _make(self, issuer: IssuerSettings, policy: RefreshPolicy, store: str) -> IssuerKeys:
        if issuer.fixed_keys is not None:
            return FixedKeySet(issuer.issuer, issuer.fixed_keys)
        if store not in self._stores:
            self._stores[store] = Store.open(SecretStr(store))
        client = issuer_client(issuer, policy, self._session)
        shared = SharedKeys(issuer.issuer, self._stores[store], url=issuer.jwks_uri)
        return RemoteKeySet(
            issuer.issuer, client.fetch_key_set, policy, shared, metrics=self._metrics
        )


async def _end(kept: Iterable[_Kept]) -> None:
    tasks = [each.task for each in kept]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


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
