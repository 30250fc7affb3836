"""
Strict JOSE parsing in front of the library: RFC 7515, RFC 8725.

The library does the mathematics.  What it is handed has passed here: exactly three parts of
canonical base64url, JSON objects in UTF-8 without duplicate members, a header without extensions.
"""

import json
import math
import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from server.oauth.errors import InvalidTokenError, Reason

MAX_TOKEN_SIZE = 8 * 1024
_MAX_KEY_ID_LENGTH = 256
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"===", b"==", b"=")  # by what is left of the length, divided by four
_MOST_HEADERS = 128
_DOTS = 2  # between header, payload and signature
_MAX_DEPTH = 32
_MAX_DIGITS = 20
# Strings, and what nests.  A string that stays open is one too: it is passed over once.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)

# Each of them would change what is verified, or with which key (RFC 7515 section 4.1), or makes it
# no JWS at all (RFC 7516 section 9).
_REFUSED_HEADERS = frozenset({"crit", "b64", "zip", "enc", "jwk", "jku", "x5c", "x5u"})
_TEXT_HEADERS = ("alg", "kid", "cty", "x5t", "x5t#S256")


class StrictError(ValueError):
    """What was sent is not as strict as it must be.  Its text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class CompactJWS:
    """
    A JWS in compact serialization, taken apart.  Nothing in it is verified.

    Attributes:
        algorithm: ``alg``.
        key_id: ``kid``, if there is one: at most 256 printable characters.
        type: ``typ``, if there is one.
        payload: what was signed, of whatever form.
        signing_input: the octets that the signature covers (RFC 7515 section 5.2).
        signature: possibly empty.
    """

    algorithm: str
    key_id: str | None
    type: str | None
    payload: bytes
    signing_input: bytes
    signature: bytes


def parse_compact(compact: str) -> CompactJWS:
    """
    Take *compact* apart.

    Raises:
        InvalidTokenError: too large, malformed, or with a ``typ`` that is no string.
    """
    if len(compact) > MAX_TOKEN_SIZE:
        raise InvalidTokenError(Reason.TOKEN_TOO_LARGE)
    if compact.count(".") != _DOTS:
        raise malformed("it has not three parts")
    protected, payload, signature = compact.split(".")
    part = "header"
    try:
        algorithm, key_id, type_ = _parse_header(protected)
        part = "payload"
        raw_payload = decode_base64url(payload)
        part = "signature"
        raw_signature = decode_base64url(signature)
    except StrictError as error:
        raise malformed(f"its {part} {error}") from None
    signing_input = compact[: -len(signature) - 1].encode("ascii")
    return CompactJWS(algorithm, key_id, type_, raw_payload, signing_input, raw_signature)


def malformed(detail: str) -> InvalidTokenError:
    """Make the error for a token that is not of the form that it must have."""
    return InvalidTokenError(Reason.MALFORMED, detail=detail)


def decode_base64url(text: str) -> bytes:
    """
    Decode canonical base64url without padding (RFC 7515 section 2).

    Raises:
        StrictError: padding, a foreign character, or left-over bits that are not zero.
    """
    try:
        octets = text.encode("ascii")
        raw = a2b_base64(octets.translate(_TO_BASE64) + _PADDING[len(octets) % 4])
        # Python's decoder passes over what it does not know; only the canonical text comes back.
        if b2a_base64(raw, newline=False).translate(_TO_BASE64URL).rstrip(b"=") == octets:
            return raw
    except ValueError:
        pass  # it could not make anything of it
    raise StrictError("is not canonical base64url")


def is_key_id(text: str) -> bool:
    """Tell whether *text* may be a ``kid``: at most 256 printable characters."""
    return len(text) <= _MAX_KEY_ID_LENGTH and text.isprintable()


def parse_object(raw: bytes) -> dict[str, Any]:
    """
    Read a JSON object, strictly (RFC 8259, RFC 7493).

    Raises:
        StrictError: not UTF-8, no object, a duplicate member, NaN or Infinity, a number out of
            bounds, a lone surrogate, or more than 32 levels.
    """
    if (value := _parse_canonical(raw)) is not None:
        return value
    try:
        text = raw.decode("utf-8")
        if text.count("[") + text.count("{") > _MAX_DEPTH:
            _check_depth(text)
        value = _decoder.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate
    except UnicodeError:
        raise StrictError("is not sound UTF-8") from None
    except json.JSONDecodeError:
        raise StrictError("is not JSON") from None
    if not isinstance(value, dict):
        raise StrictError("is no JSON object")
    return value


def _parse_canonical(raw: bytes) -> dict[str, Any] | None:
    """
    Read an object that is written as briefly as it can be, in a fifth of the time; else nothing.

    What comes back octet for octet when it is written again has no member twice, no number that
    was rounded, and nothing that JSON has not.
    """
    if raw.count(b"[") + raw.count(b"{") > _MAX_DEPTH:
        return None
    try:
        value = orjson.loads(raw)
        return value if isinstance(value, dict) and orjson.dumps(value) == raw else None
    except (orjson.JSONDecodeError, TypeError):
        return None


@lru_cache(_MOST_HEADERS)
def _parse_header(protected: str) -> tuple[str, str | None, str | None]:
    # An issuer's tokens have one header for each of its keys.
    return _read_header(parse_object(decode_base64url(protected)))


def _read_header(header: dict[str, Any]) -> tuple[str, str | None, str | None]:
    if refused := sorted(_REFUSED_HEADERS & header.keys()):
        raise StrictError(f"has {', '.join(refused)}, which would change what is verified")
    if not isinstance(header.get("typ", ""), str):
        raise InvalidTokenError(Reason.WRONG_TYPE)
    for name in _TEXT_HEADERS:
        if not isinstance(header.get(name, ""), str):
            raise StrictError(f"has {name}, but not as text")
    if header.get("cty", "").lower().endswith("jwt"):
        raise StrictError("announces a nested token")
    if "alg" not in header:
        raise StrictError("has no alg")
    if not is_key_id(header.get("kid", "")):
        raise StrictError("has a kid that is too long or not printable")
    return header["alg"], header.get("kid"), header.get("typ")


def _unique_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(members)
    if len(unique) != len(members):
        raise StrictError("has a member twice")
    return unique


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise StrictError("has a number out of bounds")
    return int(digits)


def _finite_float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise StrictError("has a number out of bounds")
    return number


def _refuse_constant(_name: str) -> None:
    raise StrictError("has a number that is none")


def _check_depth(text: str) -> None:
    depth = 0
    for found in _STRUCTURE.finditer(text):
        piece = found[0]
        if piece in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise StrictError("is nested too deeply")
        elif piece in "]}":
            depth -= 1


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_int=_bounded_int,
    parse_float=_finite_float,
    parse_constant=_refuse_constant,
)
