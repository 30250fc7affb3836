"""Texts that nobody of ours has written, such as an exception's: no token may get out in them."""

import re

_MARK = "[redacted]"

# A JWT's header and its claims begin with `{"` in base64url; with a blank in it the two dots tell
# it.  Nothing is looked at twice: a text may be long, and a stranger's.
_TOKEN = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
    r"|(?<![A-Za-z0-9_-])e[yw][A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_.-]*"
)
_CREDENTIALS = re.compile(r"(?i)\b(bearer|dpop)([ \t]+|%20)[A-Za-z0-9._~+/=-]+")
_BASIC = re.compile(r"\b(Basic|basic)([ \t]+)[A-Za-z0-9+/=]{8,}")


def redact(text: str) -> str:
    """Put a mark in place of whatever looks like a token, or like credentials."""
    text = _TOKEN.sub(_MARK, text)
    text = _CREDENTIALS.sub(rf"\1\2{_MARK}", text)
    return _BASIC.sub(rf"\1\2{_MARK}", text)
