"""What becomes of one request, from its head to its line in the log."""

import os
import random
import re
from typing import TYPE_CHECKING, Literal

from aiohttp import web

from server.oauth.access_token import AccessToken
from server.oauth.errors import AuthError, KeysUnavailableError

if TYPE_CHECKING:
    from server.web.routing import Served

_random = random.Random()  # noqa: S311 (nobody else's to seed)
os.register_at_fork(after_in_child=_random.seed)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Exchange:
    """
    One request and its answer, as far as they concern us: a record that is looked up once.

    Attributes:
        request_id: the client's, if it is fit, else a new one.
        expectation: what the client expects before it sends the body (RFC 9110 section 10.1.1).
        is_readable: it is HTTP, and for an address.
        started_at: when the application got it, on the monotonic clock.
        served: the route that it was matched with.
        outcome: what was decided; *anonymous* where nothing had to be.
        access: the verified token.
        error: why it is not admitted.
        begun: the answer, once its head has been made.
        fault: what a handler, or we, came to grief with: the name of an exception's type.
        trace: the IDs of the trace and of our span, if there is one, as they are logged.
    """

    __slots__ = (
        "access",
        "begun",
        "error",
        "expectation",
        "fault",
        "is_readable",
        "outcome",
        "request_id",
        "served",
        "started_at",
        "trace",
    )

    def __init__(self, sent_id: str | None, expectation: str | None, *, is_readable: bool) -> None:
        fits = sent_id is not None and _ACCEPTED_ID.fullmatch(sent_id)
        self.request_id = sent_id if sent_id is not None and fits else _new_request_id()
        self.expectation = expectation
        self.is_readable = is_readable
        self.started_at: float | None = None
        self.served: Served | None = None
        self.outcome: Literal["anonymous", "granted", "refused", "unavailable"] = "anonymous"
        self.access: AccessToken | None = None
        self.error: AuthError | None = None
        self.begun: web.StreamResponse | None = None
        self.fault: str | None = None
        self.trace: tuple[str, str] | None = None

    def refuse(self, error: AuthError) -> None:
        """Take note of why it is not admitted."""
        self.error = error
        self.outcome = "unavailable" if isinstance(error, KeysUnavailableError) else "refused"

    def admit(self, access: AccessToken) -> None:
        """Take note of what it is admitted with."""
        self.access = access
        self.outcome = "granted"


EXCHANGE = web.RequestKey("exchange", Exchange)


def _new_request_id() -> str:
    # It names a request and guards nothing: the system's randomness would take ten times as long.
    return f"{_random.getrandbits(96):024x}"
