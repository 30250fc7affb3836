"""
Structured logs, configured once: JSON for machines, a console for people.

Whatever is logged ends on standard output, a line for each event, also what libraries log.

rendering             an event becomes a line
libraries, redaction  what libraries log, and what no text may show
repeats               warnings that come again and again, counted
writer, output        the way out, which nobody waits for
"""

import atexit
import logging
import os
import sys
from typing import Any, Literal

import structlog
from structlog._config import _CONFIG  # get_config() copies all of it, for each line
from structlog.typing import EventDict, FilteringBoundLogger

from server.logs.libraries import LibraryHandler
from server.logs.output import open_output
from server.logs.redaction import redact
from server.logs.rendering import JSONRenderer, console_processors
from server.logs.repeats import Kind, Repeats
from server.logs.writer import LineWriter
from server.settings import Settings

Level = Literal["debug", "info", "warning", "error"]

_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
# In seconds, for what has not been written when the process ends.
_LAST_LINES = 1.0


class LogSettings(Settings):
    """
    Attributes:
        format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
    """

    format: Literal["auto", "console", "json"] = "auto"
    level: Level = "info"


def configure(settings: LogSettings, *, threaded: bool = True, **more: object) -> None:
    """
    Send every log line of this process to standard output, as *settings* say.

    Args:
        threaded: whether a thread may be had. Without one each line is written at once, which is
            for a process that forks and that may wait. A forked process calls this again.
        more: fields that each line of this process has.
    """
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = settings.format == "console" or (settings.format == "auto" and is_terminal)
    _attach(prompt=console, threaded=threaded)
    _kept.renderer, _kept.levels = JSONRenderer(more), _LEVELS[_LEVELS.index(settings.level) :]
    rendering = console_processors(colors=is_terminal, more=more) if console else [_kept.renderer]
    _kept.chain = [_repeats, *rendering]
    structlog.configure(
        processors=_kept.chain,
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=_Sink,
        cache_logger_on_first_use=False,
    )
    _take_over_stdlib()
    atexit.unregister(close)
    atexit.register(close)


def configure_for_tests() -> None:
    """Print every log line for those who read a test's output: without local variables."""
    _kept.chain = [None]
    structlog.configure(
        processors=console_processors(colors=sys.stdout.isatty()),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get() -> FilteringBoundLogger:
    """Give the logger, as ``structlog.get_logger()`` does, for a tenth of what using that costs."""
    processors = _CONFIG.default_processors
    if processors is not _kept.processors:
        _kept.processors, _kept.logger = processors, structlog.get_logger().bind()
    return _kept.logger


def emit(level: Level, event: EventDict) -> None:
    """
    Log an event for half of what ``log.info("request", **fields)`` costs.

    Args:
        event: the fields, the first of them ``event``: its name. Not to be used again.
    """
    # Not so where a test captures what is logged, or people read it.
    if not are_json():
        getattr(structlog.get_logger(), level)(**event)
    elif level in _kept.levels:
        _writer.write(_kept.renderer(None, level, event))


def are_json() -> bool:
    """Tell whether lines are for machines, and nobody captures them."""
    # A capture of what is logged exchanges what is in the chain, a test's reset the whole of it.
    chain = _CONFIG.default_processors
    return chain is _kept.chain and chain[-1] is _kept.renderer


def emit_rendered(level: Level, members: bytes) -> bool:
    """
    Log an event that is JSON already, if that is as it may be written; only if ``are_json``.

    Args:
        members: those behind ``level``, without braces.
    """
    if level not in _kept.levels:
        return True
    line = _kept.renderer.finish(level, members)
    if line is None:
        return False
    _writer.write(line)
    return True


def lines_dropped() -> int:
    """Give how many lines this process could not write, because nobody read them."""
    return _writer.dropped


def flush(seconds: float = _LAST_LINES) -> bool:
    """Write what has been logged; say whether that was done within *seconds*."""
    return _writer.flush(seconds)


def close(seconds: float = _LAST_LINES) -> bool:
    """Do as ``flush``, and write at once, without a thread, what is logged later."""
    _repeats.close()
    atexit.unregister(close)  # a reader that is stuck is waited for once
    return _writer.close(seconds)


class _Kept:
    """What is looked up once for each configuration."""

    def __init__(self) -> None:
        self.processors: object = None
        self.logger: FilteringBoundLogger
        self.renderer = JSONRenderer()
        self.chain: list[Any] = [None]
        self.levels: tuple[str, ...] = ()


class _Sink:
    """Takes rendered lines, of whatever level."""

    def __init__(self, *_names: object) -> None:
        """Structlog gives the arguments of ``get_logger``."""

    def _write(self, line: str | bytes) -> None:
        if isinstance(line, str):
            line = line.encode("utf-8", "backslashreplace") + b"\n"
        _writer.write(line)

    debug = info = warning = error = critical = exception = msg = log = _write


def _report_dropped(lines: int) -> None:
    structlog.get_logger().warning("log.lines_dropped", lines=lines)


def _report_held_back(kind: Kind, lines: int) -> None:
    told = {**kind._asdict(), "of": redact(kind.of)}
    level = told.pop("level")
    fields = {name: value for name, value in told.items() if value is not None}
    getattr(structlog.get_logger(), level)("log.repeated", **fields, lines_held_back=lines)


_kept = _Kept()
_writer = LineWriter(_report_dropped)
_repeats = Repeats(_report_held_back)
os.register_at_fork(after_in_child=_writer.start_afresh)
os.register_at_fork(after_in_child=_repeats.start_afresh)


def _attach(*, prompt: bool, threaded: bool) -> None:
    output = open_output(-1 if sys.stdout is None else sys.stdout.fileno())
    former = _writer.output
    if former is not None and former.identity == output.identity:
        # As at a reload: nothing is interrupted.
        output.close()
        output = former
    if former is not output or not threaded:
        _writer.flush(_LAST_LINES)
    _writer.attach(output, prompt=prompt, threaded=threaded)
    if former is not None and former is not output:
        former.close()


def _take_over_stdlib() -> None:
    # Warnings and worse only: at lower levels libraries log what must not be written. Authlib,
    # for one, logs the tokens that it issues at debug level.
    logging.basicConfig(handlers=[LibraryHandler(_repeats)], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
