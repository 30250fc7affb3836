"""What a compact JWS is and when its signature counts: RFC 7515, RFC 7797."""

import json

from tests.conformance.sending import (
    headed,
    publishing,
    sent,
    with_header_text,
    with_part,
    with_payload_text,
)  # fmt: skip
from tests.conformance.table import (
    GRANTED,
    Request,
    Row,
    refused,
)  # fmt: skip
from tests.minting import claims, header, private_key, public_jwk, sign, token, unsigned

OTHER = private_key("RSA", "other")

MALFORMED = refused("malformed")
BROKEN = refused("bad_signature")

KEY_IN_HEADER = (
    "`jwk`, `jku`, `x5c` and `x5u` are refused rather than ignored, also under a good signature: they let a token name "
    "the key that it is verified with, and nobody who is honest needs that here."
)
NO_EXTENSIONS = (
    "Any `crit`, `b64` and `zip` are refused: each changes what is verified or how it is read, and no extension is "
    "implemented."
)
ONE_TEXT = "base64url has one spelling: left-over bits that are not zero are refused, so that one token is one text."
KEY_ID = "A `kid` has 256 printable characters at most: it is looked up and logged."
ONE_KEY = "A token without `kid` is taken only if exactly one key of its issuer fits: keys are not tried at random."
UNIQUE = (
    "A member that stands twice in header or payload is refused, where the RFC also allows the last to win: two readers "
    "must not see two tokens."
)


def json_serialization() -> str:
    protected, payload, signature = token().split(".")
    members = {"protected": protected, "payload": payload, "signature": signature}
    return json.dumps(members, separators=(",", ":"))


def renamed(text: str) -> bytes:
    return json.dumps(header()).replace('"alg"', text).encode()


def other_spelling(signature: str) -> str:
    # 256 octets leave four bits of the last character unused.
    return signature[:-1] + chr(ord(signature[-1]) + 1)


def embedded() -> str:
    return sign(claims(), header(kid=..., jwk=public_jwk(OTHER)), OTHER)


def without_key_id() -> str:
    return sign(claims(), header(kid=...))


def named_in_unicode(key_id: str, named: str) -> Request:
    keys = publishing(lambda: public_jwk(kid=key_id))
    return sent(lambda: sign(claims(), header(kid=named)), keys=keys)


