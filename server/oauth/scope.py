"""What a route may ask of an access token: RFC 6749 section 3.3."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from server.oauth.claims import SCOPE_TOKEN

_T = TypeVar("_T")


class Grant(Protocol):
    """What a token grants, as far as a route may ask."""

    @property
    def scopes(self) -> frozenset[str]:
        """From all scope claims."""

    @property
    def claims(self) -> Mapping[str, Any]:
        """All of them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """
    One thing that a token may grant.

    Attributes:
        description: for people, as in ``scope read:messages``.
        scope: the scope's name, where it is one.
    """

    description: str
    holds: Callable[[Grant], bool]
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class ScopeRequirement:
    """
    Alternatives, each a list of conditions that must hold together.

    ``|`` asks for either side, ``&`` for both.
    """

    alternatives: tuple[tuple[Condition, ...], ...]

    def is_met_by(self, access: Grant) -> bool:
        """Tell whether all conditions of one alternative hold."""
        for every in self.alternatives:
            for each in every:
                if not each.holds(access):
                    break
            else:
                return True
        return False

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of the first alternative: what the challenge names."""
        names = (each.scope for each in self.alternatives[0] if each.scope is not None)
        return tuple(dict.fromkeys(names))

    def missing_from(self, access: Grant) -> tuple[str, ...]:
        """Give those of :attr:`scopes` that *access* lacks."""
        return tuple(name for name in self.scopes if name not in access.scopes)

    def unmet_by(self, access: Grant) -> tuple[str, ...]:
        """Give the descriptions of all conditions that do not hold, whatever the alternative."""
        each_of = (each for every in self.alternatives for each in every)
        return tuple(dict.fromkeys(e.description for e in each_of if not e.holds(access)))

    def __or__(self, other: "ScopeRequirement") -> "ScopeRequirement":
        if not isinstance(other, ScopeRequirement):
            return NotImplemented
        return ScopeRequirement(self.alternatives + other.alternatives)

    def __and__(self, other: "ScopeRequirement") -> "ScopeRequirement":
        if not isinstance(other, ScopeRequirement):
            return NotImplemented
        return ScopeRequirement(
            tuple(mine + theirs for mine in self.alternatives for theirs in other.alternatives)
        )

    def __str__(self) -> str:
        joined = [
            " and ".join(each.description for each in every) or "any valid token"
            for every in self.alternatives
        ]
        several = len(joined) > 1
        return " or ".join(
            f"({text})" if several and len(every) > 1 else text
            for text, every in zip(joined, self.alternatives, strict=True)
        )


authenticated = ScopeRequirement(alternatives=((),))
"""Any valid access token will do."""


def scope(*names: str) -> ScopeRequirement:
    """
    Ask for all of these scopes.

    Raises:
        ValueError: none is given, or one has characters that no scope has.
    """
    for name in _at_least_one(names):
        if not SCOPE_TOKEN.fullmatch(name):
            raise ValueError(f"not a scope: {name!r} (RFC 6749 section 3.3)")
    return _all_of(Condition(f"scope {name}", _Granted(name), name) for name in names)


def permission(*names: str) -> ScopeRequirement:
    """
    Ask for all of these in the list ``permissions``.

    Raises:
        ValueError: none is given.
    """
    return _all_of(
        Condition(f"permission {name}", _Includes("permissions", name))
        for name in _at_least_one(names)
    )


def claim_equals(name: str, value: Any) -> ScopeRequirement:
    """Ask for a claim with exactly this value, of the same type."""
    return _all_of([Condition(f"claim {name} = {value!r}", _Equals(name, value))])


def claim_includes(name: str, *values: Any) -> ScopeRequirement:
    """
    Ask for a claim that is a list with all of these values in it.

    Raises:
        ValueError: no value is given.
    """
    return _all_of(
        Condition(f"claim {name} includes {value!r}", _Includes(name, value))
        for value in _at_least_one(values)
    )


def claim_check(
    function: Callable[[Mapping[str, Any]], bool], description: str
) -> ScopeRequirement:
    """
    Ask *function*, which is given the claims.

    It admits with ``True`` and nothing else.  Claims that have not the shape that it expects (a
    LookupError, TypeError, ValueError or AttributeError in it) do not admit.

    Raises:
        TypeError: it cannot be called, or is a coroutine function, which nobody would await.
    """
    call = getattr(function, "__call__", None)  # noqa: B004 (an object with an async __call__)
    if call is None or inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        raise TypeError("claim_check takes a plain function, not a coroutine function")
    return _all_of([Condition(description, _Check(function))])


def _at_least_one(asked: tuple[_T, ...]) -> tuple[_T, ...]:
    if not asked:
        raise ValueError("ask for at least one")
    return asked


def _all_of(conditions: Iterable[Condition]) -> ScopeRequirement:
    return ScopeRequirement(alternatives=(tuple(conditions),))


@dataclass(frozen=True, slots=True)
class _Granted:
    name: str

    def __call__(self, access: Grant) -> bool:
        return self.name in access.scopes


@dataclass(frozen=True, slots=True)
class _Equals:
    name: str
    value: Any

    def __call__(self, access: Grant) -> bool:
        claims = access.claims
        return self.name in claims and _same(claims[self.name], self.value)


@dataclass(frozen=True, slots=True)
class _Includes:
    name: str
    value: Any

    def __call__(self, access: Grant) -> bool:
        found = access.claims.get(self.name)
        # A string that contains the word is no list that includes it.
        return isinstance(found, list) and any(_same(each, self.value) for each in found)


@dataclass(frozen=True, slots=True)
class _Check:
    function: Callable[[Mapping[str, Any]], bool]

    def __call__(self, access: Grant) -> bool:
        try:
            return self.function(access.claims) is True
        except (LookupError, TypeError, ValueError, AttributeError):
            return False


def _same(found: Any, wanted: Any) -> bool:
    # In Python True == 1 == 1.0; in JSON they are three things.
    if type(found) is not type(wanted):
        return False
    if isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, dict):
        return found.keys() == wanted.keys() and all(_same(found[k], wanted[k]) for k in found)
    return bool(found == wanted)
