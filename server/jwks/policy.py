"""When to fetch, when to wait, when to give up.  Arithmetic; no clock, no sleep."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from server.settings import Seconds, Settings

_DAY = 86400.0

_Interval = Annotated[Seconds, Field(ge=1)]

_REFRESH_AHEAD = 0.8
_JITTER = 0.1
_LEAST_DELAY = 0.1
_SHORTEST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 60.0
_LONGEST_RETRY_AFTER = 300.0

_MOST_DIGITS = 11
_FOREVER = 2.0**31  # RFC 9111 section 1.2.2


class RefreshPolicy(Settings):
    """
    How an issuer's keys are kept current.

    Attributes:
        refresh_interval: the life of a key set whose issuer states none.
        min_refresh_interval: the shortest life that an issuer may state.
        max_refresh_interval: the longest; it bounds the life of a key that was removed.
        unknown_key_cooldown: after the first two, least time between fetches that unknown key
            IDs may cause, so that forged tokens cannot make us a weapon.
        max_stale: how long keys are used past their life while no new ones can be had.
        timeout: for one whole fetch.
    """

    refresh_interval: _Interval = 300.0
    min_refresh_interval: _Interval = 60.0
    max_refresh_interval: _Interval = 900.0
    unknown_key_cooldown: _Interval = 30.0
    max_stale: Annotated[Seconds, Field(le=_DAY)] = 3600.0
    timeout: Annotated[Seconds, Field(gt=0)] = 5.0

    @field_validator("max_refresh_interval")
    @classmethod
    def _check_order(cls, longest: float, info: ValidationInfo) -> float:
        if longest < info.data.get("min_refresh_interval", 0):
            raise ValueError("must not be shorter than min_refresh_interval")
        return longest

    def lifetime(self, headers: Mapping[str, str]) -> float:
        """
        Give the life of a key set, in seconds, from its answer's headers (RFC 9111 section 4.2).

        What is stated is kept within bounds.
        """
        stated = parse_freshness(headers)
        if stated is None:
            return self.refresh_interval
        return min(max(stated, self.min_refresh_interval), self.max_refresh_interval)

    def refresh_in(self, lifetime: float, *, random: float) -> float:
        """
        Give the delay to the next refresh after one that succeeded, in seconds.

        Args:
            random: from 0 to 1, so that replicas do not march in step.
        """
        return lifetime * _REFRESH_AHEAD * (1 - _JITTER + 2 * _JITTER * random)

    def retry_in(self, failures: int, *, random: float, retry_after: float | None = None) -> float:
        """
        Give the delay to the next attempt after *failures* in a row, in seconds.

        Args:
            random: from 0 to 1.
            retry_after: what the issuer asked for, in seconds.
        """
        if retry_after is not None:
            # Not sooner than asked, within bounds, and not all replicas at once.
            asked = max(retry_after, _SHORTEST_BACK_OFF)
            return min(asked, _LONGEST_RETRY_AFTER / (1 + _JITTER)) * (1 + _JITTER * random)
        doubled = _SHORTEST_BACK_OFF * 2.0 ** min(failures - 1, 10)
        return max(_LEAST_DELAY, min(_LONGEST_BACK_OFF, doubled) * random)


def parse_freshness(headers: Mapping[str, str]) -> float | None:
    """
    Read how long an answer stays fresh, in seconds (RFC 9111 section 4.2); none if it is not told.

    ``max-age``, else ``Expires`` less ``Date``; either of them less ``Age``.
    """
    stated = _max_age(headers)
    return _time_to_expiry(headers) if stated is None else stated


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110 section 10.2.3) in seconds; none if it cannot be read."""
    value = headers.get("Retry-After", "")
    if (seconds := _seconds(value)) is not None:
        return seconds
    return _between(_date(headers.get("Date", "")), _date(value))


def parse_age(headers: Mapping[str, str]) -> float:
    """Read how long an answer has been in caches on the way, in seconds (RFC 9111 section 5.1)."""
    return _seconds(headers.get("Age", "")) or 0.0


def _max_age(headers: Mapping[str, str]) -> float | None:
    directives: dict[str, str] = {}
    for directive in headers.get("Cache-Control", "").split(","):
        name, _, value = directive.strip().partition("=")
        directives.setdefault(name.lower(), value.strip('"'))
    if not directives.keys().isdisjoint({"no-cache", "no-store"}):
        return 0.0
    stated = _seconds(directives.get("max-age", ""))
    return None if stated is None else stated - parse_age(headers)


def _time_to_expiry(headers: Mapping[str, str]) -> float | None:
    if "Expires" not in headers:
        return None
    expires = _date(headers["Expires"])
    if expires is None:
        return 0.0  # what is no date is in the past: RFC 9111 section 5.3
    stated = _between(_date(headers.get("Date", "")), expires)
    return None if stated is None else stated - parse_age(headers)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    # Two dates of one server: our own wall clock may be wrong, and is not asked.
    return None if start is None or end is None else (end - start).total_seconds()


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None


def _seconds(text: str) -> float | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return min(float(text[:_MOST_DIGITS]), _FOREVER)
