"""What is answered below the application, and why."""

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from server.web.answering import SERVER_NAME
from server.web.problems import problem

# A header line of 16 KiB holds a token of 8 KiB, so that it is refused as a token.
MAX_HEADER_SIZE = 16 * 1024


class HeadTimeoutError(BadHttpMessage):
    """The head of a request did not come to its end in time."""


class HeadTooLargeError(BadHttpMessage):
    """The head of a request does not come to an end."""


def refusal(status: int, *, request_id: str) -> web.Response:
    """Refuse a request that no application is concerned with, nor its signals."""
    response = problem(status, request_id=request_id)
    response.headers["Server"] = SERVER_NAME
    return response


def status_of(error: BadHttpMessage) -> int:
    """Give the status that answers what cannot be parsed."""
    match error:
        case HeadTimeoutError():
            return 408
        case LineTooLong(args=(_, limit, *_)):
            return 431 if limit == MAX_HEADER_SIZE else 414
        case HeadTooLargeError() | BadHttpMessage(message="Too many headers received"):
            return 431
    return 400
