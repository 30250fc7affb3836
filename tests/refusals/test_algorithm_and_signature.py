"""Who did not sign must not pass for who did: RFC 7515 section 5.2, RFC 8725 section 3."""

import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey

from server.oauth.jose import decode_base64url
from tests.minting import AUDIENCE, Signer, claims, header, private_key, public_jwk, sign, signer
from tests.refusals.conftest import Door, bearer
from tests.refusals.curve_forgery import FORGED_ECDSA, FORGED_ED25519, at_point
from tests.refusals.forging import claiming, forged, head, headed, rows
from tests.refusals.keyring import (
    ABSURD,
    EC,
    ED448,
    LARGE_EC,
    LOOSE,
    OF_STRANGE_CURVES,
    OKP,
    RSA,
    SMALL_ORDER,
    STRICT,
    UNFIT,
    UNFIT_MEMBERS,
    WEAK,
    main_signer,
    weak_signer,
)
from tests.refusals.rsa_forgery import FORGED_RSA, SOUND_RSA, padded_block

NONES = {
    "none": "none", "None": "None", "NONE": "NONE", "nOnE": "nOnE", "noNe": "noNe",
    "a space behind": "none ", "a space before": " none", "a line feed behind": "none\n", "NUL behind": "none\0",
    "a look-alike": "n\u043ene", "full width": "\uff4e\uff4f\uff4e\uff45", "null": "null", "NoneAlgorithm": "NoneAlgorithm",
}  # fmt: skip


@rows("algorithm", NONES)
async def test_no_algorithm_is_allowed_however_it_is_spelled(door: Door, algorithm: str) -> None:
    for key_id in (OKP.kid, ...):
        protected = head(alg=algorithm, kid=key_id)
        for signature in (lambda _: b"", main_signer("Ed25519"), main_signer("RS256")):
            compact = forged(protected, by=signature)
            await door.refuses_token(compact, reason="algorithm_not_allowed")


async def test_no_algorithm_and_no_signature_part_is_malformed(door: Door) -> None:
    unsigned = headed(alg="none").rpartition(".")[0]

    await door.refuses_token(unsigned, reason="malformed")


NO_ALGORITHM: dict[str, Any] = {
    "missing": ..., "null": None, "a number": 5, "zero": 0, "true": True, "false": False,
    "a list": ["Ed25519"], "an empty list": [], "an object": {"alg": "Ed25519"}, "a list of two": ["none", "Ed25519"],
}  # fmt: skip


@rows("algorithm", NO_ALGORITHM)
async def test_an_algorithm_that_is_no_text_is_malformed(door: Door, algorithm: Any) -> None:
    await door.refuses_token(headed(alg=algorithm), reason="malformed")


OTHER_ALGORITHMS = {
    "empty": "", "lower case": "ed25519", "upper case": "ED25519", "EdDSA in lower case": "eddsa", "rs256": "rs256", "Rs256": "Rs256",
    "a space behind": "Ed25519 ", "a space before": " RS256", "a tab": "RS256\t", "a line feed": "ES256\n", "NUL": "RS256\0",
    "a hyphen": "RS-256", "two": "RS256,Ed25519", "its long name": "SHA256withRSA", "a number": "256", "a path": "../RS256",
    "an unknown one": "XX256", "an encryption": "RSA-OAEP", "a direct key": "dir", "another curve's": "Ed448", "secp256k1": "ES256K",
    "RS1": "RS1", "full-width digits": "RS\uff12\uff15\uff16", "one that is not on the list": "RS384", "nor this": "PS512", "nor that": "ES512",
    "10,000 letters cut to fit": "A" * 5000,
}  # fmt: skip


@rows("algorithm", OTHER_ALGORITHMS)
async def test_an_algorithm_is_allowed_by_its_exact_name_only(door: Door, algorithm: str) -> None:
    await door.refuses_token(headed(alg=algorithm), reason="algorithm_not_allowed")


