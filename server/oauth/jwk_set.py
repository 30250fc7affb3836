"""Reading a JWK set, key by key, and leaving out what is unfit: RFC 7517, RFC 7518 section 6."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from joserfc import jwk
from joserfc.errors import JoseError

from server.oauth.jose import is_key_id
from server.oauth.keys import (
    ALGORITHMS,
    PUBLIC_MEMBERS,
    SECRET_ALGORITHMS,
    KeySet,
    UnfitKey,
    VerificationKey,
    canonical_algorithm,
)

_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_KEYS = 100
_RSA_BITS = range(2048, 8192 + 1)
_MAX_EXPONENT_BITS = 64  # those of Internet keys have 17; a huge one makes verifying slow
# Half a millisecond and more, where the usual keys take less than a tenth.
_SLOW_CURVES = frozenset({"P-384", "P-521"})
_SLOW_RSA_BITS = 4096
_LEAST_SECRET_BITS = 256
_ED25519_PRIME = 2**255 - 19
_ED25519_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


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
    if bits < _LEAST_SECRET_BITS:
        raise ValueError(f"a secret has {_LEAST_SECRET_BITS} bits at least, not {bits}")
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
        return VerificationKey(
            key_id, algorithms, key.thumbprint(), strength, key, is_slow=_is_slow(member)
        )
    except _UnfitKeyError as unfit:
        return UnfitKey(key_id, str(unfit))
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error, JoseError):
        return UnfitKey(key_id, "its members do not make a key")


class _UnfitKeyError(Exception):
    pass


def _algorithms_of(member: Mapping[str, Any]) -> frozenset[str]:
    if member.get("use", "sig") != "sig":
        raise _UnfitKeyError("it is not for signatures")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
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
        raise _UnfitKeyError("anybody can sign for it (a point of small order)")
    if member["kty"] != "RSA":
        return f"{member['kty']} {member['crv']}"
    bits = int.from_bytes(_decoded(member["n"])).bit_length()
    if bits not in _RSA_BITS:
        raise _UnfitKeyError(f"its size is not {_RSA_BITS[0]} to {_RSA_BITS[-1]} bits")
    if int.from_bytes(_decoded(member["e"])).bit_length() > _MAX_EXPONENT_BITS:
        raise _UnfitKeyError(f"its exponent has more than {_MAX_EXPONENT_BITS} bits")
    return f"RSA {bits}"


def _is_slow(member: Mapping[str, Any]) -> bool:
    if member["kty"] == "RSA":
        return int.from_bytes(_decoded(member["n"])).bit_length() >= _SLOW_RSA_BITS
    return member["crv"] in _SLOW_CURVES


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


def _is_of_small_order(point: bytes) -> bool:
    # The eight points of Ed25519 (RFC 8032 section 5.1) with which anybody can make signatures:
    # the library takes them.  Without the sign, and however they are written.
    y = int.from_bytes(point, "little") % 2**255 % _ED25519_PRIME
    return min(y, _ED25519_PRIME - y) in {0, 1, _ED25519_ORDER_8}


def _load(member: Mapping[str, Any]) -> jwk.Key:
    # Without padding, which some issuers add: a key that works is a key.
    names = ("kty", *PUBLIC_MEMBERS[member["kty"]])
    return jwk.import_key({name: member[name].rstrip("=") for name in names})
