"""Why a token is admitted or refused: the decision of a server, told check by check."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import ClientSession, hdrs

from server.config import Config
from server.findings import Case, describe
from server.issuer_settings import IssuerSettings
from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError
from server.jwks.fixed_key_set import FixedKeySet
from server.key_ring import issuer_client
from server.oauth.access_token import AccessToken
from server.oauth.checks import Check
from server.oauth.claims import judge_claims
from server.oauth.errors import AuthError, InvalidTokenError, KeysUnavailableError
from server.oauth.keys import KeySet, VerificationKey
from server.oauth.scope import ScopeRequirement
from server.oauth.unverified_token import UnverifiedToken
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from server.web.observation import new_request_id
from server.web.problems import response_to
from server.web.routing import Access, Route

_ORDER = tuple(Check)


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    A decision, and how it was reached.

    Attributes:
        access: the token, if it is admitted.
        error: why not, if it is not.
        checks: one line for each.
    """

    access: AccessToken | None
    error: AuthError | None
    checks: tuple[str, ...]


async def explain(
    config: Config,
    text: str,
    requirement: ScopeRequirement,
    *,
    offline: bool,
    clock: Callable[[], float] = time.time,
) -> Explanation:
    """
    Judge a request as the server that *config* describes would.

    Args:
        text: a token, or the value of the ``Authorization`` line with it.
        offline: whether the token's issuer is not to be asked for its keys.
        clock: gives the time in seconds since the epoch.
    """
    async with AsyncExitStack() as stack:
        session = None if offline else await stack.enter_async_context(open_session())
        sources = [_Source(each, config, session) for each in config.issuers]
        protector = ResourceProtector(
            [Issuer(each.policy, its) for each, its in zip(config.issuers, sources, strict=True)],
            TokenCache(TokenCacheSettings(size=0)),
            clock=clock,
        )
        case = Case([each.issuer for each in config.issuers], requirement, now=clock())
        tell = case.found.__setitem__
        try:
            access = await protector.admit([_authorization(text)], requirement, tell=tell)
        except AuthError as error:
            case.error = error
            case.key_trouble = next((each.trouble for each in sources if each.trouble), None)
            return Explanation(None, error, tuple(_lines(case, _marks(case))))
        return Explanation(access, None, tuple(_lines(case, dict.fromkeys(_ORDER, "ok"))))


def _authorization(text: str) -> str:
    text = text.strip()
    scheme, _, _ = text.partition(" ")
    return text if scheme.lower() == "bearer" else f"Bearer {text}"


def verdict(explanation: Explanation, rows: Sequence[Route], *, realm: str) -> Iterator[str]:
    """Say what comes of it: the answer to the client, or which of *rows* the token opens."""
    match explanation:
        case Explanation(access=AccessToken() as access):
            yield "Admitted."
            for row in rows:
                yield f"  {row.method} {row.path}: {_opened(row.access, access)}"
        case Explanation(error=AuthError() as error):
            if isinstance(error, KeysUnavailableError):
                yield "It cannot be judged without the keys.  A server that has none says:"
            else:
                yield f"Refused: {error.reason}.  The client is told:"
            yield ""
            yield from _answer(error, realm=realm)


def find_row(rows: Sequence[Route], name: str) -> Route | None:
    """Find the row that ``METHOD /path`` names, the path as in the table; HEAD is GET's."""
    method, _, path = name.strip().partition(" ")
    method = method.upper()
    wanted = {method, hdrs.METH_GET} if method == hdrs.METH_HEAD else {method}
    return next((row for row in rows if row.method in wanted and row.path == path.strip()), None)


class _Source:
    """
    The keys of one issuer, asked for when a token needs them.

    Attributes:
        trouble: why they cannot be had, if they cannot.
    """

    generation = 0

    def __init__(
        self, issuer: IssuerSettings, config: Config, session: ClientSession | None
    ) -> None:
        self._issuer = issuer
        self._policy = config.jwks
        self._session = session
        self.trouble: str | None = None

    def vouches_for(self, _generation: int) -> bool:
        """Nothing is kept that would need it."""
        return False

    async def find(self, token: UnverifiedToken, *, may_ask: bool) -> tuple[VerificationKey, ...]:
        try:
            keys = self._issuer.fixed_keys or await self._ask()
        except JWKSFetchError as error:
            self.trouble = str(error)
            retry_after = self._policy.unknown_key_cooldown
            raise KeysUnavailableError(retry_after=retry_after) from error
        return await FixedKeySet(self._issuer.issuer, keys).find(token, may_ask=may_ask)

    async def _ask(self) -> KeySet:
        if self._session is None:
            raise JWKSFetchError("nobody was asked")
        client = issuer_client(self._issuer, self._policy, self._session)
        return (await client.fetch_key_set()).keys


def _marks(case: Case) -> dict[Check, str]:
    """Tell which checks were passed, and which was not."""
    failed = _ORDER[len(case.found)]
    passed = dict.fromkeys(case.found, "ok")
    if not isinstance(case.error, KeysUnavailableError):
        return passed | {failed: "REFUSED"}
    # Nobody knows who signed it.  What its claims are worth if somebody did is known.
    unproven: dict[Check, Any] = {}
    try:
        sound = judge_claims(case.claims, case.policy, now=case.now, tell=unproven.__setitem__)
        grant = _Claimed(sound.scopes, case.claims)
        last = "ok" if case.requirement.is_met_by(grant) else "REFUSED"
        unproven[Check.TIMES] = sound.times
    except InvalidTokenError:
        last = "REFUSED"
    unknown = {Check.KEY: "?", Check.SIGNATURE: "?"}
    following = _ORDER[_ORDER.index(Check.KIND) + len(unproven)]
    return passed | unknown | dict.fromkeys(unproven, "ok") | {following: last}


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What a token would grant, had anybody verified it."""

    scopes: frozenset[str]
    claims: Mapping[str, Any]


def _lines(case: Case, marks: Mapping[Check, str]) -> Iterator[str]:
    for check in _ORDER:
        if check in marks:
            yield f"{marks[check]:8} {check:12} {describe(check, case)}"
        else:
            yield f"{'-':8} {check:12} not looked at"


def _opened(asked: Access, access: AccessToken) -> str:
    if isinstance(asked, ScopeRequirement):
        return "yes" if asked.is_met_by(access) else f"no, it asks for {asked}"
    return "yes, as for anyone"


def _answer(error: AuthError, *, realm: str) -> Iterator[str]:
    response = response_to(error, realm=realm, request_id=new_request_id())
    yield f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    yield from (f"{name}: {value}" for name, value in response.headers.items())
    yield ""
    if isinstance(response.body, bytes):
        yield response.body.decode().rstrip()
