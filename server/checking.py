"""What ``keyturn check`` says of each issuer: does it answer, its keys, how long they are good."""

import asyncio
from dataclasses import dataclass

from server.config import Config
from server.issuer_settings import IssuerSettings
from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError
from server.jwks.policy import RefreshPolicy, parse_freshness
from server.jwks.published import PublishedKeySet
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
                return Finding(f"{issuer.issuer}  ok, no network: {told}", is_good=True)
            try:
                published = await issuer_client(issuer, config.jwks, session).fetch_key_set()
            except JWKSFetchError as error:
                return Finding(f"{issuer.issuer}  no keys: {error}", is_good=False)
            told = f"{_keys(published.keys, issuer.policy)}; {_times(published, config.jwks)}"
            return Finding(f"{issuer.issuer}  ok: {told}", is_good=True)

        return await asyncio.gather(*map(check, config.issuers))


def _keys(keys: KeySet, policy: TokenPolicy) -> str:
    told = "keys " + ", ".join(_key(each, policy) for each in keys.keys)
    if keys.unfit:
        told += "; left out: " + ", ".join(map(_unfit, keys.unfit))
    return told


def _key(key: VerificationKey, policy: TokenPolicy) -> str:
    algorithms = sorted(key.algorithms & policy.algorithms)
    told = " ".join(algorithms) or "for none of the allowed algorithms"
    return f"{key.key_id or 'without kid'} ({told}, {key.strength})"


def _unfit(key: UnfitKey) -> str:
    return f"{key.key_id or 'one without kid'} ({key.cause})"


def _times(published: PublishedKeySet, policy: RefreshPolicy) -> str:
    stated = parse_freshness(published.headers)
    lifetime = policy.lifetime(published.headers)
    told = "states no freshness" if stated is None else f"states {stated:g} s"
    due = policy.refresh_in(lifetime, random=_IN_THE_MIDDLE)
    return f"{told}, kept for {lifetime:g} s, next refresh after about {due:g} s"
