"""Finding the route table that the configuration names."""

import importlib
import sys
import traceback
from pathlib import Path

from aiohttp import web

from server.web.routing import Route, RouteTable, RouteTableError


def load_table(name: str) -> tuple[Route, ...]:
    """
    Import the route table that *name* names, as ``module:attribute``, from the working directory.

    Raises:
        RouteTableError: it cannot be imported, or cannot be served.
    """
    module_name, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        rows = tuple(getattr(importlib.import_module(module_name), attribute))
    except Exception as error:
        # A user's module may fail in any way; each is a fault of the configuration.
        raise RouteTableError(f"{name} cannot be loaded: {_blame(error)}") from error
    RouteTable(web.Application(), rows)
    return rows


def _blame(error: Exception) -> str:
    cause = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if "importlib" not in each.filename][1:]
    return f"{cause} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else cause