async def test_eddsa_is_another_name_of_ed25519(door: Door) -> None:
    await door.admits(bearer(headed(alg="EdDSA")))


def hs(bits: int, secret: bytes) -> Signer:
    return lambda octets: hmac.digest(secret, octets, f"sha{bits}")


def _encodings(key: Key) -> dict[str, bytes]:
    assert not isinstance(key, OctKey)
    pem = key.as_pem(private=False)
    document = public_jwk(key)
    return {
        "PEM": pem,
        "PEM without the last line feed": pem.rstrip(),
        "PEM with other line ends": pem.replace(b"\n", b"\r\n"),
        "PEM in one line": b"".join(pem.splitlines()[1:-1]),
        "DER": key.as_der(private=False),
        "JWK": json.dumps(document).encode(),
        "JWK in its least form": json.dumps(document, separators=(",", ":")).encode(),
        "thumbprint": key.thumbprint().encode(),
    }


MODULUS = public_jwk(RSA)["n"]

PUBLIC_KEYS: dict[str, tuple[str | None, bytes]] = {
    **{f"RSA {name}": (RSA.kid, octets) for name, octets in _encodings(RSA).items()},
    **{f"EC {name}": (EC.kid, octets) for name, octets in _encodings(EC).items()},
    **{f"Ed25519 {name}": (OKP.kid, octets) for name, octets in _encodings(OKP).items()},
    "RSA modulus": (RSA.kid, decode_base64url(MODULUS)),
    "RSA modulus in base64url": (RSA.kid, MODULUS.encode()),
    "RSA modulus with a zero before": (RSA.kid, b"\0" + decode_base64url(MODULUS)),
    "Ed25519 point": (OKP.kid, decode_base64url(public_jwk(OKP)["x"])),
    "Ed25519 point in base64url": (OKP.kid, public_jwk(OKP)["x"].encode()),
    "EC abscissa": (EC.kid, decode_base64url(public_jwk(EC)["x"])),
}  # fmt: skip


@rows(("key_id", "secret"), PUBLIC_KEYS)
async def test_a_public_key_is_nobodys_secret(
    door: Door, key_id: str | None, secret: bytes
) -> None:
    for bits in (256, 384, 512):
        for name in (key_id, ...):
            compact = forged(header(alg=f"HS{bits}", kid=name), by=hs(bits, secret))
            await door.refuses_token(compact, reason="algorithm_not_allowed")


SECRETS = {
    "empty": b"", "a zero": b"\0", "32 zeros": bytes(32), "64 zeros": bytes(64), "secret": b"secret", "password": b"password", "changeit": b"changeit",
    "that of jwt.io": b"your-256-bit-secret", "null": b"null", "undefined": b"undefined", "the key's name": b"RSA-main", "the issuer": STRICT.encode(),
    "the audience": AUDIENCE.encode(), "the development client's": b"dev-secret",
}  # fmt: skip


@rows("secret", SECRETS)
async def test_a_secret_that_can_be_guessed_signs_nothing(door: Door, secret: bytes) -> None:
    for bits in (256, 384, 512):
        compact = forged(header(alg=f"HS{bits}"), by=hs(bits, secret))
        await door.refuses_token(compact, reason="algorithm_not_allowed")


SOUND = {
    algorithm: forged(header(alg=algorithm, kid=key.kid), by=main_signer(algorithm))
    for algorithm, key in (("RS256", RSA), ("PS256", RSA), ("ES256", EC), ("Ed25519", OKP))
}

