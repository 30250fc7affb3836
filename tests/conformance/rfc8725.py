"""What JWTs have been attacked with: RFC 8725."""

import hmac

from joserfc import jwk

from tests.conformance.rfc7515 import KEY_IN_HEADER, NO_EXTENSIONS
from tests.conformance.sending import (
    claiming,
    headed,
    made_by,
    sent,
    signed_with,
    with_payload_text,
)  # fmt: skip
from tests.conformance.table import (
    GRANTED,
    Configuration,
    NoStart,
    Row,
    refused,
)  # fmt: skip
from tests.minting import claims, header, private_key, sign

OTHER = private_key("RSA", "other")
WRONG_TYPE = refused("wrong_type")

FOREIGN = (
    "A claim of another kind of JWT (`at_hash`, `c_hash`, `events`, `token_introspection`, `htm` with `htu`) makes a "
    "token `wrong_type` in both profiles, whatever its `typ`: many issuers give all their JWTs one type."
)
ANY_OF_ITS_TYPE = (
    "A key whose JWK names no `alg` serves all the allowed algorithms of its type: its issuer has not said which. "
    "`algorithms` narrows it, and a JWK that names one is held to it."
)
TYPES = (
    "`typ` is compared in both profiles: `at+jwt` alone in profile `at+jwt`; in profile `jwt` also `JWT` or none, and "
    "nothing else."
)


def with_public_key_as_secret(signing_input: bytes) -> bytes:
    key = private_key()
    assert isinstance(key, jwk.RSAKey)
    return hmac.digest(key.as_pem(private=False), signing_input, "sha256")


ROWS = (
    Row("RFC 8725 section 3.1", "algorithm-not-listed", "MUST NOT", "An algorithm outside the configured list is used",
        headed(alg="RS384"), refused("algorithm_not_allowed")),
    Row("RFC 8725 section 3.1", "public-key-as-secret", "MUST", "The algorithm in the header is the one that is computed: a public key is no secret",
        signed_with("HS256", with_public_key_as_secret), refused("algorithm_not_allowed")),
    Row("RFC 8725 section 3.1", "key-for-another-algorithm", "MUST", "A key that is made for one algorithm is used with no other",
        made_by("RSA", "PS256", alg="RS256"), refused("key_mismatch")),
    Row("RFC 8725 section 3.1", "key-for-no-algorithm-of-its-own", "MUST", "A key is used with one algorithm",
        made_by("RSA", "PS256"), GRANTED, ANY_OF_ITS_TYPE, asks_less=True),
    Row("RFC 8725 section 3.1", "secret-beside-public-keys", "MUST", "Secrets and public keys do not serve one list of algorithms",
        Configuration({"algorithms": ["RS256", "HS256"]}),
        NoStart("issuers[0].algorithms: HS256: for a secret, which secret_env names")),
    Row("RFC 8725 section 3.2", "none", "SHOULD NOT", "`none` is accepted unless it was asked for",
        signed_with("none", lambda _: b""), refused("algorithm_not_allowed")),
    Row("RFC 8725 section 3.2", "none-configured", "MUST", "Only algorithms that are sound today can be allowed",
        Configuration({"algorithms": ["none"]}),
        NoStart("issuers[0].algorithms[0]: must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519, HS256, HS384, HS512")),
    Row("RFC 8725 section 3.3", "bad-signature", "MUST", "A token is refused as a whole if its signature is not good",
        signed_with("RS256", lambda _: bytes(256)), refused("bad_signature")),
    Row("RFC 8725 section 3.4", "point-off-the-curve", "MUST", "Points are checked to lie on their curve",
        made_by("EC", "ES256", x="A" * 43), refused("unknown_key")),
    Row("RFC 8725 section 3.5", "weak-secret", "MUST NOT", "A password serves as a secret",
        Configuration({"secret_env": "API_SECRET"}, {"API_SECRET": "correct horse"}),
        NoStart("issuers[0].secret_env: API_SECRET: a secret has 256 bits at least, not 104")),
    Row("RFC 8725 section 3.6", "zip", "SHOULD NOT", "What is encrypted is compressed before",
        headed(zip="DEF"), refused("malformed"), NO_EXTENSIONS),
    Row("RFC 8725 section 3.7", "utf-16", "MUST", "Header and claims are in UTF-8",
        with_payload_text('{"iss": "https://issuer.example/"}'.encode("utf-16")), refused("malformed")),
    Row("RFC 8725 section 3.8", "key-of-another-issuer", "MUST", "The key belongs to the issuer that the token names",
        sent(lambda: sign(claims(), header(kid=OTHER.kid), OTHER)), refused("unknown_key")),
    Row("RFC 8725 section 3.8", "unknown-issuer", "MUST", "The issuer is one that is believed",
        claiming(iss="https://evil.example/"), refused("untrusted_issuer")),
    Row("RFC 8725 section 3.8", "unfit-subject", "MUST", "The subject is one that can be",
        claiming(sub=""), refused("invalid_claim")),
    Row("RFC 8725 section 3.9", "no-audience", "MUST", "A token without `aud` is refused",
        claiming(aud=...), refused("invalid_claim")),
    Row("RFC 8725 section 3.9", "another-audience", "MUST", "A token for somebody else is refused",
        claiming(aud=["https://other.example"]), refused("wrong_audience")),
    Row("RFC 8725 section 3.10", "hostile-kid", "SHOULD", "`kid` is checked before anything is looked up with it",
        headed(kid="a\x00' OR 1"), refused("malformed")),
    Row("RFC 8725 section 3.10", "jku", "SHOULD", "Addresses in `jku` and `x5u` are not followed blindly",
        headed(jku="http://169.254.169.254/"), refused("malformed"), KEY_IN_HEADER),
    Row("RFC 8725 section 3.11", "another-type", "RECOMMENDED", "Tokens have a type of their own, which is compared",
        headed(typ="dpop+jwt"), WRONG_TYPE, TYPES),
    Row("RFC 8725 section 3.12", "id-token", "MUST", "An ID token is no access token",
        claiming(at_hash="x"), WRONG_TYPE, FOREIGN),
    Row("RFC 8725 section 3.12", "logout-token", "MUST", "A logout token is no access token",
        claiming(events={}), WRONG_TYPE, FOREIGN),
    Row("RFC 8725 section 3.12", "introspection-answer", "MUST", "An introspection answer is no access token",
        claiming(token_introspection={}), WRONG_TYPE, FOREIGN),
    Row("RFC 8725 section 3.12", "dpop-proof", "MUST", "A DPoP proof is no access token",
        claiming(htm="GET", htu="https://api.example/"), WRONG_TYPE, FOREIGN),
    Row("RFC 7800 section 3", "cnf", "MAY", "`cnf` is confirmed, or ignored where it is not understood",
        claiming(cnf={"jkt": "x"}), refused("invalid_claim"),
        "A token with `cnf` is refused: to take it from anybody would undo what its issuer bound."),
)  # fmt: skip
