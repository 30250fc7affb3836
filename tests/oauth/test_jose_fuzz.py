"""
Strict parsing under fire: a corpus of tokens, and what becomes of them when they are damaged.

``make fuzz`` fires far more than the suite does.
"""

import json
import re
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import b64

pytestmark = pytest.mark.fuzz

CORPUS = dict(
    line.split("\t")
    for line in (Path(__file__).parent / "corpus/tokens.txt").read_text("utf-8").splitlines()
)
SOUND = {"sound", "no kid", "unsecured", "no typ", "surrogate pair", "quotes"}

# What damages a token in ways that chance alone would not find.
PIECES = [
    b'"alg":"none",',
    b'"crit":["exp"],',
    b'"kid":"\\ud800",',
    b'"exp":1e999,',
    b'"exp":-0,',
    b"\xef\xbb\xbf",
    b"\x00",
    b"\\u0000",
    b"NaN",
    b"[[[[",
    b"]]]]",
    b'{"":',
    b'"',
    b"\\",
    b"}",
    b"9" * 25,
    b" ",
]


def opened(part: str) -> bytes:
    """Decode what can be decoded of it."""
    text = re.sub(r"[^A-Za-z0-9_-]", "", part)
    text = text[:-1] if len(text) % 4 == 1 else text
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def damaged(raw: bytes, draw: st.DrawFn) -> bytes:
    start = draw(st.integers(0, len(raw)))
    end = start + draw(st.integers(0, 12))
    piece: bytes = draw(
        st.sampled_from(PIECES) | st.binary(max_size=6) | st.just(raw[start:end] * 2)
    )
    return raw[:start] + piece + raw[end:]


@st.composite
def hostile_tokens(draw: st.DrawFn) -> str:
    parts = draw(st.sampled_from(sorted(CORPUS.values()))).split(".")
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(parts) - 1))
        if draw(st.booleans()):
            parts[index] = b64(damaged(opened(parts[index]), draw))
        else:
            parts[index] = damaged(parts[index].encode(), draw).decode("latin-1")
    return ".".join(parts)


def hold(compact: str) -> bool:
    """Tell whether *compact* is taken; what is taken must be sound by every other reading too."""
    try:
        token = UnverifiedToken.parse(compact)
    except InvalidTokenError as refused:
        assert refused.reason in {Reason.MALFORMED, Reason.WRONG_TYPE, Reason.TOKEN_TOO_LARGE}
        assert refused.__cause__ is None
        assert refused.__suppress_context__ or refused.__context__ is None
        return False
    head, payload, signature = compact.split(".")
    assert b64(token.jws.payload) == payload
    assert b64(token.jws.signature) == signature
    assert token.jws.signing_input == f"{head}.{payload}".encode()
    header = loaded(urlsafe_b64decode(head + "=="))
    assert token.claims == loaded(token.jws.payload)
    assert (token.jws.algorithm, token.jws.key_id) == (header["alg"], header.get("kid"))
    assert not header.keys() & {"crit", "b64", "zip", "enc", "jwk", "jku", "x5c", "x5u"}
    theirs = jws.extract_compact(compact.encode())
    assert (theirs.headers(), theirs.payload) == (header, token.jws.payload)
    return True


def loaded(raw: bytes) -> dict[str, Any]:
    def unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in members}) == len(members)
        return dict(members)

    value = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    assert isinstance(value, dict)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return value


@pytest.mark.parametrize(("name", "compact"), CORPUS.items(), ids=CORPUS)
def test_of_the_corpus_only_what_is_sound_is_taken(name: str, compact: str) -> None:
    assert hold(compact) == (name in SOUND)


@given(hostile_tokens())
def test_what_is_taken_of_damaged_tokens_is_sound_by_every_other_reading(compact: str) -> None:
    hold(compact)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=10))
def test_what_is_taken_of_any_three_texts_is_sound_too(a: str, b: str, c: str) -> None:
    hold(".".join(b64(each.encode("utf-8", "surrogatepass")) for each in (a, b, c)))
    hold(f"{a}.{b}.{c}")
