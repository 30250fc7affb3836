"""The claims of an access token, one by one: RFC 7519 section 4, RFC 9068 section 2.2."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.oauth.checks import Check, Tell, tell_nobody
from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.policy import TokenPolicy

Claims = Mapping[str, Any]

# Found in ID tokens, logout tokens, introspection answers: never in an access token.
_FOREIGN_CLAIMS = frozenset({"at_hash", "c_hash", "events", "token_introspection"})
_DPOP_PROOF_CLAIMS = frozenset({"htm", "htu"})

_MAX_NUMBER = 2**53  # RFC 7493 section 2.2
_MAX_SUBJECT_LENGTH = 255
_MAX_TEXT_LENGTH = 2048
_MAX_SCOPES = 1000
_MOST_SCOPE_TEXTS = 128
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3


@dataclass(frozen=True, slots=True)
class Times:
    """``exp``, ``nbf`` and ``iat``, in seconds since the epoch."""

    expires_at: float
    not_before: float | None
    issued_at: float | None


@dataclass(frozen=True, slots=True)
class SoundClaims:
    """What the claims of an access token say, once they are found to be as they must be."""

    subject: str | None
    client_id: str | None
    token_id: str | None
    audience: tuple[str, ...]
    scopes: frozenset[str]
    times: Times


def judge_claims(
    claims: Claims, policy: TokenPolicy, *, now: float, tell: Tell = tell_nobody
) -> SoundClaims:
    """
    Hold *claims* against *policy*.

    Args:
        now: in seconds since the epoch.
        tell: hears of each check that is passed.

    Raises:
        InvalidTokenError: another kind of token's, or one is missing, invalid, or not for us now.
    """
    _check_kind(claims)
    tell(Check.KIND, None)
    _check_required(claims, policy)
    tell(Check.REQUIRED, policy.required_claims)
    subject = _read_text(claims, "sub")
    client_id = _read_text(claims, "client_id") or _read_text(claims, "azp")
    token_id = _read_text(claims, "jti")
    tell(Check.IDENTITY, subject)
    audience = _read_audience(claims, policy)
    tell(Check.AUDIENCE, audience)
    scopes = _read_scopes(claims, policy)
    tell(Check.SCOPES, scopes)
    times = _read_times(claims)
    _check_times(times, policy, now=now)
    tell(Check.TIMES, times)
    return SoundClaims(subject, client_id, token_id, audience, scopes, times)


def may_be_current(claims: Claims, policy: TokenPolicy, *, now: float) -> bool:
    """Tell whether the times in *claims*, which nobody has verified, are good *now*."""
    try:
        _check_times(_read_times(claims), policy, now=now)
    except InvalidTokenError:
        return False
    return True


def foreign_claims(claims: Claims) -> list[str]:
    """Give those of *claims* that only another kind of JWT has (RFC 8725 section 3.12)."""
    foreign = _FOREIGN_CLAIMS & claims.keys()
    if claims.keys() >= _DPOP_PROOF_CLAIMS:
        foreign |= _DPOP_PROOF_CLAIMS
    return sorted(foreign)


def _check_kind(claims: Claims) -> None:
    if foreign_claims(claims):
        raise InvalidTokenError(Reason.WRONG_TYPE)
    # Bound to a key that its sender should have proved to have: RFC 7800 section 3.
    if "cnf" in claims:
        raise InvalidTokenError(Reason.INVALID_CLAIM)


def _check_required(claims: Claims, policy: TokenPolicy) -> None:
    if any(name not in claims for name in policy.required_claims):
        raise InvalidTokenError(Reason.INVALID_CLAIM)


def _read_audience(claims: Claims, policy: TokenPolicy) -> tuple[str, ...]:
    audience = claims["aud"]
    if isinstance(audience, str):
        audience = [audience]
    if not isinstance(audience, list) or not all(isinstance(name, str) for name in audience):
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    if not any(name in policy.audience for name in audience):
        raise InvalidTokenError(Reason.WRONG_AUDIENCE)
    return tuple(audience)


def _read_times(claims: Claims) -> Times:
    expires_at = _read_time(claims, "exp")
    if expires_at is None:
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    return Times(expires_at, _read_time(claims, "nbf"), _read_time(claims, "iat"))


def _check_times(times: Times, policy: TokenPolicy, *, now: float) -> None:
    if times.expires_at + policy.leeway <= now:
        raise InvalidTokenError(Reason.EXPIRED)
    for start in (times.not_before, times.issued_at):
        if start is not None and start > now + policy.leeway:
            raise InvalidTokenError(Reason.NOT_YET_VALID)
    if policy.max_token_age is not None:
        if times.issued_at is None:
            raise InvalidTokenError(Reason.INVALID_CLAIM)
        if times.issued_at + policy.max_token_age + policy.leeway <= now:
            raise InvalidTokenError(Reason.TOO_OLD)


def _read_time(claims: Claims, name: str) -> float | None:
    if name not in claims:
        return None
    match claims[name]:
        case bool():
            pass
        case int() | float() as number if -_MAX_NUMBER < number < _MAX_NUMBER:
            return number
    raise InvalidTokenError(Reason.INVALID_CLAIM)


def _read_text(claims: Claims, name: str) -> str | None:
    if name not in claims:
        return None
    limit = _MAX_SUBJECT_LENGTH if name == "sub" else _MAX_TEXT_LENGTH
    text = claims[name]
    # What is printable has no control characters, which is seen at once.
    if (
        isinstance(text, str)
        and 0 < len(text) <= limit
        and (text.isprintable() or not _CONTROL_CHARACTER.search(text))
    ):
        return text
    raise InvalidTokenError(Reason.INVALID_CLAIM)


def _read_scopes(claims: Claims, policy: TokenPolicy) -> frozenset[str]:
    granted: frozenset[str] = frozenset()
    for name in policy.scope_claims:
        if name in claims:
            value = claims[name]
            found = (
                _scopes_in_text(value)
                if isinstance(value, str)
                else _scopes_in_list(value, allowed=_may_be_list(name, policy))
            )
            granted = granted | found if granted else found
    if len(granted) > _MAX_SCOPES:
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    return granted


def _may_be_list(name: str, policy: TokenPolicy) -> bool:
    # RFC 9068 section 2.2.3 has one form of scope; claims like permissions are lists by nature.
    return policy.profile == "jwt" or name not in {"scope", "scp"}


@lru_cache(_MOST_SCOPE_TEXTS)
def _scopes_in_text(text: str) -> frozenset[str]:
    # The tokens of one client have one text, and thus one set.
    return _checked(scope for scope in text.split(" ") if scope)


def _scopes_in_list(value: object, *, allowed: bool) -> frozenset[str]:
    if allowed and isinstance(value, list) and all(isinstance(scope, str) for scope in value):
        return _checked(value)
    raise InvalidTokenError(Reason.INVALID_CLAIM)


def _checked(scopes: Iterable[str]) -> frozenset[str]:
    granted = frozenset(scopes)
    if len(granted) > _MAX_SCOPES or not all(map(SCOPE_TOKEN.fullmatch, granted)):
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    return granted
