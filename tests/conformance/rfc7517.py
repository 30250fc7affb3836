"""Which keys are keys: RFC 7517, and where it leads: RFC 7518, RFC 8037, RFC 9864."""

import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from joserfc import jwk

from tests.conformance.sending import (
    beside,
    keyed,
    mac,
    maced,
    made_by,
    publishing,
    rsa_jwk,
    signed_with,
    sound,
)  # fmt: skip
from tests.conformance.table import (
    GRANTED,
    Configuration,
    NoStart,
    Row,
    refused,
)  # fmt: skip
from tests.minting import private_key, public_jwk

LEFT_OUT = refused("unknown_key")
BROKEN = refused("bad_signature")

PRIVATE = "A JWK with private or symmetric members is left out: what is published is no secret any more, and anybody may sign with it."
SIZES = "RSA keys over 8192 bits are left out as those below 2048 are: to verify with them takes too long."
SHORT_SECRETS = "HS384 and HS512 take secrets from 256 bits on, where the RFC wants 384 and 512: they are no weaker by it than HS256, and such secrets are about."
CERTIFICATES = "`x5c`, `x5u` and `x5t` of a JWK are not read: it is believed because its issuer publishes it over TLS."
PADDED = "A JWK whose members have base64 padding is taken: some issuers add it, and the key is the same."
OLD_NAME = (
    "`EdDSA` is taken as `Ed25519`, and for Ed25519 keys only: issuers still write the old name."
)
EITHER = "Keys that share a `kid` are all tried, four at most: an issuer that is careless with names is no reason to refuse its tokens."


def pss_without_salt(signing_input: bytes) -> bytes:
    unsalted = padding.PSS(padding.MGF1(hashes.SHA256()), 0)
    return _sign(private_key(), signing_input, unsalted, hashes.SHA256())


def ecdsa_in_der(signing_input: bytes) -> bytes:
    return _sign(private_key("EC"), signing_input, ec.ECDSA(hashes.SHA256()))


def _sign(key: Any, *arguments: Any) -> bytes:
    signature: bytes = key.get_op_key("sign").sign(*arguments)
    return signature


def p384() -> dict[str, Any]:
    return public_jwk(jwk.ECKey.generate_key("P-384"), kid="EC-main")


