"""The route table: every path, its handler, and who may."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal

from aiohttp import hdrs, web

from server.oauth.access_token import AccessToken
from server.oauth.scope import ScopeRequirement

if TYPE_CHECKING:
    from server.shared_numbers import Spread

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ACCESS_TOKEN = web.RequestKey("access_token", AccessToken)
"""Where a handler finds the verified token of its request."""


class Public(Enum):
    """Anyone may; no token is looked at."""

    PUBLIC = "anyone"

    def __str__(self) -> str:
        return self.value


public: Literal[Public.PUBLIC] = Public.PUBLIC
"""Anyone may; no token is looked at."""

Access = ScopeRequirement | Public


class RouteTableError(Exception):
    """The route table cannot be served."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table."""

    method: str
    path: str
    handler: Handler
    access: Access


def route(method: str, path: str, handler: Handler, access: Access) -> Route:
    """
    Declare a route.

    Args:
        path: as aiohttp writes it: ``/messages/{id}``.
        access: ``public``, or what a token must grant.
    """
    return Route(method.upper(), path, handler, access)


def get(path: str, handler: Handler, access: Access) -> Route:
    """Declare a GET route; HEAD follows its rule."""
    return route(hdrs.METH_GET, path, handler, access)


def post(path: str, handler: Handler, access: Access) -> Route:
    """Declare a POST route."""
    return route(hdrs.METH_POST, path, handler, access)


def put(path: str, handler: Handler, access: Access) -> Route:
    """Declare a PUT route."""
    return route(hdrs.METH_PUT, path, handler, access)


def patch(path: str, handler: Handler, access: Access) -> Route:
    """Declare a PATCH route."""
    return route(hdrs.METH_PATCH, path, handler, access)


def delete(path: str, handler: Handler, access: Access) -> Route:
    """Declare a DELETE route."""
    return route(hdrs.METH_DELETE, path, handler, access)


class Served:
    """
    One row, as requests meet it.

    Attributes:
        access: what is asked of them.
        template: its path, for the log and the metrics.
        durations: what they are counted in, by the status of the answer.
        logged: what their lines in the log have in common; empty before the first.
    """

    __slots__ = ("access", "durations", "logged", "method", "template")

    def __init__(self, method: str, template: str, access: Access) -> None:
        self.method = method
        self.template = template
        self.access = access
        self.durations: dict[int, Spread] = {}
        self.logged = b""


class RouteTable:
    """The rows as *app* serves them: what may be asked of each of its routes."""

    def __init__(self, app: web.Application, rows: Iterable[Route]) -> None:
        """
        Install *rows* in *app*.

        Raises:
            RouteTableError: a row is no route, says nothing of access, or stands there twice.
        """
        self._served: dict[web.AbstractRoute, Served] = {}
        rows = tuple(rows)
        declared: dict[tuple[str, str], Route] = {}
        for row in rows:
            _check(row)
            if (row.method, row.path) in declared:
                raise RouteTableError(f"{row.method} {row.path} is in the route table twice")
            declared[row.method, row.path] = row
        for row in rows:
            self._add(app, row.method, row)
            if row.method == hdrs.METH_GET:
                head = declared.get((hdrs.METH_HEAD, row.path))
                if head is None:
                    self._add(app, hdrs.METH_HEAD, row)
                elif head.access != row.access:
                    raise RouteTableError(f"HEAD {row.path} must have the rule of GET")
        app.on_startup.append(self._hold)

    def find(self, request: web.Request) -> Served | None:
        """Give the row that *request* was matched with; nothing where no route matched."""
        match = request.match_info
        # By the matched route, not by the path: a path can be written in many ways.
        served = self._served.get(match.route)
        if served is None and match.http_exception is None:
            raise KeyError(match.route)
        return served

    def _add(self, app: web.Application, method: str, row: Route) -> None:
        try:
            added = app.router.add_route(method, row.path, row.handler)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise RouteTableError(f"{row.method} {row.path}: {error}") from error
        template = added.resource.canonical if added.resource is not None else row.path
        self._served[added] = Served(method, template, row.access)

    async def _hold(self, app: web.Application) -> None:
        for known in app.router.routes():
            if known not in self._served:
                raise RouteTableError(f"{known.method} {_path_of(known)} is not in the route table")


def _check(row: object) -> None:
    if not isinstance(row, Route):
        raise RouteTableError(f"{row!r} is no route: write get(path, handler, access)")
    if not isinstance(row.path, str):
        raise RouteTableError(f"{row.method} {row.path!r}: a path is a string")
    if not callable(row.handler):
        raise RouteTableError(f"{row.method} {row.path}: its handler cannot be called")
    if not isinstance(row.access, ScopeRequirement | Public):
        raise RouteTableError(
            f"{row.method} {row.path}: say who may: public, authenticated, scope(…)"
        )


def _path_of(known: web.AbstractRoute) -> str:
    info: Mapping[str, object] = known.get_info()
    return known.resource.canonical if known.resource else str(info)
