"""The configuration read again while requests run: all of it is applied, or nothing."""

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

import structlog

from server import logs
from server.app import Keyturn
from server.config import Config, ConfigError

# What a running process cannot change.
PINNED = ("listen", "admin", "routes", "dev_issuer")


async def obey_reloads(
    keyturn: Keyturn,
    wanted: asyncio.Event,
    read: Callable[[], Config],
    *,
    applied: Callable[[Config], None],
    rejected: Callable[[], None] = lambda: None,
) -> NoReturn:
    """
    Reload whenever *wanted* is set, until cancelled.

    Args:
        read: reads the configuration anew; raises ConfigError.
        applied: is told of each that is in force.
        rejected: is told that one was not sound.
    """
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            # Files are read, and a table may be imported: not on the event loop.
            fresh = await asyncio.to_thread(read)
            await keyturn.reload(fresh)
        except Exception as error:  # noqa: BLE001 (told)
            rejected()
            tell_rejected(error)
        else:
            applied(fresh)


def tell_rejected(error: Exception) -> None:
    """Tell why a configuration is not applied: its faults, or one of ours."""
    if isinstance(error, ConfigError):
        structlog.get_logger().error("config.rejected", faults=error.faults)
    else:
        structlog.get_logger().error("config.rejected", exc_info=error)


def tell_reloaded(fresh: Config, *, instead_of: Config, threaded: bool = True) -> None:
    """
    Tell that *fresh* is in force, and log as it says; the process started with the other.

    Args:
        threaded: as ``logs.configure`` has it.
    """
    # Whoever asked for a reload is told of it, if either level has it so.
    was_told = structlog.get_logger().is_enabled_for(logging.INFO)
    if not was_told:
        logs.configure(fresh.logging, threaded=threaded)
    structlog.get_logger().info(
        "config.reloaded",
        issuers=[each.issuer for each in fresh.issuers],
        needs_restart=[
            name for name in PINNED if getattr(fresh, name) != getattr(instead_of, name)
        ],
    )
    if was_told:
        logs.configure(fresh.logging, threaded=threaded)
