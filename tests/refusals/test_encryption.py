"""Nothing is decrypted, derived or unpacked: RFC 7516, RFC 7518 section 4.8."""

import json
import zlib
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from tests.minting import b64, claims
from tests.refusals.conftest import Door
from tests.refusals.forging import forged, head, rows
from tests.refusals.keyring import EC, RSA


def _jwe(alg: str, enc: str, key: Any, payload: bytes = b"{}", **members: Any) -> str:
    protected = {"alg": alg, "enc": enc, "kid": RSA.kid, **members}
    return jwe.encrypt_compact(protected, payload, key, algorithms=[alg, enc, "DEF"])


DIRECT = OctKey.import_key(bytes(range(32)))
SIGNED = forged().encode()

ENCRYPTED = {
    "to our issuer's RSA key": _jwe("RSA-OAEP", "A256GCM", RSA, SIGNED, cty="JWT"),
    "to our issuer's EC key": _jwe("ECDH-ES", "A256GCM", EC, SIGNED),
    "with a shared key": _jwe("dir", "A256GCM", DIRECT, SIGNED),
    "with a wrapped key": _jwe("A256KW", "A256GCM", DIRECT, SIGNED),
    "with a password": _jwe("PBES2-HS256+A128KW", "A256GCM", OctKey.import_key(b"password" * 4), p2c=1000, p2s="c2FsdHNhbHQ"),
    "with a zip bomb": _jwe("dir", "A256GCM", DIRECT, b"\0" * 200_000, zip="DEF"),
}  # fmt: skip


@rows("compact", ENCRYPTED)
async def test_an_encrypted_token_is_malformed(door: Door, compact: str) -> None:
    assert compact.count(".") == 4

    await door.refuses_token(compact, reason="malformed")


COSTLY: dict[str, dict[str, Any]] = {
    "two thousand million iterations": {"p2c": 2**31 - 1},
    "iterations beyond any number": {"p2c": 10**19},
    "a negative number of iterations": {"p2c": -1},
    "iterations that are text": {"p2c": "2147483647"},
    "no salt": {"p2s": ""},
}


@rows("members", COSTLY)
@pytest.mark.parametrize(
    "algorithm", ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"]
)
async def test_no_key_is_derived_from_a_password(
    door: Door, algorithm: str, members: dict[str, Any]
) -> None:
    protected = {"alg": algorithm, "enc": "A256GCM", "p2s": "c2FsdHNhbHQ", **members}
    parts = [
        b64(json.dumps(protected).encode()),
        b64(bytes(24)),
        b64(bytes(12)),
        "AA",
        b64(bytes(16)),
    ]

    await door.refuses_token(".".join(parts), reason="malformed")


BOMBS = {
    "a hundred kilobytes": zlib.compress(bytes(100_000), 9)[2:-4],
    "four megabytes": zlib.compress(bytes(4_000_000), 9)[2:-4],
    "with its frame": zlib.compress(bytes(1_000_000), 9),
    "a good payload": zlib.compress(json.dumps(claims()).encode())[2:-4],
}


@rows("packed", BOMBS)
async def test_a_packed_payload_is_not_unpacked(door: Door, packed: bytes) -> None:
    await door.refuses_token(forged(head(zip="DEF"), packed), reason="malformed")
    await door.refuses_token(forged(payload=packed), reason="malformed")
