"""An issuer's verification keys: RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9864."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwk, jws

from server.oauth.errors import InvalidTokenError, Reason

# Algorithm → the key it needs: type, and curve where the type has curves.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "Ed25519": ("OKP", "Ed25519"),
}

SECRET_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})
"""Those whose key is a secret that issuer and API share (RFC 7518 section 3.2)."""

PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""The public members of each type of key; nothing else is shown to the library."""

_MAX_CANDIDATES = 4

_registry = jws.JWSRegistry(algorithms=[*ALGORITHMS, *SECRET_ALGORITHMS])


def canonical_algorithm(name: str) -> str:
    """Give an algorithm its name in RFC 9864: ``EdDSA`` is ``Ed25519`` to us."""
    return "Ed25519" if name == "EdDSA" else name


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """
    A key that signatures are verified with: a public one, or a shared secret.

    Attributes:
        key_id: ``kid``, if the issuer gives one.
        algorithms: those that this key may be used with.
        thumbprint: RFC 7638; the same for the same key.  Empty for a secret: nothing of it shows.
        strength: its kind and size, for people: ``RSA 2048``, ``EC P-256``, ``secret 256 bits``.
        is_slow: verifying takes so long that an event loop should not wait for it.
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    strength: str
    _key: jwk.Key = field(repr=False)
    is_slow: bool = False

    @property
    def is_secret(self) -> bool:
        """Tell whether who can verify with it can sign with it."""
        return self._key.key_type == "oct"

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The key as it may be published (RFC 7517): it makes the same key again."""
        if self.is_secret:
            raise ValueError("a secret is not published")
        named = {} if self.key_id is None else {"kid": self.key_id}
        bound = {"alg": min(self.algorithms)} if len(self.algorithms) == 1 else {}
        kty = self._key.key_type
        members = self._key.as_dict(private=False)
        return {"kty": kty, **{n: members[n] for n in PUBLIC_MEMBERS[kty]}, **named, **bound}

    def answers_to(self, key_id: str) -> bool:
        """Tell whether a token that names *key_id* may mean this key."""
        return self.key_id == key_id or self.is_secret

    def verifies(self, signature: bytes, signing_input: bytes, *, algorithm: str) -> bool:
        """Tell whether this key made *signature* with *algorithm*."""
        if algorithm not in self.algorithms:
            return False
        return _registry.get_alg(algorithm).verify(signing_input, signature, self._key)


@dataclass(frozen=True, slots=True)
class UnfitKey:
    """
    A key of the issuer's that is left out (RFC 7517 section 5).

    Attributes:
        is_secret: its document holds private or symmetric material, which is now public.
    """

    key_id: str | None
    cause: str
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys of one issuer at one time."""

    keys: tuple[VerificationKey, ...]
    unfit: tuple[UnfitKey, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The JWK set (RFC 7517 section 5) of the usable keys: public members alone."""
        return {"keys": [key.public_jwk for key in self.keys]}

    def knows(self, key_id: str) -> bool:
        """Tell whether there is a key that a token may name *key_id*."""
        return any(key.answers_to(key_id) for key in self.keys)

    def candidates(self, *, key_id: str | None, algorithm: str) -> tuple[VerificationKey, ...]:
        """
        Find the keys that a token may have been signed with; none if its key is unknown.

        Raises:
            InvalidTokenError: the key is known and made for another algorithm, or the token names
                no key and there is not exactly one that fits.
        """
        if key_id is None:
            fitting = tuple(key for key in self.keys if algorithm in key.algorithms)
            if len(fitting) != 1:
                raise InvalidTokenError(Reason.UNKNOWN_KEY)
            return fitting
        named = [key for key in self.keys if key.answers_to(key_id)]
        fitting = tuple(key for key in named if algorithm in key.algorithms)
        if named and not fitting:
            raise InvalidTokenError(Reason.KEY_MISMATCH)
        return fitting[:_MAX_CANDIDATES]
