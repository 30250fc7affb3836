"""What gunicorn has to say, in our form; what it does is told by the supervisor's own events."""

from typing import Any

import structlog


class GunicornLog:
    """Gunicorn's logger: details for those who debug, and what nobody expected."""

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self._log = structlog.get_logger().bind(logger="gunicorn")

    def debug(self, message: str, *values: object, **_details: object) -> None:
        """Tell a detail."""
        self._log.debug(_text(message, values))

    info = debug

    def warning(self, message: str, *values: object, **details: Any) -> None:
        """Tell of a lesser fault."""
        self._log.warning(_text(message, values), exc_info=details.get("exc_info"))

    def error(self, message: str, *values: object, **details: Any) -> None:
        """Tell of a fault."""
        self._log.error(_text(message, values), exc_info=details.get("exc_info"))

    critical = error

    def exception(self, message: str, *values: object, **_details: object) -> None:
        """Tell of a fault with its traceback."""
        self._log.exception(_text(message, values))

    def close_on_exec(self) -> None:
        """There are no files."""

    reopen_files = close_on_exec


def _text(message: str, values: tuple[object, ...]) -> str:
    return message % values if values else message
