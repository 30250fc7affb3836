"""A verified access token, and the only way to make one: RFC 7519, RFC 9068."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from server.oauth.checks import Check, Tell, tell_nobody
from server.oauth.claims import judge_claims
from server.oauth.errors import Evidence, InvalidTokenError, Reason, loggable_text
from server.oauth.jose import decode_base64url
from server.oauth.keys import VerificationKey, canonical_algorithm
from server.oauth.policy import TokenPolicy
from server.oauth.unverified_token import UnverifiedToken


@dataclass(frozen=True, slots=True)
class Mandate:
    """
    What the access tokens of one client have in common, and share while they are remembered.

    Attributes:
        issuer: ``iss``, one of those we believe.
        client_id: ``client_id``, else ``azp``.
        scopes: what was granted, from all scope claims.
        key_id: of the key that signed them, as it may be logged.
        algorithm: as it may be logged.
    """

    issuer: str
    client_id: str | None
    scopes: frozenset[str]
    key_id: str | None
    algorithm: str


@dataclass(frozen=True, slots=True)
class AccessToken:
    """
    A verified access token.  Holding one *is* the proof of verification.

    What every request needs is at hand; the rest is read from the payload when it is asked for.
    The signature is not kept: nobody can use again what a handler writes somewhere.

    Attributes:
        mandate: what it has in common with others.
        subject: ``sub``; in profile ``jwt`` a token may have none.
        token_id: ``jti``; the only part of a token that may be logged.
        believed_until: when it is refused, in seconds since the epoch: ``exp`` with the leeway, or
            what ends before.
        cached: whether it was verified for an earlier request.
    """

    mandate: Mandate
    subject: str | None
    token_id: str | None
    believed_until: float
    _payload: str = field(repr=False)
    cached: bool = False

    @property
    def issuer(self) -> str:
        """``iss``, one of those we believe."""
        return self.mandate.issuer

    @property
    def client_id(self) -> str | None:
        """``client_id``, else ``azp``."""
        return self.mandate.client_id

    @property
    def scopes(self) -> frozenset[str]:
        """What was granted, from all scope claims."""
        return self.mandate.scopes

    @property
    def claims(self) -> dict[str, Any]:
        """All claims, in a copy for whoever asks."""
        claims: dict[str, Any] = json.loads(decode_base64url(self._payload))
        return claims

    @property
    def audience(self) -> tuple[str, ...]:
        """All of ``aud``."""
        audience = self.claims["aud"]
        return (audience,) if isinstance(audience, str) else tuple(audience)

    @property
    def expires_at(self) -> float:
        """``exp``, in seconds since the epoch."""
        expires_at: float = self.claims["exp"]
        return expires_at

    @property
    def issued_at(self) -> float | None:
        """``iat``, in seconds since the epoch."""
        return self.claims.get("iat")

    @property
    def evidence(self) -> Evidence:
        """What may be logged."""
        mandate = self.mandate
        return Evidence(
            issuer=mandate.issuer,
            key_id=mandate.key_id,
            algorithm=mandate.algorithm,
            subject=loggable_text(self.subject),
            client_id=loggable_text(mandate.client_id),
            token_id=loggable_text(self.token_id),
            cached=self.cached,
        )


def payload_of(compact: str) -> str:
    """Give the middle part of a token that has been verified."""
    return compact[compact.find(".") + 1 : compact.rfind(".")]


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
    try:
        sound = judge_claims(token.claims, policy, now=now, tell=tell)
    except InvalidTokenError as error:
        error.evidence = _evidence_of(token)
        raise
    named = token.evidence(issuer=token.issuer)
    times = sound.times
    return AccessToken(
        Mandate(
            token.issuer, sound.client_id, sound.scopes, named.key_id, named.algorithm or algorithm
        ),
        sound.subject,
        sound.token_id,
        policy.believed_until(expires_at=times.expires_at, issued_at=times.issued_at),
        payload_of(token.compact),
    )


def _evidence_of(token: UnverifiedToken) -> Evidence:
    claims = token.claims
    named = token.evidence(issuer=token.issuer)
    return Evidence(
        issuer=named.issuer,
        key_id=named.key_id,
        algorithm=named.algorithm,
        subject=loggable_text(claims.get("sub")),
        client_id=loggable_text(claims.get("client_id", claims.get("azp"))),
        token_id=loggable_text(claims.get("jti")),
    )
