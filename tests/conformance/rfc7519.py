"""What a JWT claims and when: RFC 7519."""

import json

from tests.conformance.rfc7515 import UNIQUE
from tests.conformance.sending import (
    claiming,
    headed,
    mac,
    maced,
    sent,
    signed_with,
    with_payload_text,
)  # fmt: skip
from tests.conformance.table import (
    GRANTED,
    Row,
    refused,
)  # fmt: skip
from tests.minting import AUDIENCE, ISSUER, NOW, b64, claims

INVALID = refused("invalid_claim")
MALFORMED = refused("malformed")
NO_NESTING = "`cty` with `JWT` is refused: a token within a token is not unpacked."
NUMBERS = "A time is a number below 2**53: beyond that readers of JSON disagree on its value."
LEEWAY = "`exp`, `nbf` and `iat` have 30 s of leeway, which the RFC allows and `leeway` sets."
NEEDED = "`iss`, `aud` and `exp` must be there, which the RFC leaves to the application: without them a token is anybody's, for anything, forever."


def with_duplicate_claim() -> bytes:
    return json.dumps(claims()).replace("{", '{"sub": "admin", ', 1).encode()


ROWS = (
    Row("RFC 7519 section 2", "fractions", "MUST", "A time is a number of seconds since 1970, possibly with a fraction",
        claiming(exp=NOW + 0.5), GRANTED),
    Row("RFC 7519 section 2", "large-number", "-", "A time may be any number",
        claiming(exp=2**53), INVALID, NUMBERS),
    Row("RFC 7519 section 2", "subject-with-a-colon", "MUST", "A name with a colon in it is a URI",
        claiming(sub="no uri: this"), GRANTED, "A `sub` with a colon need not be a URI: it is a name that is compared, never resolved.", asks_less=True),
    Row("RFC 7519 section 4", "duplicate-claim", "MUST", "Claims are unique; duplicates are refused, or the last wins",
        with_payload_text(with_duplicate_claim()), MALFORMED, UNIQUE),
    Row("RFC 7519 section 4", "unknown-claim", "MUST", "Claims that are not understood are ignored",
        claiming(vendor={"a": [1, None]}), GRANTED),
    Row("RFC 7519 section 4.1.1", "iss-in-another-case", "MUST", "`iss` is compared with regard to case",
        claiming(iss=ISSUER.replace("issuer", "ISSUER")), refused("untrusted_issuer")),
    Row("RFC 7519 section 4.1.1", "no-iss", "MAY", "`iss` may be absent",
        claiming(iss=...), refused("untrusted_issuer"), NEEDED),
    Row("RFC 7519 section 4.1.2", "sub-that-is-no-text", "MUST", "`sub` is a string",
        claiming(sub=5), INVALID),
    Row("RFC 7519 section 4.1.2", "long-sub", "-", "`sub` may be of any length",
        claiming(sub="x" * 256), INVALID, "A `sub` has 255 characters at most and no control characters: it goes into logs and databases."),
    Row("RFC 7519 section 4.1.2", "sub-with-control-characters", "-", "`sub` may have any characters",
        claiming(sub="a\nb"), INVALID, "A `sub` has 255 characters at most and no control characters: it goes into logs and databases."),
    Row("RFC 7519 section 4.1.2", "no-sub", "MAY", "`sub` may be absent",
        claiming(sub=...), GRANTED, profiles=("jwt",)),
    Row("RFC 7519 section 4.1.3", "another-audience", "MUST", "A token whose `aud` does not name us is refused",
        claiming(aud="https://other.example"), refused("wrong_audience")),
    Row("RFC 7519 section 4.1.3", "audience-in-another-case", "MUST", "`aud` is compared with regard to case",
        claiming(aud=AUDIENCE.upper()), refused("wrong_audience")),
    Row("RFC 7519 section 4.1.3", "several-audiences", "MUST", "`aud` may be a list that names us among others",
        claiming(aud=["https://other.example", AUDIENCE]), GRANTED),
    Row("RFC 7519 section 4.1.3", "empty-audience", "MUST", "An `aud` that names nobody does not name us",
        claiming(aud=[]), refused("wrong_audience")),
    Row("RFC 7519 section 4.1.3", "audience-that-is-no-text", "MUST", "All of `aud` are strings",
        claiming(aud=[AUDIENCE, 5]), INVALID),
    Row("RFC 7519 section 4.1.3", "no-aud", "MAY", "`aud` may be absent",
        claiming(aud=...), INVALID, NEEDED),
    Row("RFC 7519 section 4.1.4", "expired", "MUST NOT", "A token is accepted at or after its `exp` (and the leeway)",
        claiming(exp=NOW - 30), refused("expired")),
    Row("RFC 7519 section 4.1.4", "leeway", "MAY", "Some leeway allows for clocks that differ",
        claiming(exp=NOW - 29), GRANTED, LEEWAY),
    Row("RFC 7519 section 4.1.4", "exp-that-is-no-number", "MUST", "`exp` is a number",
        claiming(exp=str(NOW + 60)), INVALID),
    Row("RFC 7519 section 4.1.4", "no-exp", "MAY", "`exp` may be absent",
        claiming(exp=...), INVALID, NEEDED),
    Row("RFC 7519 section 4.1.5", "not-yet", "MUST NOT", "A token is accepted before its `nbf` (and the leeway)",
        claiming(nbf=NOW + 31), refused("not_yet_valid")),
    Row("RFC 7519 section 4.1.5", "at-nbf", "MUST", "A token is accepted from its `nbf` on",
        claiming(nbf=NOW), GRANTED),
    Row("RFC 7519 section 4.1.5", "nbf-leeway", "MAY", "Some leeway allows for clocks that differ",
        claiming(nbf=NOW + 30), GRANTED, LEEWAY),
    Row("RFC 7519 section 4.1.5", "nbf-that-is-no-number", "MUST", "`nbf` is a number",
        claiming(nbf=True), INVALID),
    Row("RFC 7519 section 4.1.6", "iat-that-is-no-number", "MUST", "`iat` is a number",
        claiming(iat="now"), INVALID),
    Row("RFC 7519 section 4.1.6", "iat-to-come", "-", "`iat` may lie in the future",
        claiming(iat=NOW + 31), refused("not_yet_valid"), "An `iat` in the future is refused: its issuer's clock is wrong, or it was made to outlive `max_token_age`."),
    Row("RFC 7519 section 4.1.7", "jti-that-is-no-text", "MUST", "`jti` is a string",
        claiming(jti=5), INVALID),
    Row("RFC 7519 section 5.1", "typ-jwt", "RECOMMENDED", "`typ` is `JWT` in capitals",
        headed(typ="JWT"), GRANTED, profiles=("jwt",)),
    Row("RFC 7519 section 5.1", "no-typ", "MAY", "`typ` may be absent",
        headed(typ=...), GRANTED, profiles=("jwt",)),
    Row("RFC 7519 section 5.2", "nested", "MUST", "`cty` of a nested JWT is `JWT`",
        headed(cty="JWT"), MALFORMED, NO_NESTING),
    Row("RFC 7519 section 5.3", "claims-in-the-header", "SHOULD", "Claims that are repeated in the header are the same there",
        headed(iss="https://other.example/"), GRANTED, "Claims in the header are ignored, not compared: nothing reads them, and they are for encrypted tokens.", asks_less=True),
    Row("RFC 7519 section 8", "none", "MUST", "`none` is implemented",
        signed_with("none", lambda _: b""), refused("algorithm_not_allowed"), "`none` is no algorithm here and cannot be configured: RFC 8725 and RFC 9068 want none of it."),
    Row("RFC 7519 section 7.2", "claims-no-object", "MUST", "The claims are one JSON object in UTF-8",
        with_payload_text(b'"claims"'), MALFORMED),
    Row("RFC 7519 section 7.2", "jwe", "MAY", "Encrypted JWTs are accepted",
        sent(lambda: f"{b64(json.dumps({'alg': 'dir'}).encode())}..{b64(bytes(12))}.{b64(bytes(32))}.{b64(bytes(16))}"), MALFORMED,
        "Encrypted tokens are not read: no decryption key need be kept where tokens are verified."),
    Row("RFC 7519 section 7.3", "no-normalization", "MUST", "Claim names are compared character by character",
        claiming(exp=..., EXP=NOW + 60), INVALID),
    Row("RFC 7519 section 8", "hs256", "MUST", "HS256 is implemented",
        maced("HS256", mac("HS256")), GRANTED),
)  # fmt: skip
