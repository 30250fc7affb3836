"""
Gunicorn, told by our configuration alone.

Nothing is read from a command line, a gunicorn.conf.py or GUNICORN_CMD_ARGS.
"""

import os
from typing import Any

from gunicorn.app.base import BaseApplication

from server.workers.gunicorn_log import GunicornLog
from server.workers.worker import Worker

# Gunicorn keeps a nameless file for each worker, and some file systems make writers wait.
_MEMORY = "/dev/shm"  # noqa: S108 (see above)


class Gunicorn(BaseApplication):
    """
    What gunicorn is told.

    Args:
        pre_fork: is called before each fork.
    """

    def __init__(self, pre_fork: Any) -> None:
        self._settings = {
            "bind": "127.0.0.1:0",  # nothing is bound: the supervisor has its ports already
            "control_socket_disable": True,
            "logger_class": GunicornLog,
            "pre_fork": pre_fork,
            "proc_name": "keyturn",
            "worker_class": Worker,
            "worker_tmp_dir": _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None,
        }
        super().__init__()

    def load_config(self) -> None:
        """Leave all but that as it is."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)
