"""The claims of an access token, one by one: RFC 7519 section 4, RFC 9068 section 2.2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.policy import TokenPolicy

Claims = Mapping[str, Any]

_REQUIRED = {
    "jwt": ("iss", "exp", "aud"),
    "at+jwt": ("iss", "exp", "aud", "sub", "client_id", "iat", "jti"),
}

# Found in ID tokens, logout tokens, introspection answers: never in an access token.
_FOREIGN_CLAIMS = frozenset({"at_hash", "c_hash", "events", "token_introspection"})
_DPOP_PROOF_CLAIMS = frozenset({"htm", "htu"})

_MAX_NUMBER = 2**53  # RFC 7493 section 2.2
_MAX_SUBJECT_LENGTH = 255
_MAX_TEXT_LENGTH = 2048
_MAX_SCOPES = 1000
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3


def check_kind(claims: Claims) -> None:
    """
    Refuse the claims of another kind of JWT (RFC 8725 section 3.12).

    Raises:
        InvalidTokenError: an ID token, logout token, introspection answer or DPoP proof; or a
            token bound to a key that its sender should have proved to have (RFC 7800).
    """
    if not _FOREIGN_CLAIMS.isdisjoint(claims) or claims.keys() >= _DPOP_PROOF_CLAIMS:
        raise InvalidTokenError(Reason.WRONG_TYPE)
    if "cnf" in claims:
        raise InvalidTokenError(Reason.INVALID_CLAIM)


def check_required(claims: Claims, policy: TokenPolicy) -> None:
    """
    Ask for the claims of the profile.

    Raises:
        InvalidTokenError: one is missing.
    """
    if any(name not in claims for name in _REQUIRED[policy.profile]):
        raise InvalidTokenError(Reason.INVALID_CLAIM)


def read_audience(claims: Claims, policy: TokenPolicy) -> tuple[str, ...]:
    """
    Read ``aud`` (RFC 7519 section 4.1.3).

    Raises:
        InvalidTokenError: neither text nor a list of texts, or none of them is ours.
    """
    audience = claims["aud"]
    if isinstance(audience, str):
        audience = [audience]
    if not isinstance(audience, list) or not all(isinstance(name, str) for name in audience):
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    if not any(name in policy.audience for name in audience):
        raise InvalidTokenError(Reason.WRONG_AUDIENCE)
    return tuple(audience)


@dataclass(frozen=True, slots=True)
class Times:
    """``exp``, ``nbf`` and ``iat``, in seconds since the epoch."""

    expires_at: float
    not_before: float | None
    issued_at: float | None


def read_times(claims: Claims) -> Times:
    """
    Read the times, possibly with fractions (RFC 7519 section 2).

    Raises:
        InvalidTokenError: one is there and no number below 2**53.
    """
    expires_at = _read_time(claims, "exp")
    if expires_at is None:
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    return Times(expires_at, _read_time(claims, "nbf"), _read_time(claims, "iat"))


def check_times(times: Times, policy: TokenPolicy, *, now: float) -> None:
    """
    Hold *times* against *now*, in seconds since the epoch.

    Raises:
        InvalidTokenError: expired, not valid yet, or issued too long ago.
    """
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


def may_be_current(claims: Claims, policy: TokenPolicy, *, now: float) -> bool:
    """Tell whether the times in *claims*, which nobody has verified, are good *now*."""
    try:
        check_times(read_times(claims), policy, now=now)
    except InvalidTokenError:
        return False
    return True


def _read_time(claims: Claims, name: str) -> float | None:
    if name not in claims:
        return None
    match claims[name]:
        case bool():
            pass
        case int() | float() as number if -_MAX_NUMBER < number < _MAX_NUMBER:
            return number
    raise InvalidTokenError(Reason.INVALID_CLAIM)


def read_text(claims: Claims, name: str) -> str | None:
    """
    Read a claim that names somebody or something.

    Raises:
        InvalidTokenError: it is there and no text, empty, too long, or has control characters.
    """
    if name not in claims:
        return None
    limit = _MAX_SUBJECT_LENGTH if name == "sub" else _MAX_TEXT_LENGTH
    match claims[name]:
        case str(text) if 0 < len(text) <= limit and not _CONTROL_CHARACTER.search(text):
            return text
    raise InvalidTokenError(Reason.INVALID_CLAIM)


def read_scopes(claims: Claims, policy: TokenPolicy) -> frozenset[str]:
    """
    Gather what the scope claims grant.

    Raises:
        InvalidTokenError: not scopes (RFC 6749 section 3.3), or more than 1,000.
    """
    granted: set[str] = set()
    for name in policy.scope_claims:
        if name in claims:
            granted.update(_scopes_in(claims[name], list_allowed=_may_be_list(name, policy)))
    if len(granted) > _MAX_SCOPES or not all(map(SCOPE_TOKEN.fullmatch, granted)):
        raise InvalidTokenError(Reason.INVALID_CLAIM)
    return frozenset(granted)


def _may_be_list(name: str, policy: TokenPolicy) -> bool:
    # RFC 9068 section 2.2.3 has one form of scope; claims like permissions are lists by nature.
    return policy.profile == "jwt" or name not in {"scope", "scp"}


def _scopes_in(value: object, *, list_allowed: bool) -> list[str]:
    match value:
        case str():
            return [scope for scope in value.split(" ") if scope]
        case list() if list_allowed and all(isinstance(scope, str) for scope in value):
            return value
    raise InvalidTokenError(Reason.INVALID_CLAIM)
