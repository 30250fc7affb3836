"""A key set as its issuer published it, with what was said of how long it is good."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from server.oauth.keys import KeySet

_VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
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
            if validator in self.headers
        }

    def confirmed(self, headers: Mapping[str, str], *, asked_at: float) -> Self:
        """Give this document as a 304 with *headers* says that it still is (RFC 9111)."""
        kept = {k: v for k, v in self.headers.items() if k not in _OF_THE_ANSWER}
        return replace(self, headers={**kept, **headers}, asked_at=asked_at)