STRIPPED: dict[str, tuple[Callable[[str], str], str]] = {
    "the signature": (lambda compact: compact.rpartition(".")[0] + ".", "bad_signature"),
    "the signature and its dot": (lambda compact: compact.rpartition(".")[0], "malformed"),
    "all but a byte": (lambda compact: compact.rpartition(".")[0] + ".AA", "bad_signature"),
    "the last 3 bytes": (lambda compact: compact[:-8] + compact[-4:], "bad_signature"),
    "the first 3 bytes": (lambda compact: ".".join([compact.rpartition(".")[0], compact.rpartition(".")[2][4:]]), "bad_signature"),
    "the payload": (lambda compact: "{}..{}".format(*compact.split(".")[::2]), "malformed"),
    "the header": (lambda compact: "." + compact.partition(".")[2], "malformed"),
    "header and payload": (lambda compact: ".." + compact.rpartition(".")[2], "malformed"),
    "header and signature": (lambda compact: "." + compact.split(".")[1] + ".", "malformed"),
    "everything but the header": (lambda compact: compact.partition(".")[0] + "..", "malformed"),
}  # fmt: skip


@rows("compact", SOUND)
async def test_each_algorithm_is_allowed_as_it_is(door: Door, compact: str) -> None:
    await door.admits(bearer(compact))


@rows(("strip", "reason"), STRIPPED)
async def test_a_token_with_a_part_taken_away_is_refused(
    door: Door, strip: Callable[[str], str], reason: str
) -> None:
    for compact in SOUND.values():
        await door.refuses_token(strip(compact), reason=reason)


@rows("by", FORGED_ECDSA)
async def test_an_ecdsa_signature_is_two_numbers_within_bounds(door: Door, by: Signer) -> None:
    compact = forged(header(alg="ES256", kid=EC.kid), by=by)

    await door.refuses_token(compact, reason="bad_signature")


@rows("by", FORGED_ED25519)
async def test_an_ed25519_signature_is_a_point_and_a_number_within_bounds(
    door: Door, by: Signer
) -> None:
    await door.refuses_token(forged(by=by), reason="bad_signature")
    await door.refuses_token(forged(head(alg="EdDSA"), by=by), reason="bad_signature")


@rows(("algorithm", "by"), FORGED_RSA)
async def test_an_rsa_signature_is_padded_in_one_way(
    door: Door, algorithm: str, by: Signer
) -> None:
    compact = forged(header(alg=algorithm, kid=RSA.kid), by=by)

    await door.refuses_token(compact, reason="bad_signature")


@rows(("algorithm", "by"), SOUND_RSA)
async def test_an_rsa_signature_that_is_padded_so_is_sound(
    door: Door, algorithm: str, by: Signer
) -> None:
    await door.admits(bearer(forged(header(alg=algorithm, kid=RSA.kid), by=by)))


BOUND = private_key("RSA", "bound")

OF_ANOTHER_KEY: dict[str, tuple[str, str | None, Signer]] = {
    "RS256 of an EC key": ("RS256", EC.kid, main_signer("RS256")),
    "RS256 of an Ed25519 key": ("RS256", OKP.kid, main_signer("RS256")),
    "PS256 of an EC key": ("PS256", EC.kid, main_signer("PS256")),
    "ES256 of an RSA key": ("ES256", RSA.kid, main_signer("ES256")),
    "ES256 of an Ed25519 key": ("ES256", OKP.kid, main_signer("ES256")),
    "ES256 of a P-384 key": ("ES256", LARGE_EC.kid, signer("ES384", LARGE_EC)),
    "ES384 of a P-256 key": ("ES384", EC.kid, main_signer("ES256")),
    "ES384 of an RSA key": ("ES384", RSA.kid, main_signer("RS256")),
    "Ed25519 of an RSA key": ("Ed25519", RSA.kid, main_signer("Ed25519")),
    "Ed25519 of an EC key": ("Ed25519", EC.kid, main_signer("Ed25519")),
    "EdDSA of an RSA key": ("EdDSA", RSA.kid, main_signer("Ed25519")),
    "EdDSA of an EC key": ("EdDSA", EC.kid, main_signer("ES256")),
    "RS256 of a key for PS256": ("RS256", "bound to PS256", signer("RS256", BOUND)),
    "PS256 of a key for RS256": ("PS256", "bound to RS256", signer("PS256", BOUND)),
}  # fmt: skip


