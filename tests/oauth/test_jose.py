import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.jose import (
    MAX_TOKEN_SIZE,
    StrictError,
    decode_base64url,
    parse_compact,
    parse_object,
)
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import b64, claims, header, token, unsigned


def refusal(compact: str) -> Reason:
    with pytest.raises(InvalidTokenError) as refused:
        UnverifiedToken.parse(compact)
    return refused.value.reason


def test_a_sound_token_comes_apart() -> None:
    jws = parse_compact(token())

    assert (jws.algorithm, jws.type, jws.key_id) == ("RS256", "at+jwt", "RSA-main")
    assert json.loads(jws.payload) == claims()
    assert len(jws.signature) == 256
    assert jws.signing_input == token().rpartition(".")[0].encode()


def test_a_token_without_a_signature_comes_apart_and_is_refused_later() -> None:
    head, body, _ = token().split(".")

    jws = parse_compact(f"{head}.{body}.")

    assert jws.signature == b""
    assert jws.signing_input == f"{head}.{body}".encode()


@pytest.mark.parametrize(
    "compact",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "..",
        "." * 5000,
        token() + ".x",
        token() + "=",
        token() + " ",
        " " + token(),
        token().replace(".", "%2E"),
        token()[:-1] + "é",
        token()[:-1] + "\udc80",
        token()[:-1] + "+",
        "{" + token() + "}",
        "x abc",
    ],
)
def test_what_is_no_compact_serialization_is_malformed(compact: str) -> None:
    assert refusal(compact) is Reason.MALFORMED


