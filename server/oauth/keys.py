"""An issuer's verification keys: RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9864."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError

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

# The public members of each type of key; nothing else is shown to the library.
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_RSA_BITS = range(2048, 8192 + 1)
_MAX_KEYS = 100
_MAX_CANDIDATES = 4

_registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))


def canonical_algorithm(name: str) -> str:
    """Give an algorithm its name in RFC 9864: ``EdDSA`` is ``Ed25519`` to us."""
    return "Ed25519" if name == "EdDSA" else name


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """
    A public key that signatures are verified with.

    Attributes:
        key_id: ``kid``, if the issuer gives one.
        algorithms: those that this key may be used with.
        thumbprint: RFC 7638; the same for the same key.
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    _key: jwk.Key

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
        named = [key for key in self.keys if key.key_id == key_id]
        fitting = tuple(key for key in named if algorithm in key.algorithms)
        if named and not fitting:
            raise InvalidTokenError(Reason.KEY_MISMATCH)
        return fitting[:_MAX_CANDIDATES]


def parse_jwks(document: Mapping[str, Any]) -> KeySet:
    """
    Read a JWK set (RFC 7517 section 5), key by key: an unfit one does not spoil the others.

    Raises:
        ValueError: there is no array ``keys``.
    """
    members = document.get("keys")
    if not isinstance(members, list):
        raise ValueError("no array of keys")
    fit: dict[tuple[str | None, str, frozenset[str]], VerificationKey] = {}
    unfit: list[UnfitKey] = []
    for member in members[:_MAX_KEYS]:
        match _import(member):
            case VerificationKey() as key:
                fit[key.key_id, key.thumbprint, key.algorithms] = key
            case UnfitKey() as refused:
                unfit.append(refused)
    if len(members) > _MAX_KEYS:
        unfit.append(UnfitKey(None, f"only the first {_MAX_KEYS} keys are taken"))
    return KeySet(tuple(fit.values()), tuple(unfit))


def _import(member: object) -> VerificationKey | UnfitKey:
    if not isinstance(member, dict):
        return UnfitKey(None, "it is no object")
    key_id = member.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        return UnfitKey(None, "its kid is no text")
    if not _SECRET_MEMBERS.isdisjoint(member):
        return UnfitKey(key_id, "it holds private or symmetric material", is_secret=True)
    try:
        algorithms = _algorithms_of(member)
        key = _load(member)
        return VerificationKey(key_id, algorithms, key.thumbprint(), key)
    except _UnfitKeyError as unfit:
        return UnfitKey(key_id, str(unfit))
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error, JoseError):
        return UnfitKey(key_id, "its members do not make a key")


class _UnfitKeyError(Exception):
    pass


def _algorithms_of(member: Mapping[str, Any]) -> frozenset[str]:
    if member.get("use", "sig") != "sig":
        raise _UnfitKeyError("it is not for signatures")
    if "verify" not in member.get("key_ops", ["verify"]):
        raise _UnfitKeyError("its key_ops do not include verify")
    kind = member.get("kty"), member.get("crv") if member.get("kty") != "RSA" else None
    fitting = frozenset(name for name, needed in ALGORITHMS.items() if needed == kind)
    if not fitting:
        raise _UnfitKeyError("its type or curve is not supported")
    if "alg" not in member:
        return fitting
    if not (fitting := fitting & {canonical_algorithm(str(member["alg"]))}):
        raise _UnfitKeyError("its algorithm is not supported or is another type's")
    return fitting


def _load(member: Mapping[str, Any]) -> jwk.Key:
    if member["kty"] == "RSA" and _rsa_size(member["n"]) not in _RSA_BITS:
        raise _UnfitKeyError(f"its size is not {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits")
    # Without padding, which some issuers add: a key that works is a key.
    names = ("kty", *_PUBLIC_MEMBERS[member["kty"]])
    return jwk.import_key({name: member[name].rstrip("=") for name in names})


def _rsa_size(modulus: str) -> int:
    return int.from_bytes(urlsafe_b64decode(modulus + "==")).bit_length()
