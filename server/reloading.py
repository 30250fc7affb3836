"""The configuration read again while requests run: all of it is applied, or nothing."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from server import logs
from server.app import Keyturn
from server.config import Config, ConfigError
from server.logs import LogSettings

# What a running process cannot change.
PINNED = ("listen", "admin", "routes", "dev_issuer")


async def obey_reloads(
    keyturn: Keyturn,
    config: Config,
    wanted: asyncio.Event,
    read: Callable[[], Config],
    *,
    configure_logs: Callable[[LogSettings], None] = logs.configure,
) -> NoReturn:
    """
    Reload whenever *wanted* is set, until cancelled.

    Args:
        config: what the process started with.
        read: reads the configuration anew; raises ConfigError.
        configure_logs: for this process.
    """
    log = structlog.get_logger()
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            # Files are read, and a table may be imported: not on the event loop.
            fresh = await asyncio.to_thread(read)
            await keyturn.reload(fresh)
        except ConfigError as error:
            log.error("config.rejected", faults=error.faults)  # noqa: TRY400 (no fault of ours)
        except Exception:
            log.exception("config.rejected")
        else:
            log.info(
                "config.reloaded",
                issuers=[each.issuer for each in fresh.issuers],
                needs_restart=[
                    name for name in PINNED if getattr(fresh, name) != getattr(config, name)
                ],
            )
            configure_logs(fresh.logging)  # last: whoever asked for a reload is told of it