ROWS = (
    Row("RFC 7517 section 4", "unknown-member", "MUST", "Members of a JWK that are not understood are ignored",
        keyed(vendor={"a": 1}), GRANTED),
    Row("RFC 7517 section 4", "duplicate-member", "MUST", "Members of a JWK are unique; duplicates are refused, or the last wins",
        Configuration({"jwks": "keys.json"}, files={"keys.json": '{"keys": [{"kid": "a", "kid": "b"}]}'}),
        NoStart("issuers[0].jwks: keys.json has a member twice")),
    Row("RFC 7517 section 4.1", "no-kty", "MUST", "`kty` is there",
        keyed(kty=...), LEFT_OUT),
    Row("RFC 7517 section 4.1", "kty-in-another-case", "MUST", "`kty` is compared with regard to case",
        keyed(kty="rsa"), LEFT_OUT),
    Row("RFC 7517 section 4.2", "for-encryption", "-", "A key whose `use` is `enc` verifies no signature",
        keyed(use="enc"), LEFT_OUT),
    Row("RFC 7517 section 4.2", "use-in-another-case", "MUST", "`use` is compared with regard to case",
        keyed(use="SIG"), LEFT_OUT),
    Row("RFC 7517 section 4.3", "no-verify", "-", "A key whose `key_ops` lack `verify` verifies no signature",
        keyed(key_ops=["sign"]), LEFT_OUT),
    Row("RFC 7517 section 4.3", "key-ops-that-are-no-list", "MUST", "`key_ops` is an array",
        keyed(key_ops="verify"), LEFT_OUT),
    Row("RFC 7517 section 4.3", "use-beside-key-ops", "SHOULD NOT", "`use` stands beside `key_ops`",
        keyed(use="sig", key_ops=["verify"]), GRANTED, "`use` may stand beside `key_ops`: both must allow signatures to be verified."),
    Row("RFC 7517 section 4.3", "use-against-key-ops", "MUST", "`use` and `key_ops` say the same",
        keyed(use="sig", key_ops=["encrypt"]), LEFT_OUT),
    Row("RFC 7517 section 4.5", "one-name-two-types", "MAY", "Keys of different types may share a `kid`",
        beside(public_jwk(private_key("EC"), kid="RSA-main")), GRANTED),
    Row("RFC 7517 section 4.5", "one-name-two-keys", "SHOULD", "Keys of one type have different `kid`s",
        beside(public_jwk(private_key("RSA", "other"), kid="RSA-main")), GRANTED, EITHER, asks_less=True),
    Row("RFC 7517 section 4.7", "x5c", "MUST", "`x5c` begins with the certificate of the key",
        keyed(x5c=["AAAA"], x5t="AAAA", x5u="https://issuer.example/cert"), GRANTED, CERTIFICATES, asks_less=True),
    Row("RFC 7517 section 5", "no-keys", "MUST", "A set has the member `keys`",
        Configuration({"jwks": "keys.json"}, files={"keys.json": "{}"}),
        NoStart("issuers[0].jwks: keys.json has no array of keys")),
    Row("RFC 7517 section 5", "keys-no-array", "MUST", "`keys` is an array",
        Configuration({"jwks": "keys.json"}, files={"keys.json": json.dumps({"keys": {}})}),
        NoStart("issuers[0].jwks: keys.json has no array of keys")),
    Row("RFC 7517 section 5", "unknown-set-member", "MUST", "Members of a set that are not understood are ignored",
        sound(keys=publishing(public_jwk)), GRANTED),
    Row("RFC 7517 section 5", "unknown-type", "SHOULD", "Keys of an unknown type are ignored, and the others used",
        beside({"kty": "AKP", "kid": "x"}), GRANTED),
    Row("RFC 7517 section 5", "lacking-member", "SHOULD", "Keys that lack a member are ignored, and the others used",
        beside({"kty": "RSA", "e": "AQAB"}), GRANTED),
    Row("RFC 7517 section 5", "unsupported-value", "SHOULD", "Keys with a value that is not supported are ignored, and the others used",
        beside(public_jwk(private_key("EC"), crv="P-192"), "no key", 5), GRANTED),
    Row("RFC 7517 section 9.2", "private-key", "MUST", "Private keys are protected from disclosure",
        keyed(d="AAAA"), LEFT_OUT, PRIVATE),
    Row("RFC 7517 section 9.2", "symmetric-key", "MUST", "Symmetric keys are protected from disclosure",
        keyed(kty="oct", k="AAAA"), LEFT_OUT, PRIVATE),
    Row("RFC 7518 section 3.2", "hs256", "REQUIRED", "HS256 is implemented",
        maced("HS256", mac("HS256")), GRANTED),
    Row("RFC 7518 section 3.2", "short-secret", "MUST", "A secret for HS256 has 256 bits at least",
        Configuration({"secret_env": "API_SECRET"}, {"API_SECRET": "s" * 31}),
        NoStart("issuers[0].secret_env: API_SECRET: a secret has 256 bits at least, not 248")),
    Row("RFC 7518 section 3.2", "secret-for-hs384", "MUST", "A secret for HS384 has 384 bits at least",
        maced("HS384", mac("HS384")), GRANTED, SHORT_SECRETS, asks_less=True),
    Row("RFC 7518 section 3.2", "secret-for-hs512", "MUST", "A secret for HS512 has 512 bits at least",
        maced("HS512", mac("HS512")), GRANTED, SHORT_SECRETS, asks_less=True),
    Row("RFC 7518 section 3.2", "cut-mac", "MUST", "A MAC has the length of its hash",
        maced("HS256", lambda text: mac("HS256")(text)[:16]), BROKEN),
    Row("RFC 7518 section 3.3", "rs256", "RECOMMENDED", "RS256 is implemented",
        sound(), GRANTED),
    Row("RFC 7518 section 3.3", "small-rsa-key", "MUST", "An RSA key has 2048 bits at least",
        sound(keys=publishing(lambda: rsa_jwk(2047))), LEFT_OUT),
    Row("RFC 7518 section 3.3", "large-rsa-key", "-", "An RSA key may be of any size above",
        sound(keys=publishing(lambda: rsa_jwk(8193))), LEFT_OUT, SIZES),
    Row("RFC 7518 section 3.4", "es256", "RECOMMENDED", "ES256 is implemented",
        made_by("EC", "ES256"), GRANTED),
    Row("RFC 7518 section 3.4", "ecdsa-in-der", "MUST", "An ES256 signature is R and S in 64 octets",
        signed_with("ES256", ecdsa_in_der, keys=publishing(lambda: public_jwk(private_key("EC")))), BROKEN),
    Row("RFC 7518 section 3.4", "another-curve", "MUST", "ES256 is for keys on P-256",
        made_by("EC", "ES256", **p384()), refused("key_mismatch")),
    Row("RFC 7518 section 3.5", "ps256", "MAY", "PS256 is implemented",
        made_by("RSA", "PS256"), GRANTED),
    Row("RFC 7518 section 3.5", "pss-without-salt", "MUST", "The salt of PS256 is as long as its hash",
        signed_with("PS256", pss_without_salt), BROKEN),
    Row("RFC 7518 section 3.6", "none", "MUST NOT", "`none` is accepted unless it was asked for",
        signed_with("none", lambda _: b""), refused("algorithm_not_allowed")),
    Row("RFC 7518 section 6.2.1", "no-crv", "MUST", "An EC key has `crv`",
        made_by("EC", "ES256", crv=...), LEFT_OUT),
    Row("RFC 7518 section 6.2.1", "no-x", "MUST", "An EC key has `x`",
        made_by("EC", "ES256", x=...), LEFT_OUT),
    Row("RFC 7518 section 6.2.1", "no-y", "MUST", "A key on P-256 has `y`",
        made_by("EC", "ES256", y=...), LEFT_OUT),
    Row("RFC 7518 section 6.3.1", "no-n", "MUST", "An RSA key has `n`",
        keyed(n=...), LEFT_OUT),
    Row("RFC 7518 section 6.3.1", "no-e", "MUST", "An RSA key has `e`",
        keyed(e=...), LEFT_OUT),
    Row("RFC 7518 section 6.3.1", "padded", "MUST", "`n` and `e` are base64url without padding",
        keyed(e="AQAB====", n=public_jwk()["n"] + "=="), GRANTED, PADDED, asks_less=True),
    Row("RFC 8037 section 2", "no-crv", "MUST", "An OKP key has `crv`",
        made_by("OKP", "EdDSA", crv=...), LEFT_OUT),
    Row("RFC 8037 section 2", "no-x", "MUST", "An OKP key has `x`",
        made_by("OKP", "EdDSA", x=...), LEFT_OUT),
    Row("RFC 8037 section 2", "private", "MUST NOT", "A public OKP key has `d`",
        made_by("OKP", "EdDSA", d="AAAA"), LEFT_OUT, PRIVATE),
    Row("RFC 8037 section 3.1", "eddsa", "MAY", "`EdDSA` is taken for Ed25519 keys",
        made_by("OKP", "EdDSA"), GRANTED, OLD_NAME),
    Row("RFC 8037 section 3.1", "eddsa-with-another-type", "MUST", "`EdDSA` is for OKP keys",
        made_by("RSA", "RS256", alg="EdDSA"), LEFT_OUT),
    Row("RFC 8037 section 3.2", "x25519", "-", "A key on X25519 is for key agreement, not for signatures",
        made_by("OKP", "EdDSA", crv="X25519"), LEFT_OUT),
    Row("RFC 9864 section 2.2", "ed25519", "MAY", "`Ed25519` is taken, also for a key whose `alg` is `EdDSA`",
        made_by("OKP", "Ed25519", alg="EdDSA"), GRANTED),
)  # fmt: skip
