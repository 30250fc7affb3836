"""A key set as its issuer published it, with what was said of how long it is good."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from server.oauth.keys import KeySet

FRESHNESS_HEADERS = frozenset({"Age", "Cache-Control", "Date", "Expires"})
"""What tells how long an answer is good (RFC 9111 section 4.2)."""

_VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
_LONGEST_VALIDATOR = 512

# What is said of one answer and not of the document in it (RFC 9111 section 4.3.4).
_OF_THE_ANSWER = frozenset({"Age", "Date"})


@dataclass(frozen=True, slots=True)
class PublishedKeySet:
    """
    At least one usable key.

    Attributes:
        url: where it was published.
        headers: those that state its freshness, and its validators.
        asked_at: when the request for it began, on the monotonic clock, in seconds.
    """

    keys: KeySet
    url: str
    headers: Mapping[str, str]
    asked_at: float

    def conditions(self, url: str) -> dict[str, str]:
        """Give the headers that ask *url* for this document only if it has changed (RFC 9110)."""
        if url != self.url:
            return {}
        return {
            condition: self.headers[validator]
            for validator, condition in _VALIDATORS.items()
            if 0 < len(self.headers.get(validator, "")) <= _LONGEST_VALIDATOR
        }

    def is_confirmed_by(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a 304 with *headers* is about this document (RFC 9111 section 4.3.4)."""
        held, told = (each.get("ETag", "").removeprefix("W/") for each in (self.headers, headers))
        return told in {"", held}

    def confirmed(self, headers: Mapping[str, str], *, asked_at: float) -> Self:
        """Give this document as a 304 with *headers* says that it still is (RFC 9111)."""
        kept = {k: v for k, v in self.headers.items() if k not in _OF_THE_ANSWER}
        # A validator belongs to the document that it came with, and that is the one held.
        told = {k: v for k, v in headers.items() if k not in _VALIDATORS}
        return replace(self, headers={**kept, **told}, asked_at=asked_at)
