"""The keys of two issuers, fit and unfit, and those who can sign with them."""

from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server.oauth.jwk_set import parse_jwks
from server.oauth.keys import KeySet
from tests.minting import ISSUER, Signer, b64, key_kind, private_key, public_jwk, signer

STRICT = ISSUER
"""Its tokens are as RFC 9068 has them, and a day old at most."""

LOOSE = "https://other.example/"
"""Its tokens are any JWT."""

BOTH_ISSUERS = (STRICT, LOOSE)

Jwk = dict[str, Any]

RSA, EC, OKP = (private_key(kind) for kind in ("RSA", "EC", "OKP"))
SECOND_RSA, LARGE_EC, UNFIT = (
    private_key("RSA", "second"),
    private_key("P-384", "large"),
    private_key("OKP", "unfit"),
)
X25519, ED448 = X25519PrivateKey.generate(), Ed448PrivateKey.generate()

# Each of them makes a sound Ed25519 key one that signatures are not verified with.
UNFIT_MEMBERS: dict[str, Jwk] = {
    "for encryption": {"use": "enc"},
    "for an unknown use": {"use": "SIG"},
    "for no use": {"use": ""},
    "for a use that is no text": {"use": None},
    "that may only sign": {"key_ops": ["sign"]},
    "that may only encrypt": {"key_ops": ["encrypt", "wrapKey"]},
    "that may do nothing": {"key_ops": []},
    "that may do what is no list": {"key_ops": "verify"},
    "for encryption that may verify": {"use": "enc", "key_ops": ["verify"]},
    "for another type's algorithm": {"alg": "RS256"},
    "for no algorithm": {"alg": "none"},
    "for a secret's algorithm": {"alg": "HS256"},
    "with its private half": {"d": b64(bytes(32))},
    "with a secret": {"k": b64(b"secret")},
    "of another type": {"kty": "EC", "y": b64(bytes(32))},
    "of another curve": {"crv": "X25519"},
}  # fmt: skip

WEAK: dict[str, rsa.RSAPrivateKey] = {
    f"of {bits} bits": rsa.generate_private_key(65537, bits) for bits in (1024, 1536, 2047)
}


def _rsa_jwk(modulus: int, exponent: int, key_id: str) -> Jwk:
    return {"kty": "RSA", "kid": key_id, "n": _number(modulus), "e": _number(exponent)}


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def _weak_jwk(name: str, key: rsa.RSAPrivateKey) -> Jwk:
    public = key.public_key().public_numbers()
    return _rsa_jwk(public.n, public.e, name)


MODULUS = WEAK["of 2047 bits"].public_key().public_numbers().n * 2 + 1

# RSA keys whose signatures anybody can make, or that take a second to verify one.
ABSURD: dict[str, Jwk] = {
    name: _rsa_jwk(modulus, exponent, name)
    for name, modulus, exponent in (
        ("with exponent 1", MODULUS, 1),
        ("with exponent 2", MODULUS, 2),
        ("with exponent 0", MODULUS, 0),
        ("with an exponent of 65 bits", MODULUS, 2**64 + 1),
        ("of 8,193 bits", (1 << 8192) + 1, 65537),
        ("of 16,384 bits", (1 << 16383) + 1, 65537),
        ("of 8 bits", 143, 7),
    )
}

OF_STRANGE_CURVES: dict[str, Jwk] = {
    "X25519": {"crv": "X25519", "x": b64(X25519.public_key().public_bytes_raw())},
    "Ed448": {"crv": "Ed448", "x": b64(ED448.public_key().public_bytes_raw())},
    "Ed448 called Ed25519": {"crv": "Ed25519", "x": b64(ED448.public_key().public_bytes_raw())},
}


# Any 32 bytes may be a point: that they are none shows when it verifies.
POSING: Jwk = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": OF_STRANGE_CURVES["X25519"]["x"],
    "kid": "posing",
}


# Points of Ed25519 that anybody can sign for; some are written in a way that nobody should.
SMALL_ORDER = {
    "of order 1": "0100000000000000000000000000000000000000000000000000000000000000",
    "of order 2": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "of order 4": "0000000000000000000000000000000000000000000000000000000000000000",
    "of order 8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "of order 8, the other": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "of order 1, not canonical": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "of order 4, not canonical": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "of order 1, with a sign": "0100000000000000000000000000000000000000000000000000000000000080",
    "of order 2, with a sign": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "of order 4, with a sign": "0000000000000000000000000000000000000000000000000000000000000080",
    "of order 8, with a sign": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "of order 8, the other, with a sign": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "of order 1, not canonical, with a sign": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "of order 4, not canonical, with a sign": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}  # fmt: skip


def weak_signer(name: str) -> Signer:
    key = WEAK[name]
    return lambda octets: key.sign(octets, padding.PKCS1v15(), hashes.SHA256())


@cache
def strict_keys() -> KeySet:
    fit = [public_jwk(key) for key in (RSA, SECOND_RSA, EC, LARGE_EC, OKP)]
    bound = [
        public_jwk(private_key("RSA", "bound"), kid="bound to PS256", alg="PS256"),
        public_jwk(private_key("RSA", "bound"), kid="bound to RS256", alg="RS256"),
    ]
    unfit = [public_jwk(UNFIT, kid=name, **members) for name, members in UNFIT_MEMBERS.items()]
    weak = [_weak_jwk(name, key) for name, key in WEAK.items()]
    strange = [{"kty": "OKP", "kid": name, **jwk} for name, jwk in OF_STRANGE_CURVES.items()]
    small = [
        {"kty": "OKP", "crv": "Ed25519", "kid": name, "x": b64(bytes.fromhex(point))}
        for name, point in SMALL_ORDER.items()
    ]
    odd = [*unfit, *weak, *ABSURD.values(), *strange, *small, POSING]
    return parse_jwks({"keys": [*fit, *bound, *odd]})


@cache
def loose_keys() -> KeySet:
    """Other keys, under the names that those of the other issuer have."""
    pairs = [(kind, private_key(kind, "loose")) for kind in ("RSA", "EC", "OKP")]
    return parse_jwks({"keys": [public_jwk(key, kid=f"{kind}-main") for kind, key in pairs]})


def main_signer(algorithm: str, *, of: str = STRICT) -> Signer:
    """The genuine way to sign as one of the issuers."""
    return signer(algorithm, private_key(key_kind(algorithm), "main" if of == STRICT else "loose"))
