import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jwk

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.jwk_set import parse_jwks, secret_key_set
from server.oauth.keys import KeySet
from tests.minting import b64, private_key, public_jwk

MESSAGE = b"signing input"


def key_set(*members: object) -> KeySet:
    return parse_jwks({"keys": list(members)})


def weak_rsa(size: int) -> dict[str, Any]:
    modulus = (1 << (size - 1)) + 1
    return {"kty": "RSA", "n": jwk_int(modulus), "e": "AQAB", "kid": "weak"}


def jwk_int(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8))


UNFIT = {
    "no object": "key",
    "a number": 5,
    "an unknown type": {"kty": "AKP", "kid": "x"},
    "no type": {"kid": "x"},
    "a type that is a list": {"kty": ["RSA"], "kid": "x"},
    "a symmetric key": {"kty": "oct", "k": "AAAA", "kid": "x"},
    "private members": public_jwk() | {"d": "AAAA"},
    "for encryption": public_jwk(use="enc"),
    "operations without verify": public_jwk(key_ops=["sign"]),
    "operations that are no list": public_jwk(key_ops=5),
    "operations that are text": public_jwk(key_ops="verify"),
    "a kid that is no text": public_jwk(kid=5),
    "a kid that no token may name": public_jwk(kid="a\u2028b"),
    "a kid that is too long": public_jwk(kid="a" * 257),
    "another type's algorithm": public_jwk(alg="ES256"),
    "an unknown algorithm": public_jwk(alg="RS1"),
    "an algorithm that is no text": public_jwk(alg=["RS256"]),
    "a symmetric algorithm": public_jwk(alg="HS256"),
    "too small": weak_rsa(1024),
    "far too large": weak_rsa(16384),
    "no modulus": {"kty": "RSA", "e": "AQAB"},
    "a modulus that is no base64": {"kty": "RSA", "n": "é", "e": "AQAB"},
    "a modulus that is a number": {"kty": "RSA", "n": 5, "e": "AQAB"},
    "an exponent of one": public_jwk() | {"e": "AQ"},
    "a point off the curve": public_jwk(private_key("EC")) | {"x": "A" * 43},
    "a huge exponent": public_jwk() | {"e": jwk_int(2**64 + 1)},
    "an unknown curve": public_jwk(private_key("EC")) | {"crv": "P-192"},
    "a curve for another use": public_jwk(private_key("OKP")) | {"crv": "X25519"},
    "an Edwards key of the wrong length": public_jwk(private_key("OKP")) | {"x": "AAAA"},
}


# The points of Ed25519 whose order is 1, 2, 4 or 8, with either sign, and written in other ways.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_point_with_which_anybody_can_sign_is_no_key(point: str) -> None:
    keys = key_set({"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(point))})

    assert not keys.keys
    assert keys.unfit[0].cause == "anybody can sign for it (a point of small order)"


def test_the_library_would_take_such_a_point() -> None:
    """Else that check could go."""
    point = bytes.fromhex(SMALL_ORDER[0])

    Ed25519PublicKey.from_public_bytes(point).verify(point + bytes(32), b"whatever is said")


@pytest.mark.parametrize("member", UNFIT.values(), ids=UNFIT)
def test_an_unfit_key_is_left_out_and_told_of_and_the_others_stay(member: object) -> None:
    keys = key_set(member, public_jwk(kid="good"))

    assert [key.key_id for key in keys.keys] == ["good"]
    assert len(keys.unfit) == 1
    assert keys.unfit[0].cause


def test_secret_material_is_told_apart() -> None:
    keys = key_set({"kty": "oct", "k": "AAAA"}, public_jwk() | {"d": "x"}, public_jwk(use="enc"))

    assert [unfit.is_secret for unfit in keys.unfit] == [True, True, False]


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, {"keys": "x"}])
def test_a_document_without_an_array_of_keys_is_no_key_set(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no array of keys"):
        parse_jwks(document)


def test_only_the_first_hundred_keys_are_taken() -> None:
    keys = key_set(*[public_jwk(kid=str(number)) for number in range(101)])

    assert len(keys.keys) == 100
    assert "100" in keys.unfit[0].cause


def test_a_padded_modulus_is_still_a_key() -> None:
    member = public_jwk()

    assert len(key_set(member | {"n": member["n"] + "=="}).keys) == 1


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key_id", [None, "whatever"])
def test_a_secret_verifies_what_it_has_signed(algorithm: str, key_id: str | None) -> None:
    secret = b"a secret of two hundred and fifty-six bits"
    signature = hmac.digest(secret, MESSAGE, f"sha{algorithm[2:]}")

    (key,) = secret_key_set(secret).candidates(key_id=key_id, algorithm=algorithm)

    assert key.verifies(signature, MESSAGE, algorithm=algorithm)
    assert not key.verifies(signature, MESSAGE + b"!", algorithm=algorithm)
    assert not key.verifies(b"", MESSAGE, algorithm=algorithm)


def test_a_secret_fits_no_algorithm_of_public_keys() -> None:
    with pytest.raises(InvalidTokenError) as refused:
        secret_key_set(b"s" * 32).candidates(key_id="a", algorithm="RS256")

    assert refused.value.reason is Reason.KEY_MISMATCH


@pytest.mark.parametrize("secret", [b"", b"s" * 31])
def test_a_secret_that_is_too_short_is_refused_without_being_shown(secret: bytes) -> None:
    with pytest.raises(ValueError, match=f"256 bits at least, not {8 * len(secret)}"):
        secret_key_set(secret)


def test_what_everybody_has_is_no_secret() -> None:
    key = private_key()
    assert isinstance(key, jwk.RSAKey)
    pem = key.as_pem(private=False)

    with pytest.raises(ValueError, match="looks like a public key"):
        secret_key_set(pem)


def test_nothing_of_a_secret_is_shown() -> None:
    keys = secret_key_set(b"s" * 40)

    (key,) = keys.keys
    assert key.strength == "secret 320 bits"
    assert key.thumbprint == ""
    assert "s" * 8 not in repr(keys)
    assert "c3Nz" not in repr(keys)
    with pytest.raises(ValueError, match="not published"):
        _ = keys.document
