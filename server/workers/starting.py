"""Where several workers begin: ports, a directory and memory for all, then the supervisor."""

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from server import logs
from server.config import Config
from server.listening import bind
from server.open_files import allow_files_for
from server.serving import Serving
from server.settings import base_url
from server.shared_numbers import SharedMemory
from server.workers.crew import Board, Crew, Ports, how_many
from server.workers.supervisor import Supervisor

_HUNG = 30.0  # seconds without a sign of life


def supervise(
    config: Config,
    *,
    read: Callable[[], Config],
    started: Callable[[Serving], Coroutine[Any, Any, None]],
    hung_after: float = _HUNG,
) -> None:
    """
    Serve with several workers until told to stop; ends the process.

    Args:
        read: reads the configuration anew, for a reload.
        started: told once, in a worker, that everything listens.
        hung_after: how long a worker may give no sign of life, in seconds.

    Raises:
        ListenError: a port cannot be had.
        SystemExit: always, in the end; in the workers as well.
    """
    logs.configure(config.logging, threaded=False)  # it forks
    ports = _have_ports(config)
    workers = how_many(config.listen.workers)
    allow_files_for(config.listen.share(workers))
    addresses = tuple(base_url(*each.getsockname()[:2]) for each in ports.api)
    with _private_directory() as directory:
        crew = Crew(
            Board(workers), SharedMemory(workers + 1), ports, directory, addresses, read, started
        )
        Supervisor(config, crew, hung_after=hung_after).run()


def _have_ports(config: Config) -> Ports:
    dev, admin, api = config.dev_issuer, config.admin, config.listen
    issuers = bind(dev.host, dev.port, "dev_issuer.port") if dev.enabled else []
    operators = bind(admin.host, admin.port, "admin.port")
    return Ports(bind(api.host, api.port, "listen.port"), operators, issuers)


@contextmanager
def _private_directory() -> Iterator[Path]:
    owner = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix="keyturn-"))
    try:
        yield directory
    finally:
        # Workers, which have been forked from here, leave this way too.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)
