"""What one issuer's tokens must be like: RFC 8725, RFC 9068 section 4."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.keys import ALGORITHMS, SECRET_ALGORITHMS, canonical_algorithm
from server.oauth.unverified_token import UnverifiedToken
from server.settings import IssuerUrl, Seconds, Settings

# RFC 9068 section 4 and RFC 7515 section 4.1.9: with and without the prefix, in any case.
_ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_ANY_JWT_TYPES = _ACCESS_TOKEN_TYPES | {"jwt", "application/jwt", None}

_REQUIRED_CLAIMS = {
    "jwt": ("iss", "exp", "aud"),
    "at+jwt": ("iss", "exp", "aud", "sub", "client_id", "iat", "jti"),  # RFC 9068 section 2.2
}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_algorithm(name: str) -> str:
    known = [*ALGORITHMS, *sorted(SECRET_ALGORITHMS)]
    if (name := canonical_algorithm(name)) not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return name


Audiences = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
"""A string or a list of strings: any of them."""

_Algorithm = Annotated[str, AfterValidator(_check_algorithm)]


class TokenPolicy(Settings):
    """
    What is asked of a token beside a good signature.

    Attributes:
        issuer: compared with ``iss`` character by character.
        audience: the token must name one of them in ``aud``.
        algorithms: the allow-list (RFC 8725 section 3.1).
        profile: ``at+jwt`` for all of RFC 9068, ``jwt`` for any access token that is a JWT.
        leeway: for ``exp``, ``nbf`` and ``iat``, in seconds.
        max_token_age: since ``iat``, in seconds; no limit if absent.
        scope_claims: where scopes are read from.
    """

    issuer: IssuerUrl
    audience: Audiences
    algorithms: Annotated[frozenset[_Algorithm], Field(min_length=1)] = frozenset(
        {"RS256", "PS256", "ES256", "Ed25519"}
    )
    profile: Literal["at+jwt", "jwt"] = "jwt"
    leeway: Seconds = 30.0
    max_token_age: Seconds | None = None
    scope_claims: tuple[Annotated[str, Field(min_length=1)], ...] = ("scope", "scp")

    @property
    def required_claims(self) -> tuple[str, ...]:
        """Those that the profile's tokens have in any case."""
        return _REQUIRED_CLAIMS[self.profile]

    def check_algorithm(self, token: UnverifiedToken) -> None:
        """
        Hold the algorithm against the allow-list.

        Raises:
            InvalidTokenError: it is not allowed.
        """
        if canonical_algorithm(token.jws.algorithm) not in self.algorithms:
            raise InvalidTokenError(Reason.ALGORITHM_NOT_ALLOWED)

    def check_type(self, token: UnverifiedToken) -> None:
        """
        Refuse a token that says that it is of another type.

        Raises:
            InvalidTokenError: its ``typ`` is none of the profile's.
        """
        type_ = None if token.jws.type is None else token.jws.type.lower()
        allowed = _ACCESS_TOKEN_TYPES if self.profile == "at+jwt" else _ANY_JWT_TYPES
        if type_ not in allowed:
            raise InvalidTokenError(Reason.WRONG_TYPE)

    def believed_until(self, *, expires_at: float, issued_at: float | None) -> float:
        """Give the time, in seconds since the epoch, from which a token is refused."""
        if self.max_token_age is None or issued_at is None:
            return expires_at + self.leeway
        return min(expires_at, issued_at + self.max_token_age) + self.leeway
