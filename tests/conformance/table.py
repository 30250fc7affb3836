"""What a row of the table of conformance is: a requirement, a request that tries it, an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from server.jwks.fixed_key_set import FixedKeySet
from server.protector import KeySource
from tests.minting import ISSUER, key_set

PROFILES = ("jwt", "at+jwt")


Level = Literal[
    "MUST", "MUST NOT", "REQUIRED", "SHOULD", "SHOULD NOT", "RECOMMENDED", "MAY", "-"
]  # fmt: skip
"""How much the RFC asks; ``-`` where it leaves the matter open and we do not."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    What is sent, and to whom.

    Attributes:
        authorization: makes the ``Authorization`` lines.
        form: a body, if any, as ``application/x-www-form-urlencoded``.
        keys: makes those that the issuer publishes.
        settings: of the issuer, beside its name, its audience and the profile.
    """

    authorization: Callable[[], Sequence[str]]
    method: str = "GET"
    path: str = "/api/private"
    form: bytes | None = None
    cookie: str | None = None
    keys: Callable[[], KeySource] = lambda: FixedKeySet(ISSUER, key_set())
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an operator writes for an issuer, with the environment and the files that it names."""

    issuer: Mapping[str, Any]
    environ: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What comes back.

    Attributes:
        error: the code in the challenge and in the body.
        outcome: ``auth.outcome`` in the log; *reason* is ``auth.reason``.
        challenge: all of it, where the row is about it; ``…`` stands for characters that RFC 6750
            section 3 allows.
    """

    status: int
    outcome: str
    reason: str | None = None
    error: str | None = None
    challenge: str | None = None


@dataclass(frozen=True, slots=True)
class NoStart:
    """The server does not start, and says *fault*."""

    fault: str


@dataclass(frozen=True, slots=True)
class Row:
    """
    One requirement.

    Attributes:
        section: of the RFC, in full.
        slug: the rest of the test's name.
        requirement: in our words.
        why: the reason, where we are stricter than the RFC or different from it.
        asks_less: of what the RFC asks, we ask less.
        profiles: those in which it is judged.
    """

    section: str
    slug: str
    level: Level
    requirement: str
    given: Request | Configuration
    expected: Answer | NoStart
    why: str = ""
    profiles: tuple[str, ...] = PROFILES
    asks_less: bool = False

    @property
    def rfc(self) -> str:
        """``RFC 7519``."""
        return self.section.partition(" section ")[0]

    @property
    def number(self) -> str:
        """``4.1.4``."""
        return self.section.partition(" section ")[2]

    @property
    def name(self) -> str:
        """The test's name."""
        return f"{self.rfc.replace(' ', '')}-{self.number}-{self.slug}"


GRANTED = Answer(200, "granted")
NO_TOKEN = Answer(401, "refused", "missing_token", challenge='Bearer realm="quickstart"')
SENT_TWICE = Answer(400, "refused", "invalid_request", "invalid_request")
FORBIDDEN = Answer(403, "refused", "insufficient_scope", "insufficient_scope")


def refused(reason: str, challenge: str | None = None) -> Answer:
    """A token that is not believed."""
    return Answer(401, "refused", reason, "invalid_token", challenge)
