"""What a refused client is told: RFC 6750 section 3, RFC 9110 section 11.6.1."""

from dataclasses import dataclass
from typing import Self

from server.oauth.errors import AuthError, InsufficientScopeError, KeysUnavailableError


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    A Bearer challenge.  Header and body of an answer are both made from it.

    Attributes:
        realm: the name of what is protected.
        scope: what would have been enough, space-separated.
    """

    realm: str
    error: str | None = None
    description: str | None = None
    scope: str | None = None

    @classmethod
    def to(cls, error: AuthError, *, realm: str) -> Self | None:
        """Answer *error*; with nothing, where a better token would not help."""
        if isinstance(error, KeysUnavailableError):
            return None
        if error.error is None:
            return cls(realm)
        scopes = error.scopes if isinstance(error, InsufficientScopeError) else ()
        return cls(realm, error.error, error.description, " ".join(scopes) or None)

    def __str__(self) -> str:
        members = {
            "realm": self.realm,
            "error": self.error,
            "error_description": self.description,
            "scope": self.scope,
        }
        return "Bearer " + ", ".join(
            f'{name}="{_quoted(value)}"' for name, value in members.items() if value is not None
        )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
