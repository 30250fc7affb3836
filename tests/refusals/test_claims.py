"""What a token that somebody really signed must say: RFC 7519 section 4, RFC 9068 section 2.2."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from tests.minting import AUDIENCE, NOW, claims, key_kind, private_key, signer
from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import NO_OBJECT, NO_TEXT, claiming, forged, head, rows
from tests.refusals.keyring import BOTH_ISSUERS, LOOSE, STRICT, main_signer

_DAY = 24 * 60 * 60
_LEEWAY = 30

_SOUND = json.dumps(claims()).encode()

TWICE: dict[str, bytes] = {
    "the expiry, later": b'"exp":4000000000', "the expiry, the same": b'"exp":1800003600', "the expiry, null": b'"exp":null',
    "the issuer": b'"iss":"https://other.example/"', "the audience": b'"aud":"https://api.example"', "the subject": b'"sub":"admin"',
    "the scope": b'"scope":"write:messages"', "the scope, escaped": rb'"\u0073cope":"admin"', "what nobody reads": b'"x":1,"x":1',
    "in an object within": b'"x":{"y":1,"y":1}', "in a list within": b'"x":[[{"y":1,"y":1}]]', "the empty name": b'"":1,"":2',
    "escaped in two ways": rb'"x\/y":1,"x/y":1',
}  # fmt: skip


@rows("member", TWICE)
async def test_claims_with_a_member_twice_are_malformed(door: Door, member: bytes) -> None:
    for payload in (_SOUND[:-1] + b"," + member + b"}", b"{" + member + b"," + _SOUND[1:]):
        await door.refuses_token(forged(payload=payload), reason="malformed")


NO_TIME: dict[str, tuple[Any, str]] = {
    "null": (None, "invalid_claim"), "true": (True, "invalid_claim"), "false": (False, "invalid_claim"), "text": (str(NOW + 60), "invalid_claim"),
    "a date": ("2027-01-15T08:00:00Z", "invalid_claim"), "a list": ([NOW + 60], "invalid_claim"), "an object": ({}, "invalid_claim"),
    "2**53": (2**53, "invalid_claim"), "-2**53": (-(2**53), "invalid_claim"), "2**64": (2**64 - 1, "invalid_claim"), "1e300": (1e300, "invalid_claim"),
    "-1e300": (-1e300, "invalid_claim"), "NaN": (float("nan"), "malformed"), "Infinity": (float("inf"), "malformed"),
    "-Infinity": (float("-inf"), "malformed"), "10**400": (10**400, "malformed"), "-10**400": (-(10**400), "malformed"), "10**21": (10**21, "malformed"),
}  # fmt: skip


@rows(("time", "reason"), NO_TIME)
async def test_a_time_is_a_finite_number_below_two_to_the_53rd(
    door: Door, time: Any, reason: str
) -> None:
    for name in ("exp", "nbf", "iat"):
        await door.refuses_token(claiming(**{name: time}), reason=reason)


async def test_a_token_without_an_expiry_is_refused(door: Door) -> None:
    for issuer in BOTH_ISSUERS:
        await door.refuses_token(claiming(issuer, exp=...), reason="invalid_claim")


@pytest.mark.parametrize(
    "seconds", [0, -0.001, -0.5, -1, -3600, -NOW + _LEEWAY, -NOW, -2 * NOW], ids=str
)
async def test_a_token_is_expired_at_its_expiry_and_the_leeway(door: Door, seconds: float) -> None:
    for issuer in BOTH_ISSUERS:
        compact = claiming(issuer, exp=NOW - _LEEWAY + seconds)
        await door.refuses_token(compact, reason="expired")


@pytest.mark.parametrize(
    "seconds", [0.001, 0.5, 1, 1.5, _LEEWAY, 2**53 - 1 - NOW + _LEEWAY], ids=str
)
async def test_a_token_is_good_until_its_expiry_and_the_leeway(door: Door, seconds: float) -> None:
    for issuer in BOTH_ISSUERS:
        await door.admits(bearer(claiming(issuer, exp=NOW - _LEEWAY + seconds)))


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("seconds", [0.001, 0.5, 1, 3600, 2**40], ids=str)
async def test_a_token_is_not_valid_before_its_time_less_the_leeway(
    door: Door, name: str, seconds: float
) -> None:
    compact = claiming(**{name: NOW + _LEEWAY + seconds})

    await door.refuses_token(compact, reason="not_yet_valid")


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("seconds", [0, -0.001, -1, -_LEEWAY, -3600], ids=str)
async def test_a_token_is_valid_from_its_time_less_the_leeway(
    door: Door, name: str, seconds: float
) -> None:
    await door.admits(bearer(claiming(**{name: NOW + _LEEWAY + seconds})))


@pytest.mark.parametrize("seconds", [0, -0.001, -1, -_DAY, -NOW, -2 * NOW], ids=str)
async def test_a_token_that_was_issued_too_long_ago_is_refused(door: Door, seconds: float) -> None:
    issued_at = NOW - _DAY - _LEEWAY + seconds

    await door.refuses_token(claiming(iat=issued_at), reason="too_old")
    await door.admits(bearer(claiming(LOOSE, iat=issued_at)))


@pytest.mark.parametrize("seconds", [0.001, 1, _LEEWAY], ids=str)
async def test_a_token_may_be_a_day_old(door: Door, seconds: float) -> None:
    await door.admits(bearer(claiming(iat=NOW - _DAY - _LEEWAY + seconds)))


STRANGERS: dict[str, Any] = {
    "no slash": STRICT[:-1], "two slashes": STRICT + "/", "a path": STRICT + "tenant", "a query": STRICT + "?", "a fragment": STRICT + "#",
    "the host in capitals": "https://ISSUER.example/", "the scheme in capitals": "HTTPS://issuer.example/", "a port": "https://issuer.example:443/",
    "plain HTTP": STRICT.replace("https", "http"), "no scheme": "issuer.example/", "a user": "https://issuer.example@evil.example/",
    "a longer host": "https://issuer.example.evil.example/", "a shorter host": "https://issuer.exampl/", "a prefix": STRICT[:10],
    "a space behind": STRICT + " ", "a space before": " " + STRICT, "a line feed": STRICT + "\n", "NUL": STRICT + "\0",
    "a Cyrillic letter": "https://issuer.exampl\u0435/", "a full-width slash": "https://issuer.example\uff0f", "a soft hyphen": "https://iss\u00aduer.example/",
    "an encoded letter": "https://%69ssuer.example/", "a dot segment": STRICT + "./", "both issuers": f"{STRICT} {LOOSE}",
    "a list of it": [STRICT], "a list of both": [STRICT, LOOSE], "an empty list": [], "an object": {STRICT: 1}, "empty": "", "null": None,
    "a number": 5, "true": True, "a pattern": "*", "a stranger": "https://evil.example/", "the audience": AUDIENCE, "missing": ...,
    "five thousand letters": "https://evil.example/" + "x" * 5000,
}  # fmt: skip


@rows("name", STRANGERS)
async def test_an_issuer_is_known_by_its_exact_name_and_nobody_is_asked(
    door: Door, name: Any
) -> None:
    asked = door.questions

    for issuer, key_id in product(BOTH_ISSUERS, ("OKP-main", "invented")):
        by = main_signer("Ed25519", of=issuer)
        compact = forged(head(kid=key_id), claims(iss=name), by=by)
        await door.refuses_token(compact, reason="untrusted_issuer")

    assert door.questions == asked
    assert "auth.issuer" not in door.log[0]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"])
@pytest.mark.parametrize(
    ("named", "signed"), [(STRICT, LOOSE), (LOOSE, STRICT)], ids=["one", "the other"]
)
async def test_one_issuer_cannot_sign_for_another_though_their_keys_have_the_same_name(
    door: Door, algorithm: str, named: str, signed: str
) -> None:
    protected = head(alg=algorithm, kid=f"{key_kind(algorithm)}-main")
    await door.admits(
        bearer(forged(protected, claims(iss=signed), by=main_signer(algorithm, of=signed)))
    )

    compact = forged(protected, claims(iss=named), by=main_signer(algorithm, of=signed))

    await door.refuses_token(compact, reason="bad_signature")


OTHER_AUDIENCES: dict[str, tuple[Any, str]] = {
    "missing": (..., "invalid_claim"), "null": (None, "invalid_claim"), "a number": (5, "invalid_claim"), "true": (True, "invalid_claim"),
    "an object": ({AUDIENCE: True}, "invalid_claim"), "a list with a number": ([AUDIENCE, 5], "invalid_claim"),
    "a list with null": ([None, AUDIENCE], "invalid_claim"), "a list of lists": ([[AUDIENCE]], "invalid_claim"),
    "a list of objects": ([{"aud": AUDIENCE}], "invalid_claim"), "empty": ("", "wrong_audience"), "an empty list": ([], "wrong_audience"),
    "a list of nothing": ([""], "wrong_audience"), "a slash": (AUDIENCE + "/", "wrong_audience"), "a path": (AUDIENCE + "/private", "wrong_audience"),
    "a prefix": (AUDIENCE[:-1], "wrong_audience"), "a longer one": (AUDIENCE + "s", "wrong_audience"), "another case": (AUDIENCE.upper(), "wrong_audience"),
    "a pattern": ("*", "wrong_audience"), "a wider pattern": ("https://*.example", "wrong_audience"), "two in one": (f"{AUDIENCE} x", "wrong_audience"),
    "two with a comma": (f"x,{AUDIENCE}", "wrong_audience"), "a space behind": (AUDIENCE + " ", "wrong_audience"), "NUL": (AUDIENCE + "\0", "wrong_audience"),
    "plain HTTP": (AUDIENCE.replace("https", "http"), "wrong_audience"), "no scheme": ("api.example", "wrong_audience"),
    "a Cyrillic letter": ("https://\u0430pi.example", "wrong_audience"), "the issuer": (STRICT, "wrong_audience"), "the client": ("client-1", "wrong_audience"),
    "many others": ([f"https://api{number}.example" for number in range(100)], "wrong_audience"),
}  # fmt: skip


@rows(("audience", "reason"), OTHER_AUDIENCES)
async def test_a_token_for_others_is_refused(door: Door, audience: Any, reason: str) -> None:
    for issuer in BOTH_ISSUERS:
        await door.refuses_token(claiming(issuer, aud=audience), reason=reason)


OUR_AUDIENCES = {
    "alone": [AUDIENCE], "first": [AUDIENCE, "https://x.example"], "last": ["https://x.example", "", AUDIENCE], "twice": [AUDIENCE, AUDIENCE],
    "among a hundred": [*(f"https://api{number}.example" for number in range(99)), AUDIENCE],
}  # fmt: skip


@rows("audience", OUR_AUDIENCES)
async def test_a_token_for_us_among_others_is_good(door: Door, audience: list[str]) -> None:
    for issuer in BOTH_ISSUERS:
        await door.admits(bearer(claiming(issuer, aud=audience)))


UNFIT_NAMES: dict[str, Any] = {
    **NO_TEXT, "a list": ["user-1"], "empty": "", "a line feed": "user\nadmin", "a carriage return": "user\r", "NUL": "user\0", "a tab": "a\tb",
    "an escape": "\x1b[31m", "DEL": "\x7f", "a C1 control": "\x85", "the last C1 control": "\x9f",
}  # fmt: skip


@rows("value", UNFIT_NAMES)
async def test_a_name_is_text_without_control_characters(door: Door, value: Any) -> None:
    for name, issuer in product(("sub", "client_id", "jti"), BOTH_ISSUERS):
        await door.refuses_token(claiming(issuer, **{name: value}), reason="invalid_claim")


async def test_a_subject_has_255_characters_at_most(door: Door) -> None:
    for issuer, letter in product(BOTH_ISSUERS, ("x", "\u6f22", "\U0001f511")):
        await door.admits(bearer(claiming(issuer, sub=letter * 255)))
        await door.refuses_token(claiming(issuer, sub=letter * 256), reason="invalid_claim")


SURROGATES = {"high": "\ud800", "low": "\udfff", "in text": "user\udc80", "in the wrong order": "\udc00\ud800", "twice": "\ud800\ud800"}  # fmt: skip


@rows("text", SURROGATES)
async def test_a_lone_surrogate_in_a_claim_is_malformed(door: Door, text: str) -> None:
    for name in ("sub", "iss", "scope", "jti", "what nobody reads"):
        await door.refuses_token(claiming(**{name: text}), reason="malformed")


REQUIRED = ["exp", "aud", "sub", "client_id", "iat", "jti"]


@pytest.mark.parametrize("name", REQUIRED)
async def test_a_token_as_rfc_9068_has_it_has_all_of_its_claims(door: Door, name: str) -> None:
    await door.refuses_token(claiming(**{name: ...}), reason="invalid_claim")


@pytest.mark.parametrize("name", REQUIRED[2:])
async def test_any_other_token_may_lack_some(door: Door, name: str) -> None:
    await door.admits(bearer(claiming(LOOSE, **{name: ...})))


KINDS: dict[str, dict[str, Any]] = {
    "an ID token with the token's hash": {"nonce": "n", "at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token with the code's hash": {"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token with an empty hash": {"at_hash": None},
    "a logout token": {"sid": "s", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "a security event": {"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}},
    "events that are none": {"events": []},
    "an introspection answer": {"token_introspection": {"active": True}},
    "an introspection answer that is none": {"token_introspection": None},
    "a DPoP proof": {"htm": "GET", "htu": "https://api.example/private", "ath": "x"},
    "a DPoP proof without anything": {"htm": None, "htu": None},
}  # fmt: skip


@rows("members", KINDS)
async def test_another_kind_of_token_is_the_wrong_one_though_it_is_for_us(
    door: Door, members: dict[str, Any]
) -> None:
    for issuer in BOTH_ISSUERS:
        await door.refuses_token(claiming(issuer, **members), reason="wrong_type")


CONFIRMATIONS: dict[str, Any] = {
    "a key's thumbprint": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "a certificate's": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
    "a key": {"jwk": {"kty": "oct", "k": "AA"}}, "a key's name": {"kid": "x"}, "an address": {"jku": "https://evil.example/"}, "nothing": {}, "null": None,
    "text": "x", "false": False, "a list": [],
}  # fmt: skip


@rows("confirmation", CONFIRMATIONS)
async def test_a_token_that_is_bound_to_a_key_is_not_taken_without_it(
    door: Door, confirmation: Any
) -> None:
    for issuer in BOTH_ISSUERS:
        await door.refuses_token(claiming(issuer, cnf=confirmation), reason="invalid_claim")


@rows("change", NO_OBJECT)
async def test_claims_that_are_no_json_object_are_malformed(
    door: Door, change: Callable[[bytes], bytes]
) -> None:
    await door.refuses_token(forged(payload=change(_SOUND)), reason="malformed")


WRONG_TOO: dict[str, dict[str, Any]] = {
    "expired": {"exp": 1}, "to come": {"nbf": 2**40}, "too old": {"iat": 1}, "for others": {"aud": "x"}, "without an audience": {"aud": ...},
    "without an expiry": {"exp": ...}, "with a strange expiry": {"exp": "never"}, "without the scope": {"scope": ""}, "with strange scopes": {"scope": 5},
    "bound to a key": {"cnf": {}}, "an ID token": {"at_hash": "x"}, "without a subject": {"sub": ...}, "with a strange subject": {"sub": 5},
}  # fmt: skip


@rows("changes", WRONG_TOO)
async def test_of_a_forged_token_nothing_else_is_told(door: Door, changes: dict[str, Any]) -> None:
    stranger = signer("Ed25519", private_key("OKP", "stranger"))
    for by in (stranger, lambda _: bytes(64), lambda _: b""):
        compact = forged(payload=claims(**changes), by=by)
        await door.refuses_token(compact, reason="bad_signature", target=b"/private/scoped")
