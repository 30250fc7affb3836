"""What causes a fetch, what becomes of it, and of a request whose key is unknown."""

from enum import StrEnum


class Trigger(StrEnum):
    """What caused a fetch."""

    START = "start"
    TIMER = "timer"
    UNKNOWN_KEY = "unknown_key"
    FORCED = "forced"


class Result(StrEnum):
    """What became of a fetch."""

    OK = "ok"
    NOT_MODIFIED = "not_modified"
    FAILED = "failed"
    TAKEN_OVER = "taken_over"
    """Another process had newer keys: the issuer was not asked."""


class Outcome(StrEnum):
    """What became of a request whose key was unknown; *overflow*: it had waited long enough."""

    REFETCHED = "refetched"
    REMEMBERED = "remembered"
    BRAKED = "braked"
    OVERFLOW = "overflow"
