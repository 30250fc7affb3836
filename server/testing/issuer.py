"""An issuer for tests: mints access tokens by RFC 9068 with a key of its own; no network."""

import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from joserfc import jwk, jws

_ALGORITHM = "ES256"  # allowed by default, and its keys are made in no time


class TestIssuer:
    """
    Mints tokens that are sound but for what a test asks.

    Two issuers of one name have different keys: one is an impostor of the other.

    Args:
        name: what stands in ``iss``.
        audience: what stands in ``aud``.
        clock: gives the time in seconds since the epoch.
    """

    __test__ = False  # no test, whatever pytest makes of its name

    def __init__(
        self,
        name: str = "https://issuer.test/",
        audience: str = "https://api.test",
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.audience = audience
        self.clock = clock
        self._key = jwk.ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)

    @property
    def jwks(self) -> dict[str, Any]:
        """The JWK set (RFC 7517) to believe this issuer by: public members alone."""
        return {"keys": [dict(self._key.as_dict(private=False))]}

    def mint(self, scopes: Iterable[str] = (), *, expires_in: float = 3600, **claims: Any) -> str:
        """
        Sign an access token.

        Args:
            scopes: the names that ``scope`` is made of; without any there is no such claim.
            expires_in: in seconds from now; none are left if it is negative.
            claims: go over those that a sound token has; ``...`` leaves one out.
        """
        if isinstance(scopes, str):
            raise TypeError('scopes is a list of names; write scope="…" for the claim as it is')
        now = int(self.clock())
        sound = {
            "iss": self.name,
            "sub": "test-user",
            "aud": self.audience,
            "client_id": "test-client",
            "iat": min(now, now + expires_in),
            "exp": now + expires_in,
            "jti": secrets.token_urlsafe(16),
            "scope": " ".join(scopes) or ...,
        }
        payload = {name: value for name, value in (sound | claims).items() if value is not ...}
        header = {"typ": "at+jwt", "alg": _ALGORITHM, "kid": self._key.kid}
        return jws.serialize_compact(header, json.dumps(payload), self._key, [_ALGORITHM])

    def bearer(
        self, scopes: Iterable[str] = (), *, expires_in: float = 3600, **claims: Any
    ) -> dict[str, str]:
        """Give the request headers that carry such a token; takes what ``mint`` takes."""
        compact = self.mint(scopes, expires_in=expires_in, **claims)
        return {"Authorization": f"Bearer {compact}"}
