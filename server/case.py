"""One token before the court: what it says, and what has been found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.oauth.checks import Check
from server.oauth.errors import AuthError, Reason
from server.oauth.keys import VerificationKey
from server.oauth.policy import TokenPolicy
from server.oauth.scope import ScopeRequirement
from server.oauth.unverified_token import UnverifiedToken


@dataclass(slots=True)
class Case:
    """
    One token before the court.

    Attributes:
        believed: the issuers that are configured.
        found: what the checks that were passed have found.
        error: why it is refused, if it is.
        reason: why its claims are refused, or would be if it were signed.
        key_trouble: why its issuer's keys cannot be had, if they cannot.
        now: in seconds since the epoch.
    """

    believed: Sequence[str]
    requirement: ScopeRequirement
    now: float
    found: dict[Check, Any] = field(default_factory=dict)
    error: AuthError | None = None
    reason: Reason | None = None
    key_trouble: str | None = None

    @property
    def token(self) -> UnverifiedToken:
        """What was parsed."""
        token: UnverifiedToken = self.found[Check.FORM]
        return token

    @property
    def claims(self) -> Mapping[str, Any]:
        """What it says, verified or not."""
        return self.token.claims

    @property
    def keys(self) -> Sequence[VerificationKey]:
        """Those that it may have been signed with; none if they were not found."""
        keys: Sequence[VerificationKey] = self.found.get(Check.KEY, ())
        return keys

    @property
    def policy(self) -> TokenPolicy:
        """What its issuer's tokens must be like."""
        policy: TokenPolicy = self.found[Check.ISSUER]
        return policy


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token would grant, whether anybody has verified it or not."""

    scopes: frozenset[str]
    claims: Mapping[str, Any]
