"""Whose trace a request is part of (W3C Trace Context)."""

import re

from aiohttp import web
from multidict import istr

from server.web.exchange import Exchange

TRACE_PARENT = istr("traceparent")

_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


def trace_of(request: web.BaseRequest, exchange: Exchange) -> tuple[str, str] | None:
    """
    Give the IDs of the trace and the span that the line of *request* names, if it has any.

    They are hexadecimal digits and nothing else: of our own span, or else of the caller's.
    """
    if exchange.trace is not None:
        return exchange.trace
    sent = request.headers.get(TRACE_PARENT)
    if sent is None or (parent := _PARENT.fullmatch(sent)) is None:
        return None
    return parent[1], parent[2]
