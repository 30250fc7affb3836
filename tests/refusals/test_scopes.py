"""What a token grants, and that it grants no more: RFC 6749 section 3.3, RFC 9068 section 2.2.3."""

import json
from itertools import product
from string import ascii_letters
from typing import Any

import pytest

from tests.minting import claims
from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import NO_TEXT, claiming, forged, rows
from tests.refusals.keyring import BOTH_ISSUERS, LOOSE, main_signer

UNFIT_SCOPES: dict[str, Any] = {
    **NO_TEXT, "a list with a number": ["read:messages", 5], "a list with null": [None], "a list of lists": [["read:messages"]],
    "a list with nothing in it": [""], "a list with two in one": ["read:messages write:messages"], "a quote": 'read:"messages"', "a backslash": "read\\messages",
    "a letter that is not ASCII": "read:m\u00e9ssages", "a no-break space": "read:messages\u00a0x", "a line feed": "read:messages\nadmin", "a tab": "read:messages\tadmin",
    "NUL": "read:messages\0", "DEL": "read\x7f",     "a list in a list": ["read:messages", []],
}  # fmt: skip


@rows("scopes", UNFIT_SCOPES)
async def test_scopes_are_words_as_the_framework_has_them(door: Door, scopes: Any) -> None:
    for name, issuer in product(("scope", "scp"), BOTH_ISSUERS):
        await door.refuses_token(claiming(issuer, **{name: scopes}), reason="invalid_claim")


@pytest.mark.parametrize("name", ["scope", "scp"])
@pytest.mark.parametrize("scopes", [["read:messages"], ["a", "read:messages"], []], ids=len)
async def test_a_list_of_scopes_is_taken_in_one_profile_only(
    door: Door, name: str, scopes: list[str]
) -> None:
    await door.admits(bearer(claiming(LOOSE, **{name: scopes})))
    await door.refuses_token(claiming(**{name: scopes}), reason="invalid_claim")


OTHER_SCOPES: dict[str, Any] = {
    "missing": ..., "empty": "", "a space": " ", "upper case": "READ:MESSAGES", "mixed case": "Read:Messages", "a prefix": "read:message",
    "the verb": "read", "the verb with its colon": "read:", "a longer one": "read:messages:all", "a plural more": "read:messagess", "a pattern": "*",
    "a pattern for all": "*:*", "a pattern for messages": "read:*", "a regular expression": "read:.+", "two halves": "read: messages",
    "commas between": "read:messages,write:messages", "a comma behind": "read:messages,", "quoted": "'read:messages'", "a plus between": "a+read:messages",
    "another": "write:messages", "negated": "!read:messages", "an underscore": "read_messages", "a thousand others": " ".join(f"{number:x}" for number in range(1000)),
}  # fmt: skip


@rows("scopes", OTHER_SCOPES)
async def test_a_scope_is_granted_by_its_exact_name(door: Door, scopes: Any) -> None:
    for issuer in BOTH_ISSUERS:
        compact = claiming(issuer, scope=scopes)
        answer = await door.refuses_token(
            compact, reason="insufficient_scope", target=b"/private/scoped"
        )
        assert answer.problem["scope"] == "read:messages"


WORDS = ["".join(pair) for pair in product(ascii_letters[:32], repeat=2)]


def _granting(scopes: Any) -> str:
    payload = json.dumps(claims(iss=LOOSE, scope=scopes), separators=(",", ":"))
    return forged(payload=payload.encode(), by=main_signer("Ed25519", of=LOOSE))


async def test_a_token_grants_a_thousand_scopes_at_most(door: Door) -> None:
    for scopes in (" ".join, list):
        await door.admits(bearer(_granting(scopes(WORDS[:1000]))))
        await door.refuses_token(_granting(scopes(WORDS[:1001])), reason="invalid_claim")


NO_LISTS: dict[str, Any] = {
    "missing": ..., "null": None, "true": True, "a number": 5, "empty": "", "an empty list": [], "an object": {"read:messages": True, "readers": True},
    "the word": "readers", "the scope": "read:messages", "words": "readers read:messages", "words with commas": "readers,read:messages",
    "JSON": '["readers","read:messages"]', "a list in a list": [["readers", "read:messages"]], "a list of objects": [{"name": "readers"}],
    "a longer word": ["readersx", "read:messagesx"], "another case": ["READERS", "READ:MESSAGES"], "words in one": ["readers read:messages"],
    "a prefix": ["reader", "read:message"], "a pattern": ["*"], "true in a list": [True], "zero in a list": [0], "a space behind": ["readers ", "read:messages "],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "target"),
    [("groups", b"/private/grouped"), ("permissions", b"/private/permitted")],
    ids=["groups", "permissions"],
)
@rows("value", NO_LISTS)
async def test_a_claim_that_contains_the_word_is_no_list_with_it(
    door: Door, name: str, target: bytes, value: Any
) -> None:
    listed = claiming(**{name: ["x", "readers", "read:messages"]})
    await door.admits(bearer(listed), target=target)

    answer = await door.refuses_token(
        claiming(**{name: value}), reason="insufficient_scope", target=target
    )

    assert "scope" not in answer.problem
