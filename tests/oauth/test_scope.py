import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.oauth.access_token import AccessToken, Mandate
from server.oauth.scope import (
    ScopeRequirement,
    authenticated,
    claim_check,
    claim_equals,
    claim_includes,
    permission,
    scope,
)

names = st.sampled_from(["a", "b", "c", "read:messages"])
granted = st.frozensets(names)


def holding(scopes: frozenset[str] = frozenset(), **claims: Any) -> AccessToken:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    mandate = Mandate("https://issuer.example/", None, scopes, None, "RS256")
    return AccessToken(mandate, "user-1", None, 0.0, payload)


@given(granted, granted, names)
def test_more_scopes_never_open_fewer_doors(
    some: frozenset[str], more: frozenset[str], name: str
) -> None:
    needed = scope(name)

    assert needed.is_met_by(holding(some)) <= needed.is_met_by(holding(some | more))


@given(granted, names, names)
def test_either_side_is_enough_for_or(some: frozenset[str], one: str, other: str) -> None:
    access = holding(some)

    met = (scope(one) | scope(other)).is_met_by(access)

    assert met == (scope(one).is_met_by(access) or scope(other).is_met_by(access))


@given(granted, names, names)
def test_both_sides_are_needed_for_and(some: frozenset[str], one: str, other: str) -> None:
    access = holding(some)

    met = (scope(one) & scope(other)).is_met_by(access)

    assert met == (scope(one).is_met_by(access) and scope(other).is_met_by(access))
    assert met == scope(one, other).is_met_by(access)


@given(granted, names, names, names)
def test_and_distributes_over_or(some: frozenset[str], a: str, b: str, c: str) -> None:
    access = holding(some)

    left = (scope(a) & (scope(b) | scope(c))).is_met_by(access)
    right = ((scope(a) & scope(b)) | (scope(a) & scope(c))).is_met_by(access)

    assert left == right


@pytest.mark.parametrize("wrong", ["READ:MESSAGES", "read:message", "read", "*", "read:*"])
def test_a_scope_in_another_case_a_prefix_or_a_star_grants_nothing(wrong: str) -> None:
    assert not scope("read:messages").is_met_by(holding(frozenset({wrong})))


def test_any_token_is_enough_for_authenticated() -> None:
    assert authenticated.is_met_by(holding())
    assert authenticated.scopes == ()


def test_the_scopes_to_name_are_those_of_the_first_alternative() -> None:
    needed = (scope("a", "b") & scope("b") & permission("p")) | scope("c")

    assert needed.scopes == ("a", "b")
    assert needed.missing_from(holding(frozenset({"b"}))) == ("a",)
    assert permission("p").scopes == ()


@pytest.mark.parametrize(
    ("claims", "met"),
    [
        ({"permissions": ["read", "write"]}, True),
        ({"permissions": ["read"]}, False),
        ({"permissions": "read write"}, False),
        ({"permissions": {"read": 1, "write": 1}}, False),
        ({}, False),
    ],
)
def test_permissions_are_all_asked_for_in_a_list(claims: dict[str, Any], met: bool) -> None:
    assert permission("read", "write").is_met_by(holding(**claims)) is met


@pytest.mark.parametrize(
    ("found", "wanted", "met"),
    [
        ("acme", "acme", True),
        ("acme", "Acme", False),
        (1, 1, True),
        (1, True, False),
        (True, 1, False),
        (1.0, 1, False),
        ([1, "a"], [1, "a"], True),
        ([True], [1], False),
        ([1], [1, 2], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"b": 1}, False),
        (None, None, True),
    ],
)
def test_a_claim_equals_a_value_of_the_same_type(found: Any, wanted: Any, met: bool) -> None:
    assert claim_equals("org", wanted).is_met_by(holding(org=found)) is met


def test_a_missing_claim_equals_nothing() -> None:
    assert not claim_equals("org", None).is_met_by(holding())


@pytest.mark.parametrize(
    ("found", "met"),
    [
        (["a", "b", "c"], True),
        (["a"], False),
        ("a b", False),
        ({"a": 1, "b": 1}, False),
        (5, False),
    ],
)
def test_a_claim_includes_all_values(found: Any, met: bool) -> None:
    assert claim_includes("groups", "a", "b").is_met_by(holding(groups=found)) is met


def test_a_check_admits_with_true_and_nothing_else() -> None:
    def truthy(_claims: Mapping[str, Any]) -> Any:
        return "yes"

    assert claim_check(lambda claims: claims["age"] > 17, "adults").is_met_by(holding(age=18))
    assert not claim_check(lambda claims: claims["age"] > 17, "adults").is_met_by(holding(age=17))
    assert not claim_check(truthy, "truthy").is_met_by(holding())


@pytest.mark.parametrize("claims", [{}, {"age": "old"}, {"age": None}])
def test_claims_of_another_shape_do_not_admit(claims: dict[str, Any]) -> None:
    assert not claim_check(lambda them: them["age"] > 17, "adults").is_met_by(holding(**claims))


def test_a_fault_in_a_check_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        claim_check(lambda _claims: bool(1 // 0), "broken").is_met_by(holding())


def test_a_coroutine_function_is_no_check_and_neither_is_a_number() -> None:
    async def later(_claims: Mapping[str, Any]) -> bool:
        return True

    class Later:
        async def __call__(self, _claims: Mapping[str, Any]) -> bool:
            return True

    for function in (later, Later(), 5):
        with pytest.raises(TypeError, match="coroutine"):
            claim_check(function, "later")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\\b", "é", "a\n"])
def test_what_is_no_scope_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="not a scope"):
        scope(name)


@pytest.mark.parametrize("ask", [scope, permission, lambda: claim_includes("groups")])
def test_nothing_cannot_be_asked_for(ask: Any) -> None:
    with pytest.raises(ValueError, match="at least one"):
        ask()


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        (authenticated, "any valid token"),
        (scope("a", "b"), "scope a and scope b"),
        (scope("a") | permission("p"), "scope a or permission p"),
        (scope("a", "b") | scope("c"), "(scope a and scope b) or scope c"),
        (claim_equals("org", "acme"), "claim org = 'acme'"),
        (claim_includes("groups", "x"), "claim groups includes 'x'"),
        (claim_check(lambda _: True, "on weekdays"), "on weekdays"),
    ],
)
def test_a_requirement_reads_as_people_say_it(requirement: ScopeRequirement, text: str) -> None:
    assert str(requirement) == text


def test_requirements_combine_with_requirements_alone() -> None:
    with pytest.raises(TypeError):
        scope("a") | "b"  # type: ignore[operator]
    with pytest.raises(TypeError):
        scope("a") & None  # type: ignore[operator]
