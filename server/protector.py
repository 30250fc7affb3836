"""The one decision: is this request admitted?"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from server.oauth.access_token import AccessToken, verify
from server.oauth.bearer import bearer_token
from server.oauth.checks import Check, Tell, tell_nobody
from server.oauth.claims import may_be_current
from server.oauth.errors import AuthError, InsufficientScopeError, InvalidTokenError, Reason
from server.oauth.keys import VerificationKey
from server.oauth.policy import TokenPolicy
from server.oauth.scope import ScopeRequirement
from server.oauth.unverified_token import UnverifiedToken
from server.token_cache import Guarantor, TokenCache

# Not the event loop's own: there names are resolved, which the fetching of keys waits for.
_threads = ThreadPoolExecutor(thread_name_prefix="verify")


class KeySource(Guarantor, Protocol):
    """Where an issuer's keys come from."""

    async def find(self, token: UnverifiedToken, *, may_ask: bool) -> tuple[VerificationKey, ...]:
        """Give the keys that *token* may have been signed with; *may_ask* the issuer for them."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """One whom we believe: what its tokens must be like, and its keys."""

    policy: TokenPolicy
    keys: KeySource


class ResourceProtector:
    """
    Admits requests on the word of *issuers*.

    Args:
        cache: remembers what was verified.
        clock: gives the time in seconds since the epoch.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        cache: TokenCache,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers: Mapping[str, Issuer] = {each.policy.issuer: each for each in issuers}
        self._cache = cache
        self._clock = clock

    @property
    def tokens_kept(self) -> int:
        """Count the verified tokens that are remembered."""
        return len(self._cache)

    async def admit(
        self,
        authorization: Sequence[str],
        requirement: ScopeRequirement,
        *,
        tell: Tell = tell_nobody,
    ) -> AccessToken:
        """
        Give the access token of a request that may proceed.

        Args:
            authorization: the values of the request's ``Authorization`` lines.
            tell: hears of each check that a token passes, unless it was verified before; that of
                the last, what the route asks, is told by returning.

        Raises:
            AuthError: it may not; the class says what the client is told, the reason why.
        """
        compact = bearer_token(authorization)
        access = self._cache.get(compact, now=self._clock()) or await self._verify(compact, tell)
        if not requirement.is_met_by(access):
            raise InsufficientScopeError(
                scopes=requirement.scopes,
                missing=requirement.missing_from(access),
                evidence=access.evidence,
            )
        return access

    async def _verify(self, compact: str, tell: Tell) -> AccessToken:
        tell(Check.CREDENTIALS, len(compact))
        token = UnverifiedToken.parse(compact)
        tell(Check.FORM, token)
        issuer = self._issuer_of(token)
        tell(Check.ISSUER, issuer.policy)
        try:
            return await self._judge(token, issuer, tell)
        except AuthError as error:
            error.evidence = error.evidence or token.evidence(issuer=token.issuer)
            raise

    async def _judge(self, token: UnverifiedToken, issuer: Issuer, tell: Tell) -> AccessToken:
        policy = issuer.policy
        policy.check_algorithm(token)
        tell(Check.ALGORITHM, policy.algorithms)
        policy.check_type(token)
        tell(Check.TYPE, policy.profile)
        # A token that will be refused in any case is not worth a question.
        may_ask = may_be_current(token.claims, policy, now=self._clock())
        keys = await issuer.keys.find(token, may_ask=may_ask)
        generation = issuer.keys.generation
        tell(Check.KEY, keys)
        judge = partial(verify, token, keys, policy, now=self._clock(), tell=tell)
        if any(key.is_slow for key in keys):
            access = await asyncio.get_running_loop().run_in_executor(_threads, judge)
        else:
            access = judge()
        self._cache.put(token.compact, access, issuer.keys, generation=generation)
        return access

    def _issuer_of(self, token: UnverifiedToken) -> Issuer:
        try:
            return self._issuers[token.issuer]
        except KeyError:
            evidence = token.evidence(issuer=None)
            raise InvalidTokenError(Reason.UNTRUSTED_ISSUER, evidence=evidence) from None
