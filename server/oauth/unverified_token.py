"""A token that has been read and not believed: RFC 7519 section 7.2."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from server.oauth.errors import Evidence
from server.oauth.jose import CompactJWS, StrictError, malformed, parse_compact, parse_object

_LOGGED_LENGTH = 64
_MOST_NAMES = 128


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """
    What a token says of itself before anyone has checked its signature.

    Attributes:
        compact: its text.
        claims: a JSON object.
        issuer: ``iss``; empty where it is no text, which is nobody's name.
    """

    compact: str = field(repr=False)
    jws: CompactJWS = field(repr=False)
    claims: Mapping[str, Any]
    issuer: str

    @classmethod
    def parse(cls, compact: str) -> Self:
        """
        Read a token's text.

        Raises:
            InvalidTokenError: too large, malformed, or with a ``typ`` that is no string.
        """
        jws = parse_compact(compact)
        try:
            claims = parse_object(jws.payload)
        except StrictError as error:
            raise malformed(f"its payload {error}") from None
        issuer = claims.get("iss")
        return cls(compact, jws, claims, issuer if isinstance(issuer, str) else "")

    def evidence(self, *, issuer: str | None) -> Evidence:
        """Give what may be logged of this token: *issuer* is named only if it is configured."""
        key_id = self.jws.key_id
        return Evidence(
            issuer=issuer,
            key_id=None if key_id is None else _loggable(key_id),
            algorithm=_loggable(self.jws.algorithm),
        )


@lru_cache(_MOST_NAMES)
def _loggable(text: str) -> str:
    return ascii(text)[1:-1][:_LOGGED_LENGTH]
