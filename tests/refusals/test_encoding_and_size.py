"""A token's text is canonical, short, and of three parts: RFC 7515 section 7.1."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from tests.minting import b64, claims
from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import claiming, forged, head, rows
from tests.refusals.keyring import OKP

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

PARTS = pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])


def with_part(compact: str, part: int, change: Callable[[str], str]) -> str:
    parts = compact.split(".")
    parts[part] = change(parts[part])
    return ".".join(parts)


def _with_left_over(bits: int) -> str:
    """A sound token each part of which leaves *bits* over in its last character: 2 or 4."""
    octets = {4: 1, 2: 2}[bits]
    protected, payload = json.dumps(head()).encode(), json.dumps(claims()).encode()
    return forged(
        protected + b" " * ((octets - len(protected)) % 3),
        payload + b" " * ((octets - len(payload)) % 3),
    )


@pytest.mark.parametrize("added", range(1, 16))
async def test_a_last_character_with_four_bits_left_over_is_canonical(
    door: Door, added: int
) -> None:
    sound = _with_left_over(4)
    await door.admits(bearer(sound))

    for part in range(3):
        changed = with_part(sound, part, lambda text: text[:-1] + _more(text[-1], added))
        await door.refuses_token(changed, reason="malformed")


@pytest.mark.parametrize("part", [0, 1], ids=["header", "payload"])
@pytest.mark.parametrize("added", range(1, 4))
async def test_a_last_character_with_two_bits_left_over_is_canonical(
    door: Door, part: int, added: int
) -> None:
    sound = _with_left_over(2)
    await door.admits(bearer(sound))

    changed = with_part(sound, part, lambda text: text[:-1] + _more(text[-1], added))

    await door.refuses_token(changed, reason="malformed")


def _more(character: str, added: int) -> str:
    return _ALPHABET[_ALPHABET.index(character) + added]


@PARTS
async def test_a_part_with_a_character_too_many_is_malformed(door: Door, part: int) -> None:
    sound = _with_left_over(2)
    whole = with_part(sound, part, lambda text: text + "A" * (-len(text) % 4))

    await door.refuses_token(with_part(whole, part, lambda text: text + "A"), reason="malformed")


INSERTED = {
    "padding": "=", "padding twice": "==", "encoded padding": "%3D", "plus": "+", "slash": "/", "an encoded plus": "%2B",
    "a space": " ", "a tab": "\t", "an encoded space": "%20", "an encoded dot": "%2E", "an encoded line feed": "%0A",
    "a tilde": "~", "a bang": "!", "an asterisk": "*", "a colon": ":", "a backslash": "\\", "a quote": '"', "a comma": ",",
    "a semicolon": ";", "a hash": "#", "a dollar": "$", "an at": "@",
}  # fmt: skip


@rows("inserted", INSERTED)
async def test_a_character_outside_of_base64url_is_malformed(door: Door, inserted: str) -> None:
    for part, at in product(range(3), (1, 10)):
        compact = with_part(forged(), part, _inserting(inserted, at))
        await door.refuses_token(compact, reason="malformed")


def _inserting(text: str, at: int) -> Callable[[str], str]:
    return lambda part: part[:at] + text + part[at:]


@pytest.mark.parametrize("padding", ["=", "==", "==="])
async def test_a_padded_part_is_malformed(door: Door, padding: str) -> None:
    for part in range(3):
        compact = with_part(forged(), part, lambda text: text + padding)

        await door.refuses_token(compact, reason="malformed")


def _with(wanted: str) -> str:
    """A sound token whose signature has *wanted* in it."""
    tokens = (claiming(jti=f"token-{number}") for number in range(1000))
    return next(each for each in tokens if wanted in each.rpartition(".")[2])


@pytest.mark.parametrize(("ours", "theirs"), [("-", "+"), ("_", "/")], ids=["plus", "slash"])
async def test_the_other_base64_alphabet_is_malformed(door: Door, ours: str, theirs: str) -> None:
    sound = _with(ours)
    await door.admits(bearer(sound))

    await door.refuses_token(sound.replace(ours, theirs), reason="malformed")


def _count(parts: int) -> str:
    return ".".join((forged().split(".") * parts)[:parts])


OTHER_NUMBERS = {
    "one part": _count(1), "two": _count(2), "four": _count(4), "five": _count(5), "six": _count(6), "nine": _count(9),
    "a dot before": "." + forged(), "a dot behind": forged() + ".", "two dots between": forged().replace(".", ".."),
    "one dot": ".", "two dots": "..", "three dots": "...", "five empty parts": "....", "8,192 dots": "." * 8192,
    "4,096 parts of a letter": "a." * 4096, "a word": "junk", "a letter": "a", "null": "null", "undefined": "undefined",
    "an API key": "sk_live_0123456789abcdef", "a number": "0",
}  # fmt: skip


@rows("compact", OTHER_NUMBERS)
async def test_any_number_of_parts_but_three_is_malformed(door: Door, compact: str) -> None:
    await door.refuses_token(compact, reason="malformed")


@pytest.mark.parametrize("size", [8193, 16_000])
async def test_dots_without_number_are_too_large(door: Door, size: int) -> None:
    await door.refuses_token("." * size, reason="token_too_large")


def _flattened() -> dict[str, Any]:
    protected, payload, signature = forged().split(".")
    return {"protected": protected, "payload": payload, "signature": signature}


def _general() -> dict[str, Any]:
    flat = _flattened()
    return {"payload": flat.pop("payload"), "signatures": [flat]}


SERIALIZED: dict[str, bytes] = {
    "flattened": json.dumps(_flattened()).encode(),
    "flattened without spaces": json.dumps(_flattened(), separators=(",", ":")).encode(),
    "flattened with an unprotected header": json.dumps(_flattened() | {"header": {"kid": OKP.kid}}).encode(),
    "general": json.dumps(_general()).encode(),
    "general without spaces": json.dumps(_general(), separators=(",", ":")).encode(),
    "general without signatures": json.dumps(_general() | {"signatures": []}).encode(),
    "a token as a member's name": json.dumps({f" {forged()}": "", **_flattened()}).encode(),
    "a name that opens as a token": json.dumps({forged().rpartition(".")[0] + ".": 1, **_flattened()}).encode(),
    "an empty object": b"{}",
    "a list of tokens": json.dumps([forged()]).encode(),
    "a token in quotes": json.dumps(forged()).encode(),
}  # fmt: skip


@rows("raw", SERIALIZED)
async def test_a_token_in_json_is_malformed(door: Door, raw: bytes) -> None:
    await door.refuses_token(raw, reason="malformed")
    await door.refuses_token(b64(raw), reason="malformed")


def _of_size(size: int) -> str:
    payload = json.dumps(claims()).encode()
    fixed = len(forged().split(".")[0]) + len(forged().split(".")[2]) + 2
    octets = (size - fixed) * 3 // 4
    return forged(payload=payload[:-1] + b" " * (octets - len(payload)) + b"}")


async def test_a_token_may_have_eight_kibibytes(door: Door) -> None:
    largest = next(each for each in map(_of_size, range(8192, 8180, -1)) if len(each) <= 8192)
    assert len(largest) >= 8190

    await door.admits(bearer(largest))


TOO_LARGE: dict[str, str] = {
    "a signed token, a little": _of_size(8195),
    "a signed token, by half": _of_size(12_000),
    "a signed token, on the longest line": _of_size(16_300),
    "one letter": "x" * 8193,
    "dots": "." * 8193,
    "a large payload": ".".join([forged().split(".")[0], "A" * 9000, "AA"]),
    "a large signature": ".".join([*forged().split(".")[:2], "A" * 9000]),
    "a large header": ".".join(["A" * 9000, *forged().split(".")[1:]]),
    "1,000 members": forged(payload=json.dumps({f"{number:x}": 0 for number in range(1000)}).encode()),
    "characters that are no base64url": "=" * 9000,
}  # fmt: skip


@rows("compact", TOO_LARGE)
async def test_a_token_over_eight_kibibytes_is_too_large(door: Door, compact: str) -> None:
    assert len(compact) > 8192

    await door.refuses_token(compact, reason="token_too_large")


def _vast(value: str) -> tuple[str, str]:
    raw = b'{"x":' + value.encode() + b","
    return (
        forged(raw + json.dumps(head()).encode()[1:]),
        forged(payload=raw + json.dumps(claims()).encode()[1:]),
    )


VAST = {
    "a number of 21 digits": "1" * 21,
    "a negative number of 21 digits": "-" + "1" * 21,
    "a number of 4,300 digits": "9" * 4300,
    "a number of 5,000 digits": "9" * 5000,
    "an exponent of 309": "1e309",
    "an exponent of ten digits": "1e9999999999",
    "an exponent on many digits": "1" * 400 + "e1",
    "33 arrays": "[" * 33 + "]" * 33,
    "33 objects": '{"":' * 33 + "1" + "}" * 33,
    "arrays and objects in turn": '[{"":' * 17 + "1" + "}]" * 17,
    "2,500 arrays": "[" * 2500 + "]" * 2500,
    "5,000 arrays that stay open": "[" * 5000,
    "1,000 objects": '{"":' * 1000 + "1" + "}" * 1000,
}


@rows("value", VAST)
async def test_vast_numbers_and_deep_nesting_are_malformed(door: Door, value: str) -> None:
    for compact in _vast(value):
        await door.refuses_token(compact, reason="malformed")


ONCE = {
    "twenty digits": "1" * 20,
    "31 arrays": "[" * 31 + "]" * 31,
    "brackets in a string": '"' + "[{" * 500 + '"',
    "five hundred members": json.dumps({f"{number:x}": 0 for number in range(500)}),
}


@rows("value", ONCE)
async def test_what_is_large_within_bounds_is_read(door: Door, value: str) -> None:
    for compact in _vast(value):
        await door.admits(bearer(compact))


FOREIGN_BYTES: dict[str, bytes] = {
    "0x80": b"\x80", "0xff": b"\xff", "a letter in Latin-1": b"\xe9", "a letter in UTF-8": "\u00e9".encode(),
    "a no-break space": b"\xa0", "a next line": b"\x85", "a soft hyphen": b"\xad", "overlong UTF-8": b"\xc0\xae",
    "a full-width dot": "\uff0e".encode(), "a full-width letter": "\uff21".encode(), "a zero-width space": "\u200b".encode(),
    "a byte order mark": b"\xef\xbb\xbf", "a smiley": "\U0001f600".encode(), "a surrogate": b"\xed\xa0\x80", "a cut sequence": b"\xf0\x9f",
    "the rest of a sequence": b"\x98\x80",
}  # fmt: skip


@rows("inserted", FOREIGN_BYTES)
async def test_bytes_that_are_no_ascii_are_malformed_wherever_they_stand(
    door: Door, inserted: bytes
) -> None:
    sound = forged().encode()
    protected, payload, signature = sound.split(b".")
    await door.refuses_token(inserted, reason="malformed")
    for compact in (
        inserted + sound,
        sound + inserted,
        b".".join([protected + inserted, payload, signature]),
        b".".join([protected, inserted + payload, signature]),
        protected + inserted + payload + b"." + signature,
        b".".join([protected[:10] + inserted + protected[11:], payload, signature]),
        b".".join([protected, payload, signature[:-1] + inserted]),
    ):
        await door.refuses_token(compact, reason="malformed")
