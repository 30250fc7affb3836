"""The development issuer's signing keys: the current one, and the one before it."""

from dataclasses import dataclass
from typing import Any

from joserfc import jwk

_KEY_SIZE = 2048


def generate_key() -> jwk.RSAKey:
    """Make a signing key; takes a good part of a second, so not on the event loop."""
    return jwk.RSAKey.generate_key(_KEY_SIZE, {"use": "sig", "alg": "RS256"}, auto_kid=True)


@dataclass(slots=True)
class SigningKeys:
    """
    Attributes:
        current: what tokens are signed with.
        previous: still published, until the next rotation.
    """

    current: jwk.RSAKey
    previous: jwk.RSAKey | None = None

    def rotate(self, successor: jwk.RSAKey, *, revoke: bool) -> None:
        """Sign with *successor* from now on; *revoke* drops the old key at once."""
        self.previous = None if revoke else self.current
        self.current = successor

    @property
    def published(self) -> dict[str, Any]:
        """The JWK set (RFC 7517): public members alone."""
        keys = [self.current] if self.previous is None else [self.current, self.previous]
        return {"keys": [dict(key.as_dict(private=False)) for key in keys]}