ROWS = (
    Row("RFC 7515 section 2", "padding", "MUST", "base64url is written without padding",
        with_part(2, lambda part: part + "=="), MALFORMED),
    Row("RFC 7515 section 2", "foreign-characters", "MUST", "base64url has no characters but its own",
        with_part(2, lambda part: "+/" + part[2:]), MALFORMED),
    Row("RFC 7515 section 2", "left-over-bits", "-", "The last character of base64url may have left-over bits of any value",
        with_part(2, other_spelling), MALFORMED, ONE_TEXT),
    Row("RFC 7515 section 4", "duplicate-header-member", "MUST", "Header members are unique; duplicates are refused, or the last wins",
        with_header_text(renamed('"alg": "none", "alg"')), MALFORMED, UNIQUE),
    Row("RFC 7515 section 4", "unknown-member", "MUST", "Header members that are not understood are ignored",
        headed(nonce="x", vendor={"a": 1}), GRANTED),
    Row("RFC 7515 section 4", "zip", "MUST", "Header members of other specifications are ignored: `zip`",
        headed(zip="DEF"), MALFORMED, NO_EXTENSIONS),
    Row("RFC 7515 section 4.1.1", "no-alg", "MUST", "`alg` is there",
        with_header_text(renamed('"not-alg"')), MALFORMED),
    Row("RFC 7515 section 4.1.1", "unknown-alg", "MUST", "`alg` is understood and supported",
        sent(lambda: unsigned(header(alg="XX256"), claims())), refused("algorithm_not_allowed")),
    Row("RFC 7515 section 4.1.1", "alg-in-another-case", "MUST", "`alg` is compared with regard to case",
        with_header_text(renamed('"alg"').replace(b"RS256", b"rs256")), refused("algorithm_not_allowed")),
    Row("RFC 7515 section 4.1.2", "jku", "MUST", "`jku` is used, or ignored where it is not understood",
        headed(jku="https://issuer.example/keys"), MALFORMED, KEY_IN_HEADER),
    Row("RFC 7515 section 4.1.3", "jwk", "MUST", "`jwk` is used, or ignored where it is not understood",
        sent(embedded), MALFORMED, KEY_IN_HEADER),
    Row("RFC 7515 section 4.1.4", "kid-in-another-case", "MUST", "`kid` is compared with regard to case",
        headed(kid="rsa-main"), refused("unknown_key")),
    Row("RFC 7515 section 4.1.4", "kid-that-is-no-text", "MUST", "`kid` is a string",
        headed(kid=5), MALFORMED),
    Row("RFC 7515 section 4.1.4", "long-kid", "-", "`kid` may be any string",
        headed(kid="x" * 257), MALFORMED, KEY_ID),
    Row("RFC 7515 section 4.1.5", "x5u", "MUST", "`x5u` is used, or ignored where it is not understood",
        headed(x5u="https://issuer.example/cert"), MALFORMED, KEY_IN_HEADER),
    Row("RFC 7515 section 4.1.6", "x5c", "MUST", "`x5c` is used, or ignored where it is not understood",
        headed(x5c=["AAAA"]), MALFORMED, KEY_IN_HEADER),
    Row("RFC 7515 section 4.1.7", "x5t", "MUST", "`x5t` and `x5t#S256` are used, or ignored where they are not understood",
        headed(x5t="AAAA", **{"x5t#S256": "AAAA"}), GRANTED),
    Row("RFC 7515 section 4.1.9", "typ-with-prefix", "MUST", "A `typ` without a slash means the same as with `application/` before it",
        headed(typ="application/at+jwt"), GRANTED),
    Row("RFC 7515 section 4.1.9", "typ-in-another-case", "MUST", "`typ` is a media type, so its case does not matter",
        headed(typ="AT+JWT"), GRANTED),
    Row("RFC 7515 section 4.1.9", "typ-that-is-no-text", "MUST", "`typ` is a string",
        headed(typ=["at+jwt"]), refused("wrong_type")),
    Row("RFC 7515 section 4.1.10", "cty-with-prefix", "MUST", "A `cty` without a slash means the same as with `application/` before it",
        headed(cty="application/jwt"), MALFORMED),
    Row("RFC 7515 section 4.1.11", "crit-unknown", "MUST", "A `crit` that names what is not understood makes the JWS invalid",
        headed(crit=["vendor"], vendor=1), MALFORMED),
    Row("RFC 7515 section 4.1.11", "crit-of-the-standard", "MUST NOT", "`crit` names members of the RFC itself",
        headed(crit=["alg"]), MALFORMED, NO_EXTENSIONS),
    Row("RFC 7515 section 4.1.11", "crit-empty", "MUST NOT", "`crit` is an empty list",
        headed(crit=[]), MALFORMED, NO_EXTENSIONS),
    Row("RFC 7515 section 5.2", "header-not-base64url", "MUST", "The header is base64url, or the JWS is refused",
        with_part(0, lambda part: "*" + part[1:]), MALFORMED),
    Row("RFC 7515 section 5.2", "header-not-utf-8", "MUST", "The header is UTF-8, or the JWS is refused",
        with_header_text(b'{"alg": "RS256", "x": "\xff"}'), MALFORMED),
    Row("RFC 7515 section 5.2", "header-no-object", "MUST", "The header is one JSON object, or the JWS is refused",
        with_header_text(b'["alg", "RS256"]'), MALFORMED),
    Row("RFC 7515 section 5.2", "payload-not-base64url", "MUST", "The payload is base64url, or the JWS is refused",
        with_part(1, lambda part: "*" + part[1:]), MALFORMED),
    Row("RFC 7515 section 5.2", "signature-not-base64url", "MUST", "The signature is base64url, or the JWS is refused",
        with_part(2, lambda part: "*" + part[1:]), MALFORMED),
    Row("RFC 7515 section 5.2", "payload-altered", "MUST", "The signature covers the payload as it was sent",
        with_part(1, lambda _: token(scope="admin").split(".")[1]), BROKEN),
    Row("RFC 7515 section 5.2", "header-altered", "MUST", "The signature covers the header as it was sent",
        with_part(0, lambda _: unsigned(header(x=1)).split(".")[0]), BROKEN),
    Row("RFC 7515 section 5.2", "signature-of-another-key", "MUST", "The signature is made by the key that the token names",
        sent(lambda: sign(claims(), header(), OTHER)), BROKEN),
    Row("RFC 7515 section 5.2", "no-signature", "MUST", "There is a signature",
        with_part(2, lambda _: ""), BROKEN),
    Row("RFC 7515 section 5.2", "algorithm-not-accepted", "SHOULD", "A good signature by an algorithm that the application does not accept counts as none",
        headed(alg="PS384"), refused("algorithm_not_allowed")),
    Row("RFC 7515 section 5.3", "escaped-member-name", "MUST", "Names are compared after their JSON escapes are undone",
        with_header_text(renamed('"\\u0061lg"')), GRANTED),
    Row("RFC 7515 section 5.3", "no-normalization", "MUST NOT", "Strings are normalized before they are compared",
        named_in_unicode("\u00e9", "e\u0301"), refused("unknown_key")),
    Row("RFC 7515 section 6", "no-kid-one-key", "MAY", "Where the key is known otherwise, `kid` may be absent",
        sent(without_key_id), GRANTED),
    Row("RFC 7515 section 6", "no-kid-two-keys", "SHOULD", "A token says enough to tell which key made it",
        sent(without_key_id, keys=publishing(public_jwk, lambda: public_jwk(OTHER))), refused("unknown_key"), ONE_KEY),
    Row("RFC 7515 section 7.1", "two-parts", "MUST", "A compact JWS has three parts",
        sent(lambda: token().rpartition(".")[0]), MALFORMED),
    Row("RFC 7515 section 7.1", "four-parts", "MUST", "A compact JWS has three parts and no more",
        sent(lambda: f"{token()}.AAAA"), MALFORMED),
    Row("RFC 7515 section 7.2", "json-serialization", "MAY", "The JSON serialization is read",
        sent(json_serialization), MALFORMED, "A token is a compact JWS: the JSON serialization has members that no signature covers."),
    Row("RFC 7515 section 10.12", "bytes-behind-the-end", "MUST", "What stands behind the end of the JSON makes it invalid",
        with_payload_text(json.dumps(claims()).encode() + b"x"), MALFORMED),
    Row("RFC 7515 section 10.12", "bad-json", "MUST", "JSON that breaks the grammar is refused as a whole",
        with_payload_text(json.dumps(claims()).replace('"', "'").encode()), MALFORMED),
    Row("RFC 7797 section 3", "b64", "MAY", "`b64` is understood",
        headed(b64=False), MALFORMED, NO_EXTENSIONS),
    Row("RFC 7797 section 6", "b64-in-crit", "MUST", "`b64` in `crit` is refused by those who do not understand it",
        headed(b64=False, crit=["b64"]), MALFORMED),
)  # fmt: skip
