"""The checks of a token, in their order, so that an explanation follows the decision itself."""

from collections.abc import Callable
from enum import StrEnum


class Check(StrEnum):
    """
    What is looked at, in this order: what is cheap first, claims after the signature alone.

    A decision tells of each check that a token has passed.  So the one that refuses a token is the
    one after the last that was told.
    """

    CREDENTIALS = "credentials"
    FORM = "form"
    ISSUER = "issuer"
    ALGORITHM = "algorithm"
    TYPE = "type"
    KEY = "key"
    SIGNATURE = "signature"
    KIND = "kind"
    REQUIRED = "required"
    IDENTITY = "identity"
    AUDIENCE = "audience"
    SCOPES = "scopes"
    TIMES = "times"
    ACCESS = "access"


Tell = Callable[[Check, object], None]
"""Takes a check that was passed, and what it has found."""


def tell_nobody(_check: Check, _found: object) -> None:
    """Let a decision go unexplained, as in a server."""
