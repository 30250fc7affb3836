"""Why a token is admitted or refused: the decision of a server, told check by check."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import ClientSession, hdrs

from server.case import Case, Claimed
from server.config import Config
from server.findings import describe, describe_refusal
from server.issuer_settings import IssuerSettings
from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError
from server.jwks.fixed_key_set import FixedKeySet
from server.key_ring import issuer_client
from server.oauth.access_token import AccessToken
from server.oauth.checks import Check
from server.oauth.claims import judge_claims
from server.oauth.errors import AuthError, InvalidTokenError, KeysUnavailableError, Reason
from server.oauth.keys import KeySet, VerificationKey
from server.oauth.scope import ScopeRequirement
from server.oauth.unverified_token import UnverifiedToken
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from server.web.problems import response_to
from server.web.routing import Access, Route

_ORDER = tuple(Check)
_OK, _REFUSED, _UNKNOWN, _NOT_REACHED = "ok", "REFUSED", "?", "-"


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    A decision, and how it was reached.

    Attributes:
        outcome: the token, if it is admitted; else why not.
        reason: why its claims are refused, or would be if the keys were there and it were signed.
        checks: one line for each.
    """

    outcome: AccessToken | AuthError
    reason: Reason | None
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
            case.error, case.reason = error, error.reason
            case.key_trouble = next((each.trouble for each in sources if each.trouble), None)
            checks = tuple(_lines(case, _marks(case)))
            return Explanation(error, case.reason, checks)
        return Explanation(access, None, tuple(_lines(case, dict.fromkeys(_ORDER, _OK))))


def _authorization(text: str) -> str:
    # A token, or what was pasted of a request: with its scheme, with the name of its header.
    value = re.sub(r"^authorization:\s*", "", text.strip(), flags=re.IGNORECASE)
    return value if " " in value else f"Bearer {value}"


def verdict(explanation: Explanation, rows: Sequence[Route], *, realm: str) -> Iterator[str]:
    """Say what comes of it: the answer to the client, or which of *rows* the token opens."""
    match explanation.outcome:
        case AccessToken() as access:
            yield "Admitted."
            for row in rows:
                yield f"  {row.method} {row.path}: {_opened(row.access, access)}"
        case KeysUnavailableError() as error:
            signed = f"refused: {explanation.reason}" if explanation.reason else "admitted"
            yield f"It cannot be judged without the keys.  If it is signed, it is {signed}."
            yield "A server that has no keys either tells the client:"
            yield from _answer(error, realm=realm)
        case AuthError() as error:
            yield f"Refused: {error.reason}.  The client is told:"
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
    passed = dict.fromkeys(case.found, _OK)
    if not isinstance(case.error, KeysUnavailableError):
        return passed | {_ORDER[len(passed)]: _REFUSED}
    # Nobody knows who signed it.  What its claims are worth if somebody did is known.
    unproven: dict[Check, Any] = {}
    try:
        judge_claims(case.claims, case.policy, now=case.now, tell=unproven.__setitem__)
        grant = Claimed(unproven[Check.SCOPES], case.claims)
        is_enough = case.requirement.is_met_by(grant)
        case.reason = None if is_enough else Reason.INSUFFICIENT_SCOPE
    except InvalidTokenError as error:
        case.reason = error.reason
    case.found |= unproven
    last = _ORDER[_ORDER.index(Check.KIND) + len(unproven)]
    return {
        **passed,
        Check.KEY: _UNKNOWN,
        Check.SIGNATURE: _UNKNOWN,
        **dict.fromkeys(unproven, _OK),
        last: _REFUSED if case.reason else _OK,
    }


def _lines(case: Case, marks: Mapping[Check, str]) -> Iterator[str]:
    for check in _ORDER:
        mark = marks.get(check, _NOT_REACHED)
        if mark == _NOT_REACHED:
            told = "not looked at"
        else:
            told = (describe_refusal if mark == _REFUSED else describe)(check, case)
        yield f"{mark:8} {check:12} {told}"


def _opened(asked: Access, access: AccessToken) -> str:
    if isinstance(asked, ScopeRequirement):
        return "yes" if asked.is_met_by(access) else f"no, it asks for {asked}"
    return "yes, as for anyone"


def _answer(error: AuthError, *, realm: str) -> Iterator[str]:
    response = response_to(error, realm=realm, request_id="new-for-each-answer")
    yield ""
    yield f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    yield from (f"{name}: {value}" for name, value in response.headers.items())
    yield ""
    if isinstance(response.body, bytes):
        yield response.body.decode().rstrip()
