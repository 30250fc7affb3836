"""Every error becomes a problem document, here and nowhere else: RFC 9457."""

import asyncio
import math
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.typedefs import Handler, Middleware

from server.oauth.challenge import Challenge
from server.oauth.errors import AuthError, KeysUnavailableError
from server.web.exchange import EXCHANGE, Exchange
from server.web.observation import RequestLog

_BODY_READERS = frozenset(
    reader.__code__ for reader in (web.BaseRequest.text, web.BaseRequest.json, web.BaseRequest.post)
)
_CUT_OFF = (web.HTTPRequestTimeout, web.HTTPRequestEntityTooLarge)
_NOT_STORED = frozenset({400, 401, 403, 503})


class BrokenBodyError(Exception):
    """The rest of a body does not come, and half an answer is out."""


class MidAnswerError(Exception):
    """Half an answer is out: another one behind it would pass for the rest of it."""


def problem_details(realm: Callable[[], str]) -> Middleware:
    """Make the middleware that answers errors; *realm* gives what every challenge names."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        exchange.started_at = monotonic()
        try:
            response = await handler(request)
        except asyncio.CancelledError as error:
            if not _is_cancelled():
                if isinstance(request.content.exception(), asyncio.CancelledError):
                    # The server stops, and aiohttp waits no longer for the rest of a body.
                    return _rescue(request, exchange, web.HTTPRequestTimeout(), realm=realm)
                return crashed(exchange, error)
            # The server gave up on it while stopping: nothing was answered, and it leaves its line.
            if isinstance(log := request.protocol.access_logger, RequestLog):
                log.log_cut_off(request, exchange, monotonic() - exchange.started_at)
            raise
        except Exception as error:  # noqa: BLE001 (told apart, and none is lost)
            return _rescue(request, exchange, error, realm=realm)
        return _checked(response, exchange)

    return answer_errors


def _is_cancelled() -> bool:
    # Or else its handler has awaited what was cancelled, and has not seen to it.
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _checked(response: web.StreamResponse, exchange: Exchange) -> web.StreamResponse:
    if exchange.begun is not None and exchange.begun is not response:
        raise MidAnswerError
    # Most are exactly this, which is quicker to see.
    if response.__class__ is not web.Response and not isinstance(response, web.StreamResponse):
        fault: Exception = TypeError(type(response))
    elif response.prepared and exchange.begun is None:
        fault = RuntimeError("a response can be sent once")
    else:
        return response
    return crashed(exchange, fault)


def _rescue(
    request: web.Request, exchange: Exchange, error: Exception, *, realm: Callable[[], str]
) -> web.StreamResponse:
    if isinstance(error, ConnectionError) and _has_gone(request):
        return exchange.begun or problem(400, request_id=exchange.request_id)
    if exchange.begun is not None:
        broken = isinstance(error, _CUT_OFF) or _is_about_the_body(error)
        raise (BrokenBodyError if broken else MidAnswerError) from error
    if isinstance(error, web.HTTPException) and error.status < HTTPStatus.BAD_REQUEST:
        raise error
    if isinstance(error, AuthError):
        exchange.refuse(error)
    return _answer_to(error, exchange, realm=realm())


def _answer_to(error: Exception, exchange: Exchange, *, realm: str) -> web.Response:
    request_id = exchange.request_id
    match error:
        case AuthError():
            return response_to(error, realm=realm, request_id=request_id)
        case web.HTTPException():
            return _from_exception(error, request_id=request_id)
        case _ if _is_about_the_body(error):
            return problem(400, request_id=request_id)
    return crashed(exchange, error)


def _is_about_the_body(error: Exception) -> bool:
    # What aiohttp raises when a handler has it read a body is the client's fault: a body that is
    # cut off, a charset that nobody knows, bytes that are no text, text that is no JSON.
    if isinstance(error, web.RequestPayloadError | BadHttpMessage):
        return True
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code in _BODY_READERS for frame, _line in frames)


def response_to(error: AuthError, *, realm: str, request_id: str) -> web.Response:
    """Answer a request that is not admitted (RFC 6750 section 3)."""
    challenge = Challenge.to(error, realm=realm)
    headers: dict[str, str] = {}
    members: dict[str, str] = {}
    if challenge is not None:
        headers["WWW-Authenticate"] = str(challenge)
        members = {
            name: value
            for name, value in (("error", challenge.error), ("scope", challenge.scope))
            if value is not None
        }
    if isinstance(error, KeysUnavailableError):
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return problem(
        error.status,
        detail=error.description,
        request_id=request_id,
        members=members,
        headers=headers,
    )


def problem(
    status: int,
    *,
    request_id: str,
    detail: str | None = None,
    members: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Make the answer with *status* and its problem document, *members* added."""
    title, usual = _status(status)
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail or usual,
        **(members or {}),
        "request_id": request_id,
    }
    response = web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE),
        content_type="application/problem+json",
        headers=headers,
    )
    response.headers["X-Request-Id"] = request_id
    if status in _NOT_STORED:
        response.headers["Cache-Control"] = "no-store"
    return response


def _from_exception(exception: web.HTTPException, *, request_id: str) -> web.Response:
    default_text = f"{exception.status}: {exception.reason}"
    response = problem(
        exception.status,
        detail=None if exception.text == default_text else exception.text,
        request_id=request_id,
    )
    for name, value in exception.headers.items():
        if name not in {"Content-Type", "Content-Length"}:
            response.headers.add(name, value)
    if isinstance(exception, web.HTTPRequestEntityTooLarge):
        response.force_close()  # the rest of it may be on its way
    return response


def _has_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def crashed(exchange: Exchange, error: BaseException | None) -> web.Response:
    """Log a fault of ours with its traceback, and answer without a word of its cause."""
    exchange.fault = None if error is None else type(error).__qualname__
    structlog.get_logger().error("server.error", request_id=exchange.request_id, exc_info=error)
    return problem(500, request_id=exchange.request_id)


def _status(number: int) -> tuple[str, str]:
    try:
        status = HTTPStatus(number)
    except ValueError:
        return "Error", "The request was not answered"
    return status.phrase, status.description or status.phrase
