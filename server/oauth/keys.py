"""An issuer's verification keys: RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9864."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwk, jws
from joserfc.errors import JoseError

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.jose import is_key_id

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

LEAST_SECRET_BITS = 256

# The public members of each type of key; nothing else is shown to the library.
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_RSA_BITS = range(2048, 8192 + 1)
_MAX_EXPONENT_BITS = 64  # those of Internet keys have 17; a huge one makes verifying slow
_ED25519_PRIME = 2**255 - 19
_ED25519_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_MAX_KEYS = 100
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
    """

    key_id: str | None
    algorithms: frozenset[str]
    thumbprint: str
    strength: str
    _key: jwk.Key = field(repr=False)

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
        return {"kty": kty, **{n: members[n] for n in _PUBLIC_MEMBERS[kty]}, **named, **bound}

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


def secret_key_set(secret: bytes) -> KeySet:
    """
    Make the set of one key that *secret* is, for whatever key ID a token names.

    Raises:
        ValueError: it is shorter than 256 bits, or somebody's public key.
    """
    bits = 8 * len(secret)
    if bits < LEAST_SECRET_BITS:
        raise ValueError(f"a secret has {LEAST_SECRET_BITS} bits at least, not {bits}")
    try:
        key = jwk.OctKey.import_key(secret)
    except ValueError:
        # The library recognizes public keys, which everybody has.
        raise ValueError("what looks like a public key is no secret") from None
    return KeySet((VerificationKey(None, SECRET_ALGORITHMS, "", f"secret {bits} bits", key),))


def _import(member: object) -> VerificationKey | UnfitKey:
    if not isinstance(member, dict):
        return UnfitKey(None, "it is no object")
    key_id = member.get("kid")
    if key_id is not None and not (isinstance(key_id, str) and is_key_id(key_id)):
        return UnfitKey(None, "its kid is one that no token may name")
    if not _SECRET_MEMBERS.isdisjoint(member):
        return UnfitKey(key_id, "it holds private or symmetric material", is_secret=True)
    try:
        algorithms = _algorithms_of(member)
        strength = _strength_of(member)
        key = _load(member)
        return VerificationKey(key_id, algorithms, key.thumbprint(), strength, key)
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


def _strength_of(member: Mapping[str, Any]) -> str:
    if member["kty"] == "OKP" and _is_of_small_order(_decoded(member["x"])):
        raise _UnfitKeyError("whatever its signature, it fits")
    if member["kty"] != "RSA":
        return f"{member['kty']} {member['crv']}"
    bits = int.from_bytes(_decoded(member["n"])).bit_length()
    if bits not in _RSA_BITS:
        raise _UnfitKeyError(f"its size is not {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits")
    if int.from_bytes(_decoded(member["e"])).bit_length() > _MAX_EXPONENT_BITS:
        raise _UnfitKeyError(f"its exponent has more than {_MAX_EXPONENT_BITS} bits")
    return f"RSA {bits}"


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


def _is_of_small_order(point: bytes) -> bool:
    # The eight points of Ed25519 (RFC 8032 section 5.1) with which anybody can make signatures:
    # the library takes them.  Without the sign, and however they are written.
    y = int.from_bytes(point, "little") % 2**255 % _ED25519_PRIME
    return min(y, _ED25519_PRIME - y) in {0, 1, _ED25519_ORDER_8}


def _load(member: Mapping[str, Any]) -> jwk.Key:
    # Without padding, which some issuers add: a key that works is a key.
    names = ("kty", *_PUBLIC_MEMBERS[member["kty"]])
    return jwk.import_key({name: member[name].rstrip("=") for name in names})
