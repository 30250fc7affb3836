"""
What libraries log, in the form of ours.

Our own lines are made of fields that somebody has chosen.  Theirs are texts, so they are looked
through for tokens, and cut.
"""

import logging
from typing import Any

import structlog

from server.logs.redaction import redact
from server.logs.repeats import Kind, Repeats, cause_of

# In characters.
_LONGEST = 2000
_LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO)


class LibraryHandler(logging.Handler):
    """
    Gives the lines of libraries the form of ours, whatever they are made of.

    Args:
        repeats: bounds them.
    """

    def __init__(self, repeats: Repeats) -> None:
        super().__init__()
        self._repeats = repeats

    def emit(self, record: logging.LogRecord) -> None:
        """Log *record*, unless there are too many of its kind."""
        text = _text_of(record)
        # Levels between have no names: the next lower one is what they are at least.
        level = next((each for each in _LEVELS if record.levelno >= each), logging.DEBUG)
        fields: dict[str, Any] = {"logger": record.name}
        if level >= logging.WARNING:
            kind = Kind(
                _template_of(record, text),
                logging.getLevelName(level).lower(),
                logger=record.name,
                cause=cause_of(record.exc_info and record.exc_info[1]),
            )
            if not self._repeats.admits(kind):
                return
            if held_back := self._repeats.take_held_back(kind):
                fields["lines_held_back"] = held_back
        if record.exc_info and record.exc_info[0] is not None:
            fields["exc_info"] = record.exc_info
        if record.stack_info:
            fields["stack"] = _fit(record.stack_info)
        structlog.get_logger().log(level, _fit(text), **fields)


def _text_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (values may be anything, and so may what they do when asked)
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{template} (its values cannot be put in)"


def _template_of(record: logging.LogRecord, text: str) -> str:
    # Python's warnings, for one, have nothing but a place for the whole text.
    is_one = isinstance(record.msg, str) and record.msg != "%s"
    # What asyncio has to say begins with what it is; whose it is and when comes in further lines.
    return next(iter((record.msg if is_one else text).splitlines()), "")


def _fit(text: str) -> str:
    text = redact(text).strip()
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"
