"""Why a request is refused: its class is for the client, its reason for the operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Every reason there is: the same word in the log, the metrics and the commands."""

    MISSING_TOKEN = "missing_token"
    INVALID_REQUEST = "invalid_request"
    MALFORMED = "malformed"
    TOKEN_TOO_LARGE = "token_too_large"
    WRONG_TYPE = "wrong_type"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    UNTRUSTED_ISSUER = "untrusted_issuer"
    UNKNOWN_KEY = "unknown_key"
    KEY_MISMATCH = "key_mismatch"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    TOO_OLD = "too_old"
    INVALID_CLAIM = "invalid_claim"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    KEYS_UNAVAILABLE = "keys_unavailable"


LOGGED_LENGTH = 255
"""Of what was signed, so much is logged, in characters."""

# One sentence for all that is found up to the signature: who cannot sign learns nothing.
_NOT_FOR_US = "The access token is malformed or was not issued for this API"

_DESCRIPTIONS = {
    Reason.WRONG_AUDIENCE: "The access token is meant for another audience",
    Reason.EXPIRED: "The access token has expired",
    Reason.NOT_YET_VALID: "The access token is not valid yet",
    Reason.TOO_OLD: "The access token was issued too long ago",
    Reason.INVALID_CLAIM: "A claim of the access token is missing or invalid",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    What may be told of a token in a log line.

    Before the signature is verified only *issuer* (if configured), *key_id* and *algorithm* are
    filled in, escaped and cut; afterwards the rest.  Never the token, never its signature.
    """

    issuer: str | None = None
    key_id: str | None = None
    algorithm: str | None = None
    subject: str | None = None
    client_id: str | None = None
    token_id: str | None = None
    cached: bool | None = None


def loggable_text(value: object) -> str | None:
    """Give *value*, which was signed, as it may be logged: cut, and nothing where it is no text."""
    return value[:LOGGED_LENGTH] if isinstance(value, str) else None


class AuthError(Exception):
    """
    A request that is not admitted.

    Attributes:
        status: of the answer (RFC 9110).
        error: the code in the challenge (RFC 6750 section 3.1), if there is one.
        reason: for the operator.
        description: one of a fixed list of sentences, for the client.
        evidence: what may be logged of the token, if there was one.
    """

    status: ClassVar[int] = 401
    error: ClassVar[str | None] = None

    def __init__(
        self, reason: Reason, description: str, *, evidence: Evidence | None = None
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.description = description
        self.evidence = evidence


class MissingTokenError(AuthError):
    """No bearer token was sent: a challenge without an error code (RFC 6750 section 3.1)."""

    def __init__(self) -> None:
        super().__init__(Reason.MISSING_TOKEN, "This resource needs an access token")


class InvalidRequestError(AuthError):
    """The token was sent in two ways at once (RFC 6750 section 2)."""

    status = 400
    error = "invalid_request"

    def __init__(self) -> None:
        super().__init__(
            Reason.INVALID_REQUEST, "The access token must be sent once, in one Authorization line"
        )


class InvalidTokenError(AuthError):
    """
    What was sent is not a sound access token for us (RFC 6750 section 3.1).

    Attributes:
        detail: what exactly, for ``keyturn explain``; it quotes nothing of the token.
    """

    error = "invalid_token"

    def __init__(
        self, reason: Reason, *, evidence: Evidence | None = None, detail: str | None = None
    ) -> None:
        super().__init__(reason, _DESCRIPTIONS.get(reason, _NOT_FOR_US), evidence=evidence)
        self.detail = detail


class InsufficientScopeError(AuthError):
    """
    The token is sound and lacks what the route asks for (RFC 6750 section 3.1).

    Attributes:
        scopes: what the route asks for, for the challenge.
        missing: which of them the token lacks, for the log.
    """

    status = 403
    error = "insufficient_scope"

    def __init__(
        self,
        *,
        scopes: Sequence[str],
        missing: Sequence[str],
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(
            Reason.INSUFFICIENT_SCOPE,
            "The access token does not grant what this resource requires",
            evidence=evidence,
        )
        self.scopes = tuple(scopes)
        self.missing = tuple(missing)


class KeysUnavailableError(AuthError):
    """
    The token cannot be judged, because the issuer's keys cannot be had.

    Attributes:
        retry_after: in seconds, when it is worth asking again.
    """

    status = 503

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(
            Reason.KEYS_UNAVAILABLE, "Access tokens cannot be verified right now; try again later"
        )
        self.retry_after = retry_after
