"""Log events become lines: JSON for machines, a summary for people."""

import json
import re
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from time import gmtime, strftime, time
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import ExcInfo

from server.logs.output import PIECE
from server.logs.redaction import redact

Event = MutableMapping[str, Any]

_UNSEEMLY = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xd8\x9c|\xe1\xa0\x8e|\xef\xbb\xbf|\xf3\xa0[\x80\x81]"
)
_DEL = 0x7F
# In characters, what each text of a line keeps if the whole line is too long; the first that does.
_CUTS = (2000, 500, 100, 20)
_MAX_MEMBERS = 20
_LEVELS = {name: name.encode() for name in ("debug", "info", "warning", "error", "critical")}


class JSONRenderer:
    """
    Makes of an event a line of JSON that can be written in one piece.

    A structlog processor, the only one: each further step costs as much as the rendering itself.

    Args:
        more: fields that each line has.
        clock: gives the time in seconds since the epoch.
    """

    def __init__(
        self, more: Mapping[str, Any] | None = None, *, clock: Callable[[], float] = time
    ) -> None:
        self._more = more
        self._end = b"".join(b",%b" % orjson.dumps({k: v})[1:-1] for k, v in (more or {}).items())
        self._clock = clock
        self._second, self._date = -1, b""

    def __call__(self, _logger: object, level: str, event: Event) -> bytes:
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(None, level, dict(event))
            if "exception" in event:
                event["exception"] = redact(event["exception"])
        if next(iter(event)) != "event":
            event = {"event": event["event"], **event}
        if self._more:
            event.update(self._more)
        head = self._head(level)
        line = head + _render(event)
        return line if len(line) <= PIECE else head + _render_cut(event, PIECE - len(head))

    def finish(self, level: str, members: bytes) -> bytes | None:
        """Make a line of rendered *members*, if they are fit for one piece and for eyes."""
        line = b"%b%b%b}\n" % (self._head(level), members, self._end)
        if len(line) > PIECE or not line.isascii() or _DEL in line:
            return None
        return line

    def _head(self, level: str) -> bytes:
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._date = strftime('{"timestamp":"%Y-%m-%dT%H:%M:%S', gmtime(second)).encode()
            self._second = second  # last, for other threads
        return b'%b.%06dZ","level":"%b",' % (self._date, (now - second) * 1_000_000, _LEVELS[level])


def _render(event: Event) -> bytes:
    """Give *event* as a JSON object, without the brace that opens it, and a line feed."""
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # Lone surrogates and integers over 64 bits, which only a client can have sent.
        return _render_ascii(event)
    if line.isascii() and _DEL not in line:
        return line[1:]
    # What JSON allows and a terminal obeys: DEL, the C1 controls, separators, changes of direction.
    return _render_ascii(event) if _UNSEEMLY.search(line) else line[1:]


def _render_ascii(event: Event) -> bytes:
    rendered = json.dumps(_without_surrogates(event), default=str)
    return rendered.replace("\x7f", "\\u007f").encode("ascii")[1:] + b"\n"


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case Mapping():
            return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
        case list() | tuple():
            return [_without_surrogates(each) for each in value]
    return value


def _render_cut(event: Event, room: int) -> bytes:
    """Render *event* in so many bytes, with its long texts cut."""
    for keep in _CUTS:
        line = _render({name: _cut(value, keep) for name, value in event.items()})
        if len(line) <= room:
            return line
    return _render({"event": _cut(event["event"], _CUTS[-1]), "cut": True})


def _cut(value: Any, keep: int) -> Any:
    match value:
        case bool() | int() | float() | None:
            return value
        case list() | tuple():
            more = ["…"] if len(value) > _MAX_MEMBERS else []
            return [_cut(each, keep) for each in value[:_MAX_MEMBERS]] + more
    text = str(value)
    # The end stays too: of a traceback it says what has happened.
    half = keep // 2
    return text if len(text) <= keep else f"{text[:half]}…{text[-half:]}"


def console_processors(*, colors: bool, more: Mapping[str, Any] | None = None) -> list[Any]:
    """
    Give the processors that make of an event a line for people.

    Args:
        more: fields that each line has.
    """
    return [
        lambda _logger, _method, event: {**event, **(more or {})},
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _summarize_request,
        _show_library_text,
        # Whatever a client sent is shown escaped: it must not drive the terminal.
        structlog.dev.ConsoleRenderer(
            colors=colors,
            repr_native_str=True,
            pad_event_to=0,
            sort_keys=False,
            # The richer ones show local variables, and with them tokens.
            exception_formatter=_write_traceback,
        ),
    ]


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    out.write("\n" + _visible("".join(traceback.format_exception(*exc_info))).rstrip())


def _show_library_text(_logger: object, _method: str, event: Event) -> Event:
    """Escape the text of a library; ours are constants, which are shown as they are."""
    if "logger" in event:
        event["event"] = _visible(str(event["event"])).replace("\n", "\\n")
    if "stack" in event:
        event["stack"] = _visible(str(event["stack"]))
    return event


def _visible(text: str) -> str:
    """Escape what a terminal would obey, or nobody would see."""
    text = redact(text)
    return "".join(
        each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text
    )


_FOR_EYES = {"auth.subject": "subject", "auth.scopes_missing": "missing", "duration_ms": "ms"}


def _summarize_request(_logger: object, _method: str, event: Event) -> Event:
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
