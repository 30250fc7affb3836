"""What is answered below the application, and why."""

from aiohttp import hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_writer import _serialize_headers

from server.web.answering import SERVER_NAME
from server.web.exchange import Exchange
from server.web.problems import BrokenBodyError, crashed, problem

# A header line of 16 KiB holds a token of 8 KiB, so that it is refused as a token.
MAX_HEADER_SIZE = 16 * 1024
_RETRY_AFTER = 5  # seconds


class HeadTimeoutError(BadHttpMessage):
    """The head of a request did not come to its end in time."""


class HeadTooLargeError(BadHttpMessage):
    """The head of a request does not come to an end."""


def refusal(status: int, *, request_id: str) -> web.Response:
    """Refuse a request that no application is concerned with, nor its signals."""
    response = problem(status, request_id=request_id)
    response.headers["Server"] = SERVER_NAME
    return response


def no_room(*, request_id: str) -> web.Response:
    """Refuse a request because there are too many connections (RFC 9110 section 15.6.4)."""
    response = _the_last(refusal(503, request_id=request_id))
    response.headers["Retry-After"] = str(_RETRY_AFTER)
    return response


def octets_of(response: web.Response) -> bytes:
    """Write *response* for a client that has not been heard."""
    body = response.body if isinstance(response.body, bytes) else b""
    response.headers[hdrs.CONTENT_LENGTH] = str(len(body))
    response.headers[hdrs.DATE] = rfc822_formatted_time()
    status_line = f"HTTP/1.1 {response.status} {response.reason}"
    return _serialize_headers(status_line, response.headers) + body


def answer_to(error: BaseException | None, exchange: Exchange) -> web.Response:
    """Answer what never reached a handler, or came to grief in the middle of its answer."""
    match error:
        case BadHttpMessage():
            exchange.is_readable = False
            response = refusal(_status_of(error), request_id=exchange.request_id)
        case BrokenBodyError():
            response = refusal(400, request_id=exchange.request_id)
        case _:
            response = crashed(exchange, error)
            response.headers["Server"] = SERVER_NAME
    return _the_last(response)


def _the_last(response: web.Response) -> web.Response:
    response.force_close()
    # aiohttp may answer in HTTP/1.0, and would leave it out.
    response.headers["Connection"] = "close"
    return response


def _status_of(error: BadHttpMessage) -> int:
    match error:
        case HeadTimeoutError():
            return 408
        case LineTooLong(args=(_, limit, *_)):
            return 431 if limit == MAX_HEADER_SIZE else 414
        case HeadTooLargeError() | BadHttpMessage(message="Too many headers received"):
            return 431
    return 400
