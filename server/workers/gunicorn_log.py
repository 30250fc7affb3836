"""What gunicorn has to say, as a library does; what it does the supervisor's own events tell."""

import logging
from typing import Any


class GunicornLog:
    """Gunicorn's logger: details for those who debug, and what nobody expected."""

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self._log = logging.getLogger("gunicorn")
        self._log.setLevel(logging.DEBUG)  # what is written of it is decided elsewhere

    def debug(self, message: str, *values: object, **_details: object) -> None:
        """Tell a detail."""
        self._log.debug(message, *values)

    info = debug

    def warning(self, message: str, *values: object, **details: Any) -> None:
        """Tell of a lesser fault."""
        self._log.warning(message, *values, exc_info=details.get("exc_info"))

    def error(self, message: str, *values: object, **details: Any) -> None:
        """Tell of a fault."""
        self._log.error(message, *values, exc_info=details.get("exc_info"))

    critical = error

    def exception(self, message: str, *values: object, **_details: object) -> None:
        """Tell of a fault with its traceback."""
        self._log.exception(message, *values)

    def close_on_exec(self) -> None:
        """There are no files."""

    reopen_files = close_on_exec
