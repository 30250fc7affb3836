"""A verified access token, and the only way to make one: RFC 7519, RFC 9068."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.oauth.checks import Check, Tell, tell_nobody
from server.oauth.claims import judge_claims
from server.oauth.errors import Evidence, InvalidTokenError, Reason
from server.oauth.keys import VerificationKey, canonical_algorithm
from server.oauth.policy import TokenPolicy
from server.oauth.unverified_token import UnverifiedToken


@dataclass(frozen=True, slots=True)
class AccessToken:
    """
    A verified access token.  Holding one *is* the proof of verification.

    Attributes:
        issuer: ``iss``, one of those we believe.
        subject: ``sub``; in profile ``jwt`` a token may have none.
        client_id: ``client_id``, else ``azp``.
        audience: all of ``aud``.
        scopes: what was granted, from all scope claims.
        expires_at: ``exp``, in seconds since the epoch.
        issued_at: ``iat``, in seconds since the epoch.
        token_id: ``jti``; the only part of a token that may be logged.
        evidence: what may be logged.
        cached: whether it was verified for an earlier request.
    """

    issuer: str
    subject: str | None
    client_id: str | None
    audience: tuple[str, ...]
    scopes: frozenset[str]
    expires_at: float
    issued_at: float | None
    token_id: str | None
    evidence: Evidence
    _claims_json: bytes
    cached: bool = False

    @property
    def claims(self) -> dict[str, Any]:
        """
        All claims, in a copy for whoever asks.

        The token serves many requests; what one of them does to its claims must not reach another.
        """
        claims: dict[str, Any] = json.loads(self._claims_json)
        return claims


def verify(
    token: UnverifiedToken,
    keys: Sequence[VerificationKey],
    policy: TokenPolicy,
    *,
    now: float,
    tell: Tell = tell_nobody,
) -> AccessToken:
    """
    Believe *token* if one of *keys* signed it and its claims are as *policy* asks.

    Args:
        now: in seconds since the epoch.
        tell: hears of each check that is passed.

    Raises:
        InvalidTokenError: it is not to be believed.
    """
    jws = token.jws
    algorithm = canonical_algorithm(jws.algorithm)
    if not any(key.verifies(jws.signature, jws.signing_input, algorithm=algorithm) for key in keys):
        raise InvalidTokenError(Reason.BAD_SIGNATURE)
    tell(Check.SIGNATURE, algorithm)
    evidence = _evidence_of(token)
    try:
        sound = judge_claims(token.claims, policy, now=now, tell=tell)
    except InvalidTokenError as error:
        error.evidence = evidence
        raise
    return AccessToken(
        issuer=token.issuer,
        subject=sound.subject,
        client_id=sound.client_id,
        audience=sound.audience,
        scopes=sound.scopes,
        expires_at=sound.times.expires_at,
        issued_at=sound.times.issued_at,
        token_id=sound.token_id,
        evidence=evidence,
        _claims_json=jws.payload,
    )


def _evidence_of(token: UnverifiedToken) -> Evidence:
    claims = token.claims
    named = token.evidence(issuer=token.issuer)
    return Evidence(
        issuer=named.issuer,
        key_id=named.key_id,
        algorithm=named.algorithm,
        subject=_text_or_none(claims.get("sub")),
        client_id=_text_or_none(claims.get("client_id", claims.get("azp"))),
        token_id=_text_or_none(claims.get("jti")),
    )


def _text_or_none(value: object) -> str | None:
    return value[:255] if isinstance(value, str) else None
