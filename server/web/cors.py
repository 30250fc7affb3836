"""Which browsers' pages may call: the Fetch standard's CORS protocol."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from pydantic import AfterValidator

from server.settings import Settings

_EXPOSED = "WWW-Authenticate, X-Request-Id, Retry-After"
_DEFAULT_HEADERS = "Authorization, Content-Type"
_HEADER_NAMES = re.compile(r"[A-Za-z0-9-]+(?: *, *[A-Za-z0-9-]+)*")
_PREFLIGHT_MAX_AGE = "600"


def _check_origin(origin: str) -> str:
    parts = urlsplit(origin)
    if origin != "*" and (
        parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ValueError('must be an origin such as https://app.example.com, or "*"')
    return origin


class CorsSettings(Settings):
    """
    Attributes:
        origins: whose pages may call; none turns CORS off, ``*`` admits any.
    """

    origins: tuple[Annotated[str, AfterValidator(_check_origin)], ...] = ()


class Cors:
    """
    Lets the pages of *settings.origins* call, and read the answers, errors too.

    Tokens travel in a header that the page sets, never in a cookie: credentials are not allowed.
    """

    def __init__(self, settings: CorsSettings) -> None:
        self._any = "*" in settings.origins
        self._origins = frozenset(settings.origins)

    def answer_preflight(self, request: web.Request) -> web.Response | None:
        """Answer *request* if it is a preflight of a page that may call."""
        if request.method != hdrs.METH_OPTIONS or not self._admits(request):
            return None
        if hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return None
        methods = _methods_of(request)
        if not methods:
            return None
        asked = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
                "Access-Control-Allow-Headers": (
                    asked if _HEADER_NAMES.fullmatch(asked) else _DEFAULT_HEADERS
                ),
                "Access-Control-Max-Age": _PREFLIGHT_MAX_AGE,
            },
        )

    def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page that sent *request* read the answer, if it may."""
        if not self._origins:
            return
        if not self._any:
            response.headers.add(hdrs.VARY, "Origin")
        if self._admits(request):
            origin = "*" if self._any else request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED

    def _admits(self, request: web.Request) -> bool:
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is not None and (self._any or origin in self._origins)


def _methods_of(request: web.Request) -> set[str]:
    match request.match_info.http_exception:
        case None:
            resource = request.match_info.route.resource
            return {each.method for each in resource or ()}
        case web.HTTPMethodNotAllowed() as refused:
            return set(refused.allowed_methods)
    return set()
