"""What ``keyturn check`` says of each issuer: does it answer, its keys, how long they are good."""

import asyncio
from dataclasses import dataclass

from server.config import Config
from server.issuer_settings import IssuerSettings
from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError
from server.jwks.policy import RefreshPolicy, parse_freshness
from server.jwks.published import PublishedKeySet
from server.jwks.store import Store
from server.key_ring import issuer_client
from server.oauth.keys import KeySet, UnfitKey, VerificationKey
from server.oauth.policy import TokenPolicy

_IN_THE_MIDDLE = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One line on one issuer."""

    line: str
    is_good: bool


async def check_issuers(config: Config) -> list[Finding]:
    """Ask every issuer at once for its keys."""
    async with open_session() as session:

        async def check(issuer: IssuerSettings) -> Finding:
            if issuer.fixed_keys is not None:
                told = _keys(issuer.fixed_keys, issuer.policy)
                is_good = _has_fitting_key(issuer.fixed_keys, issuer.policy)
                return _finding(issuer, "ok, no network", told, is_good=is_good)
            try:
                published = await issuer_client(issuer, config.jwks, session).fetch_key_set()
            except JWKSFetchError as error:
                return Finding(f"{issuer.issuer}  no keys: {error}", is_good=False)
            told = f"{_keys(published.keys, issuer.policy)}; {_times(published, config.jwks)}"
            is_good = _has_fitting_key(published.keys, issuer.policy)
            return _finding(issuer, "ok", told, is_good=is_good)

        return await asyncio.gather(*map(check, config.issuers))


async def store_fault(config: Config) -> str | None:
    """Say what is wrong with the store that processes share, if anything."""
    store = Store.open(config.jwks.store)
    try:
        return await store.fault()
    finally:
        await store.close()


def _finding(issuer: IssuerSettings, good: str, told: str, *, is_good: bool) -> Finding:
    word = good if is_good else "no key for the allowed algorithms"
    return Finding(f"{issuer.issuer}  {word}: {told}", is_good=is_good)


def _has_fitting_key(keys: KeySet, policy: TokenPolicy) -> bool:
    return any(key.algorithms & policy.algorithms for key in keys.keys)


def _keys(keys: KeySet, policy: TokenPolicy) -> str:
    told = "keys " + ", ".join(_key(each, policy) for each in keys.keys)
    if keys.unfit:
        told += "; left out: " + ", ".join(map(_unfit, keys.unfit))
    return told


def _key(key: VerificationKey, policy: TokenPolicy) -> str:
    algorithms = sorted(key.algorithms & policy.algorithms)
    told = " ".join(algorithms) or "for none of the allowed algorithms"
    return f"{key.key_id or 'one without kid'} ({told}, {key.strength})"


def _unfit(key: UnfitKey) -> str:
    return f"{key.key_id or 'one without kid'} ({key.cause})"


def _times(published: PublishedKeySet, policy: RefreshPolicy) -> str:
    stated = parse_freshness(published.headers)
    lifetime = policy.lifetime(published.headers)
    told = "states no freshness" if stated is None else f"states {stated:g} s"
    due = policy.refresh_in(lifetime, random=_IN_THE_MIDDLE)
    return f"{told}, kept for {lifetime:g} s, next refresh after about {due:g} s"