def test_a_token_of_the_greatest_size_is_read_and_one_more_character_is_too_large() -> None:
    compact = token(padding="x" * (MAX_TOKEN_SIZE * 3 // 4 - 900))
    missing = MAX_TOKEN_SIZE - len(compact)
    compact = token(padding="x" * (MAX_TOKEN_SIZE * 3 // 4 - 900 + missing * 3 // 4))

    assert MAX_TOKEN_SIZE - 4 < len(compact) <= MAX_TOKEN_SIZE
    assert parse_compact(compact)
    assert refusal(compact + "x" * 8) is Reason.TOKEN_TOO_LARGE


@pytest.mark.parametrize(
    "member",
    [
        {"jwk": {"kty": "RSA"}},
        {"x5c": []},
        {"jku": "https://evil.example/"},
        {"x5u": "https://evil.example/"},
        {"crit": ["exp"]},
        {"crit": 5},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"cty": "application/jwt"},
        {"cty": ["JWT"]},
        {"enc": "A256GCM"},
        {"x5t": 5},
        {"x5t#S256": []},
        {"kid": 5},
        {"kid": None},
        {"kid": "x" * 257},
        {"kid": "a\nb"},
        {"kid": "a\x00"},
        {"alg": None},
        {"alg": 5},
        {"alg": ["RS256"]},
    ],
    ids=str,
)
def test_a_header_that_changes_what_is_verified_is_malformed(member: dict[str, Any]) -> None:
    assert refusal(unsigned(header(**member))) is Reason.MALFORMED


@pytest.mark.parametrize("typ", [5, None, ["JWT"], {}, True])
def test_a_type_that_is_no_text_is_a_wrong_type(typ: object) -> None:
    assert refusal(unsigned(header(typ=typ))) is Reason.WRONG_TYPE


def test_unknown_header_members_are_ignored() -> None:
    assert parse_compact(unsigned(header(nonce="x", vendor={"a": 1}, cty="json")))


def test_a_token_without_a_key_id_has_none() -> None:
    assert parse_compact(unsigned(header(kid=...))).key_id is None


HOSTILE_JSON = {
    "an array": b'["alg"]',
    "a string": b'"alg"',
    "null": b"null",
    "nothing": b"",
    "a member twice": b'{"alg": "RS256", "alg": "none"}',
    "a member twice, deep down": b'{"alg": "RS256", "x": {"a": 1, "a": 2}}',
    "a member twice by its escape": b'{"alg": "RS256", "a\\u006cg": "none"}',
    "NaN": b'{"alg": "RS256", "x": NaN}',
    "infinity": b'{"alg": "RS256", "x": -Infinity}',
    "a float beyond all": b'{"alg": "RS256", "x": 1e999}',
    "an integer beyond all": b'{"alg": "RS256", "x": ' + b"9" * 400 + b"}",
    "a lone surrogate": b'{"alg": "RS256", "x": "\\ud800"}',
    "a lone surrogate as a name": b'{"alg": "RS256", "\\udfff": 1}',
    "a byte order mark": b"\xef\xbb\xbf" + b'{"alg": "RS256"}',
    "UTF-16": '{"alg": "RS256"}'.encode("utf-16"),
    "bad UTF-8": b'{"alg": "RS256", "x": "\xff"}',
    "trailing bytes": b'{"alg": "RS256"}x',
    "single quotes": b"{'alg': 'RS256'}",
    "a trailing comma": b'{"alg": "RS256",}',
    "deep arrays": b'{"alg": "RS256", "x": ' + b"[" * 33 + b"]" * 33 + b"}",
    "very deep arrays": b'{"alg": "RS256", "x": ' + b"[" * 2500 + b"]" * 2500 + b"}",
    "deep objects": b'{"alg": "RS256", "x": ' + b'{"x":' * 33 + b"1" + b"}" * 34,
}


@pytest.mark.parametrize("raw", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_hostile_json_is_malformed_in_header_and_claims(raw: bytes) -> None:
    assert refusal(unsigned(raw)) is Reason.MALFORMED
    assert refusal(unsigned(header(), raw)) is Reason.MALFORMED


def test_brackets_in_text_are_not_depth() -> None:
    assert parse_object(json.dumps({"x": '[{\\"' * 50}).encode())


def test_depth_is_counted_in_one_pass_whatever_is_left_open() -> None:
    """It would take minutes, if each quote were looked at more than once."""
    raw = b'{"a": [' + b"[]," * 33 + b'"' + b'\\"' * 130_000

    with pytest.raises(StrictError):
        parse_object(raw)


@pytest.mark.parametrize(("arrays", "is_read"), [(31, True), (32, False)])
def test_thirty_two_levels_are_read_and_no_more(arrays: int, is_read: bool) -> None:
    raw = b'{"x": ' + b"[" * arrays + b"]" * arrays + b', "beside": [[1]]}'

    if is_read:
        assert parse_object(raw)["beside"] == [[1]]
    else:
        with pytest.raises(StrictError, match="too deeply"):
            parse_object(raw)


def test_many_values_side_by_side_are_not_depth() -> None:
    assert parse_object(json.dumps({"x": [[1], {"a": "]"}] * 50}).encode())


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse_object(b'{"x": "\\ud83d\\udd11"}') == {"x": "🔑"}


@given(st.binary())
def test_what_is_encoded_comes_back(raw: bytes) -> None:
    assert decode_base64url(b64(raw)) == raw


@given(st.text(alphabet="ABab01-_=+/ \n", max_size=12))
def test_two_texts_never_decode_to_the_same_bytes(text: str) -> None:
    try:
        raw = decode_base64url(text)
    except ValueError:
        return
    assert b64(raw) == text


@given(st.text())
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    try:
        UnverifiedToken.parse(text)
    except InvalidTokenError as refused:
        assert refused.reason in {Reason.MALFORMED, Reason.TOKEN_TOO_LARGE, Reason.WRONG_TYPE}


@given(st.binary(), st.binary(), st.binary())
def test_no_three_parts_raise_anything_but_a_refusal(a: bytes, b: bytes, c: bytes) -> None:
    with pytest.raises(InvalidTokenError):
        UnverifiedToken.parse(f"{b64(a)}.{b64(b)}.{b64(c)}x.")
    try:
        UnverifiedToken.parse(f"{b64(a)}.{b64(b)}.{b64(c)}")
    except InvalidTokenError as refused:
        assert refused.__cause__ is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(json_values)
def test_any_sensible_json_value_is_read_as_it_is(value: object) -> None:
    assert parse_object(json.dumps({"x": value}).encode()) == {"x": value}


def read(raw: bytes) -> object:
    try:
        return parse_object(raw)
    except StrictError:
        return None


@given(json_values | st.floats(allow_nan=False), st.booleans())
def test_what_is_written_briefly_is_read_as_anything_else_is(value: object, brief: bool) -> None:
    raw = json.dumps(
        {"a": value}, separators=(",", ":") if brief else None, ensure_ascii=not brief
    ).encode("utf-8", "surrogatepass")

    assert repr(read(raw)) == repr(read(b" " + raw))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":18446744073709551616}',
        b'{"a":100000000000000000000}',
        b'{"a":1e999}',
        b'{"a":-0}',
        b'{"a":-0.0}',
        b'{"a":1.0}',
        b'{"a":1E400}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b"[]",
        b'{"a":1}x',
        b"",
    ],
)
def test_no_way_of_reading_is_more_lenient_than_the_other(raw: bytes) -> None:
    assert repr(read(raw)) == repr(read(b" " + raw))
