"""
Structured logs, configured once: JSON for machines, a console for people.

Whatever is logged ends on standard output, a line for each event, also what libraries log.
"""

import contextlib
import io
import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import orjson
import structlog

from server.settings import Settings

_UNSEEMLY = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xd8\x9c|\xe1\xa0\x8e|\xef\xbb\xbf|\xf3\xa0[\x80\x81]"
)

_Event = MutableMapping[str, Any]


class LogSettings(Settings):
    """
    Attributes:
        format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
    """

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


def configure(settings: LogSettings) -> None:
    """Send every log line of this process to standard output, as *settings* say."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stdout.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *(_console_processors() if console else _json_processors()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=_StdoutWriter,
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib()


def configure_for_tests() -> None:
    """Print every log line for those who read a test's output: without local variables."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, *_console_processors()],
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )


class _StdoutWriter:
    """Writes lines to standard output, unbuffered, for whatever level."""

    def __init__(self, *_names: object) -> None:
        self._stdout = io.FileIO(sys.stdout.fileno(), "w", closefd=False)

    def _write(self, line: str | bytes) -> None:
        raw = line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line
        # A reader that has gone away is no reason to fail a request, or the keys' refreshing.
        with contextlib.suppress(OSError):
            self._stdout.write(raw + b"\n")

    debug = info = warning = error = critical = exception = msg = log = _write


def _json_processors() -> list[Any]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _render_json,
    ]


def _console_processors() -> list[Any]:
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _summarize_request,
        # Whatever a client sent is shown escaped: it must not drive the terminal.
        structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            repr_native_str=True,
            pad_event_to=0,
            sort_keys=False,
            # The richer ones show local variables, and with them tokens.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _render_json(_logger: object, _method: str, event: _Event) -> bytes:
    ordered = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    line = {**ordered, **event}
    try:
        rendered = orjson.dumps(line, default=str)
    except TypeError:
        # Lone surrogates and integers over 64 bits, which only a client can have sent.
        return _render_ascii(line)
    # What JSON allows and a terminal obeys: DEL, the C1 controls, separators, changes of direction.
    return _render_ascii(line) if _UNSEEMLY.search(rendered) else rendered


def _render_ascii(line: Mapping[str, Any]) -> bytes:
    rendered = json.dumps(_without_surrogates(line), default=str)
    return rendered.replace("\x7f", "\\u007f").encode("ascii")


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case Mapping():
            return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
        case list() | tuple():
            return [_without_surrogates(each) for each in value]
    return value


_FOR_EYES = {"auth.subject": "subject", "auth.scopes_missing": "missing", "duration_ms": "ms"}


def _summarize_request(_logger: object, _method: str, event: _Event) -> _Event:
    """Make of a request's many fields what is read at a glance; the rest is in the JSON."""
    if event["event"] != "request":
        return event
    status = event.get("http.response.status_code", "cut off")
    method = event.get("http.request.method", "no HTTP")
    path = ascii(event.get("url.path", ""))[1:-1]
    reason = event.get("auth.reason") or event.get("auth.outcome", "")
    return {
        "timestamp": event["timestamp"],
        "level": event["level"],
        "event": f"{status} {method} {path} {reason}",
        **{short: event[name] for name, short in _FOR_EYES.items() if name in event},
        "request_id": event.get("request_id"),
    }


class _ToStructlog(logging.Handler):
    """Gives the lines of libraries the form of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info,
        )


def _take_over_stdlib() -> None:
    # Warnings and worse only: at lower levels libraries log what must not be written. Authlib,
    # for one, logs the tokens that it issues at debug level.
    logging.basicConfig(handlers=[_ToStructlog()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
