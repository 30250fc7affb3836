"""ECDSA and Ed25519 signatures out of bounds: RFC 7518 section 3.4, RFC 8032 section 5.1.7."""

from collections.abc import Callable
from hashlib import sha512

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from server.oauth.jose import decode_base64url
from tests.minting import Signer, public_jwk, signer
from tests.refusals.keyring import ED448, LARGE_EC, OKP, SMALL_ORDER, main_signer

_SIZE = 32  # bytes of each half

P256_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ED25519_FIELD = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def _numbers(r: int, s: int) -> Signer:
    return lambda _: r.to_bytes(_SIZE) + s.to_bytes(_SIZE)


def _ecdsa(change: Callable[[int, int], bytes]) -> Signer:
    genuine = main_signer("ES256")

    def sign(octets: bytes) -> bytes:
        signature = genuine(octets)
        return change(int.from_bytes(signature[:_SIZE]), int.from_bytes(signature[_SIZE:]))

    return sign


def _pair(r: int, s: int, size: int = _SIZE) -> bytes:
    return r.to_bytes(size) + s.to_bytes(size)


FORGED_ECDSA: dict[str, Signer] = {
    "both zero": _numbers(0, 0),
    "r zero": _ecdsa(lambda _, s: _pair(0, s)),
    "s zero": _ecdsa(lambda r, _: _pair(r, 0)),
    "both one": _numbers(1, 1),
    "r one": _ecdsa(lambda _, s: _pair(1, s)),
    "both the order": _numbers(P256_ORDER, P256_ORDER),
    "r the order": _ecdsa(lambda _, s: _pair(P256_ORDER, s)),
    "s the order": _ecdsa(lambda r, _: _pair(r, P256_ORDER)),
    "r zero, s the order": _numbers(0, P256_ORDER),
    "r the order, s zero": _numbers(P256_ORDER, 0),
    "both one more than the order": _numbers(P256_ORDER + 1, P256_ORDER + 1),
    "both one less than the order": _numbers(P256_ORDER - 1, P256_ORDER - 1),
    "both the field": _numbers(P256_FIELD, P256_FIELD),
    "both as large as can be": _numbers(2**256 - 1, 2**256 - 1),
    "r with the order added": _ecdsa(lambda r, s: _pair(r + P256_ORDER, s, 33)),
    "s with the order added": _ecdsa(lambda r, s: _pair(r, s + P256_ORDER, 33)),
    "the halves exchanged": _ecdsa(lambda r, s: _pair(s, r)),
    "r negated": _ecdsa(lambda r, s: _pair(P256_ORDER - r, s)),
    "s changed by one": _ecdsa(lambda r, s: _pair(r, s ^ 1)),
    "r twice": _ecdsa(lambda r, _: _pair(r, r)),
    "least significant byte first": _ecdsa(lambda r, s: r.to_bytes(_SIZE, "little") + s.to_bytes(_SIZE, "little")),
    "DER": _ecdsa(encode_dss_signature),
    "DER with zeros behind": _ecdsa(lambda r, s: encode_dss_signature(r, s).ljust(80, b"\0")),
    "DER of zeros": lambda _: encode_dss_signature(0, 0),
    "DER of negative numbers": lambda _: bytes.fromhex("30060201ff0201ff"),
    "a zero before each half": _ecdsa(lambda r, s: _pair(r, s, 33)),
    "each half as long as P-384's": _ecdsa(lambda r, s: _pair(r, s, 48)),
    "each half as long as P-521's": _ecdsa(lambda r, s: _pair(r, s, 66)),
    "a byte less": _ecdsa(lambda r, s: _pair(r, s)[:-1]),
    "a byte more": _ecdsa(lambda r, s: _pair(r, s) + b"\0"),
    "a byte more before": _ecdsa(lambda r, s: b"\4" + _pair(r, s)),
    "half of it": _ecdsa(lambda r, _: r.to_bytes(_SIZE)),
    "twice": _ecdsa(lambda r, s: _pair(r, s) * 2),
    "in hexadecimal": _ecdsa(lambda r, s: _pair(r, s).hex().encode()),
    "nothing": lambda _: b"",
    "a byte": lambda _: b"\0",
    "as P-384 has it": signer("ES384", LARGE_EC),
    "an RSA signature": main_signer("RS256"),
}  # fmt: skip


def _ed25519(change: Callable[[bytes, int], bytes]) -> Signer:
    genuine = main_signer("Ed25519")

    def sign(octets: bytes) -> bytes:
        signature = genuine(octets)
        return change(signature[:_SIZE], int.from_bytes(signature[_SIZE:], "little"))

    return sign


def _point(point: bytes, scalar: int) -> bytes:
    return point + scalar.to_bytes(_SIZE, "little")


def at_point(point: str, scalar: int) -> Signer:
    return lambda _: _point(bytes.fromhex(point), scalar)


FORGED_ED25519: dict[str, Signer] = {
    "S with the order added": _ed25519(lambda r, s: _point(r, s + ED25519_ORDER)),
    "S with twice the order added": _ed25519(lambda r, s: _point(r, s + 2 * ED25519_ORDER)),
    "S with eight times the order added": _ed25519(lambda r, s: _point(r, s + 8 * ED25519_ORDER)),
    "S with its highest bit set": _ed25519(lambda r, s: _point(r, s | 1 << 255)),
    "S negated": _ed25519(lambda r, s: _point(r, ED25519_ORDER - s)),
    "S zero": _ed25519(lambda r, _: _point(r, 0)),
    "S the order": _ed25519(lambda r, _: _point(r, ED25519_ORDER)),
    "S as large as can be": _ed25519(lambda r, _: r + b"\xff" * _SIZE),
    "S changed by one": _ed25519(lambda r, s: _point(r, s ^ 1)),
    "R with its sign changed": _ed25519(lambda r, s: _point(r[:-1] + bytes([r[-1] ^ 0x80]), s)),
    "R beyond the field": _ed25519(lambda _, s: _point((2**255 - 1).to_bytes(_SIZE, "little"), s)),
    "R no point": _ed25519(lambda _, s: _point((2).to_bytes(_SIZE, "little"), s)),
    "the halves exchanged": _ed25519(lambda r, s: s.to_bytes(_SIZE, "little") + r),
    "R the public key": lambda _: _point(decode_base64url(public_jwk(OKP)["x"]), 1),
    "a byte less": _ed25519(lambda r, s: _point(r, s)[:-1]),
    "a byte more": _ed25519(lambda r, s: _point(r, s) + b"\0"),
    "twice": _ed25519(lambda r, s: _point(r, s) * 2),
    "half of it": _ed25519(lambda r, _: r),
    "nothing": lambda _: b"",
    "zeros": lambda _: bytes(64),
    "Ed448": ED448.sign,
    "an ECDSA signature": main_signer("ES256"),
    "of the digest": lambda octets: main_signer("Ed25519")(sha512(octets).digest()),
    **{f"R {name}, S zero": at_point(point, 0) for name, point in SMALL_ORDER.items()},
    **{f"R {name}, S one": at_point(point, 1) for name, point in SMALL_ORDER.items()},
}  # fmt: skip
