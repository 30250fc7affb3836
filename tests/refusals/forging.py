"""Tokens that are almost right, and the tables that tests are made of."""

import codecs
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.minting import Signer, claims, compact, header
from tests.refusals.keyring import OKP, STRICT, main_signer

Part = dict[str, Any] | bytes


def rows(names: str | tuple[str, ...], table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """One test for each row, by the row's name."""
    return pytest.mark.parametrize(names, table.values(), ids=table)


def head(**changes: Any) -> dict[str, Any]:
    """The header of a sound token; a change to ``...`` leaves a member out."""
    return header(**({"alg": "Ed25519", "kid": OKP.kid} | changes))


def forged(
    protected: Part | None = None, payload: Part | None = None, *, by: Signer | None = None
) -> str:
    """A token with these parts, and for the rest sound."""
    protected = head() if protected is None else protected
    return compact(
        protected, claims() if payload is None else payload, by or main_signer("Ed25519")
    )


def headed(**changes: Any) -> str:
    return forged(head(**changes))


def claiming(issuer: str = STRICT, /, **changes: Any) -> str:
    """A token that *issuer* really signed, whatever it says."""
    payload = claims(**({"iss": issuer} | changes))
    return forged(payload=payload, by=main_signer("Ed25519", of=issuer))


# What can be done to the octets of a JSON object so that nothing should take them for one.
NO_OBJECT: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "null": lambda _: b"null",
    "true": lambda _: b"true",
    "a number": lambda _: b"5",
    "a string": lambda _: b'"alg"',
    "an array": lambda _: b'["alg"]',
    "an array of the object": lambda raw: b"[" + raw + b"]",
    "a string of the object": lambda raw: b'"' + raw.replace(b'"', b'\\"') + b'"',
    "a byte order mark": lambda raw: codecs.BOM_UTF8 + raw,
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda raw: raw.decode().encode("utf-16-le"),
    "UTF-32": lambda raw: raw.decode().encode("utf-32-be"),
    "bad UTF-8": lambda raw: raw[:-1] + b',"x":"\xff"}',
    "overlong UTF-8": lambda raw: raw[:-1] + b',"x":"\xc0\xaf"}',
    "a surrogate in UTF-8": lambda raw: raw[:-1] + b',"x":"\xed\xa0\x80"}',
    "a lone surrogate": lambda raw: raw[:-1] + rb',"x":"\ud800"}',
    "a lone surrogate as a name": lambda raw: raw[:-1] + rb',"\udfff":1}',
    "trailing bytes": lambda raw: raw + b"x",
    "trailing NUL": lambda raw: raw + b"\0",
    "two objects": lambda raw: raw + raw,
    "the end missing": lambda raw: raw[:-1],
    "a comma too many": lambda raw: raw[:-1] + b",}",
    "a comment": lambda raw: b"/**/" + raw,
    "single quotes": lambda raw: raw.replace(b'"', b"'"),
    "a line feed in a string": lambda raw: raw[:-1] + b',"x":"\n"}',
    "NaN": lambda raw: raw[:-1] + b',"x":NaN}',
    "Infinity": lambda raw: raw[:-1] + b',"x":-Infinity}',
    "a number of 400 digits": lambda raw: raw[:-1] + b',"x":1' + b"0" * 400 + b"}",
    "a number of 4,301 digits": lambda raw: raw[:-1] + b',"x":' + b"9" * 4301 + b"}",
    "an exponent of 400": lambda raw: raw[:-1] + b',"x":1e400}',
    "a vast exponent": lambda raw: raw[:-1] + b',"x":-1E999999999}',
    "33 levels": lambda raw: raw[:-1] + b',"x":' + b"[" * 32 + b"]" * 32 + b"}",
    "33 levels of objects": lambda raw: raw[:-1] + b',"x":' + b'{"":' * 32 + b"0" + b"}" * 33,
    "2,000 levels": lambda raw: raw[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "4,000 levels that stay open": lambda raw: raw[:-1] + b',"x":' + b"[" * 4000,
    "a thousand members, two of them the same": lambda raw: (
        raw[:-1] + b"".join(b',"%x":0' % number for number in range(500)) + b',"0":0}'
    ),
}  # fmt: skip

# What no claim with a simple value may be.
NO_TEXT: dict[str, Any] = {
    "null": None, "true": True, "false": False, "a number": 5, "zero": 0, "a fraction": 0.5, "an object": {"x": "y"}, "an empty object": {},
}  # fmt: skip