@rows(("algorithm", "key_id", "by"), OF_ANOTHER_KEY)
async def test_an_algorithm_is_used_with_keys_made_for_it(
    door: Door, algorithm: str, key_id: str, by: Signer
) -> None:
    compact = forged(header(alg=algorithm, kid=key_id), by=by)

    await door.refuses_token(compact, reason="key_mismatch")


async def test_a_key_bound_to_an_algorithm_is_used_with_it(door: Door) -> None:
    await door.admits(bearer(sign(claims(), header(alg="PS256", kid="bound to PS256"), BOUND)))


@pytest.mark.parametrize("name", UNFIT_MEMBERS)
async def test_a_key_that_is_not_for_signatures_is_unknown(door: Door, name: str) -> None:
    compact = forged(head(kid=name), by=signer("Ed25519", UNFIT))

    await door.refuses_token(compact, reason="unknown_key")


@pytest.mark.parametrize("name", WEAK)
async def test_a_weak_key_is_unknown(door: Door, name: str) -> None:
    compact = forged(header(kid=name), by=weak_signer(name))

    await door.refuses_token(compact, reason="unknown_key")


@pytest.mark.parametrize("name", ABSURD)
async def test_an_absurd_key_is_unknown(door: Door, name: str) -> None:
    for by in (padded_block, lambda _: b"\1" * 1024):
        await door.refuses_token(forged(header(kid=name), by=by), reason="unknown_key")


@pytest.mark.parametrize("name", OF_STRANGE_CURVES)
async def test_a_key_of_a_strange_curve_is_unknown(door: Door, name: str) -> None:
    for algorithm in ("Ed25519", "EdDSA"):
        compact = forged(head(alg=algorithm, kid=name), by=ED448.sign)
        await door.refuses_token(compact, reason="unknown_key")


@pytest.mark.parametrize("name", SMALL_ORDER)
async def test_a_key_that_anybody_can_sign_for_is_unknown(door: Door, name: str) -> None:
    for point in ("of order 1", name):
        by = at_point(SMALL_ORDER[point], 0)
        await door.refuses_token(forged(head(kid=name), by=by), reason="unknown_key")


async def test_a_key_for_key_agreement_that_poses_as_one_for_signatures_verifies_none(
    door: Door,
) -> None:
    for by in (*FORGED_ED25519.values(), main_signer("Ed25519")):
        await door.refuses_token(forged(head(kid="posing"), by=by), reason="bad_signature")


FIRST = forged(payload=claims(jti="first", sub="first")).split(".")
SECOND = forged(head(typ="application/at+jwt"), claims(jti="second", sub="second")).split(".")
OTHER_ALGORITHM = forged(header(alg="ES256", kid=EC.kid), by=main_signer("ES256")).split(".")
OTHER_ISSUER = claiming(LOOSE).split(".")

MIXED = {
    "another payload": [FIRST[0], SECOND[1], FIRST[2]],
    "another header": [SECOND[0], FIRST[1], FIRST[2]],
    "another signature": [FIRST[0], FIRST[1], SECOND[2]],
    "another header, as it was": [FIRST[0], SECOND[1], SECOND[2]],
    "another algorithm's signature": [FIRST[0], FIRST[1], OTHER_ALGORITHM[2]],
    "another algorithm's header": [OTHER_ALGORITHM[0], FIRST[1], FIRST[2]],
    "another issuer's payload": [FIRST[0], OTHER_ISSUER[1], FIRST[2]],
    "another issuer's signature": [FIRST[0], FIRST[1], OTHER_ISSUER[2]],
    "another issuer's payload and signature": [SECOND[0], OTHER_ISSUER[1], OTHER_ISSUER[2]],
}


@rows("parts", MIXED)
async def test_parts_of_two_tokens_are_no_token(door: Door, parts: list[str]) -> None:
    await door.admits(bearer(".".join(FIRST)))

    await door.refuses_token(".".join(parts), reason="bad_signature")
