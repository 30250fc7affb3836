"""The development issuer's HTTP endpoints: RFC 6749, RFC 8414, OpenID Connect Discovery."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from pydantic import ValidationError

from server.dev_issuer.authorization_server import DevAuthorizationServer
from server.dev_issuer.faults import Faults, FaultWish, Mode
from server.dev_issuer.settings import DevIssuerSettings
from server.dev_issuer.signing_keys import SigningKeys, generate_key
from server.oauth.jose import StrictError, parse_object
from server.oauth.policy import Audiences

_KEYS_MAX_AGE = 300


class DevIssuer:
    """The development issuer as an application, with its keys turning while it runs."""

    def __init__(
        self,
        settings: DevIssuerSettings,
        audiences: Audiences,
        keys: SigningKeys,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._keys = keys
        self._server = DevAuthorizationServer(settings, audiences, keys)
        self._faults = Faults(now=now, sleep=sleep)

    @classmethod
    async def create(cls, settings: DevIssuerSettings, audiences: Audiences) -> Self:
        """Make an issuer with a new key; tokens are for *audiences*."""
        return cls(settings, audiences, SigningKeys(await asyncio.to_thread(generate_key)))

    def app(self) -> web.Application:
        """Make the application that serves it."""
        app = web.Application(middlewares=[_allow_any_origin, _refuse_in_oauth])
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.router.add_get("/.well-known/jwks.json", self._jwks)
        app.router.add_post("/oauth/token", self._token)
        app.router.add_post("/control/rotate", self._rotate_now)
        app.router.add_post("/control/fault", self._set_fault)
        app.cleanup_ctx.append(self._turning)
        return app

    async def rotate(self, *, revoke: bool) -> None:
        """Make a new signing key; *revoke* drops the old one at once."""
        before = self._keys.current.kid
        self._keys.rotate(await asyncio.to_thread(generate_key), revoke=revoke)
        structlog.get_logger().info(
            "dev_issuer.rotated", kid=self._keys.current.kid, previous=before, revoked=revoke
        )

    async def _turning(self, _app: web.Application) -> AsyncIterator[None]:
        turning = asyncio.create_task(self._turn())
        yield
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)

    async def _turn(self) -> None:
        while True:
            await self._sleep(self._settings.rotate_every)
            await self.rotate(revoke=False)

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        base = self._settings.name.rstrip("/")
        return await self._faults.answer(
            request,
            {
                "issuer": self._settings.name,
                "token_endpoint": f"{base}/oauth/token",
                "jwks_uri": f"{base}/.well-known/jwks.json",
                "scopes_supported": self._scopes(),
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials", "password"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            {},
        )

    def _scopes(self) -> list[str]:
        return sorted({scope for client in self._settings.clients for scope in client.scopes})

    async def _jwks(self, request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": f"max-age={_KEYS_MAX_AGE}"}
        return await self._faults.answer(request, self._keys.published, headers)

    async def _token(self, request: web.Request) -> web.Response:
        answer = self._server.issue(await _parameters(request), request.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    async def _rotate_now(self, request: web.Request) -> web.Response:
        wishes = await _json_object(request) if request.can_read_body else {}
        match wishes.get("revoke", False):
            case bool(revoke):
                await self.rotate(revoke=revoke)
                return web.json_response({"kid": self._keys.current.kid})
        raise InvalidRequestError("'revoke' must be true or false")

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            wish = FaultWish.model_validate(await _json_object(request))
        except ValidationError:
            known = ", ".join(Mode)
            raise InvalidRequestError(
                f"'mode' must be one of {known}; 'seconds' more than 0 and at most a day"
            ) from None
        self._faults.set(wish)
        told: dict[str, Any] = {"mode": wish.mode.value}
        if wish.mode is not Mode.NONE:
            told["seconds"] = wish.seconds
        structlog.get_logger().info("dev_issuer.fault", **told)
        return web.json_response(told)


@web.middleware
async def _allow_any_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == hdrs.METH_OPTIONS:
        response: web.StreamResponse = web.Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
    else:
        try:
            response = await handler(request)
        except web.HTTPException as exception:
            exception.headers["Access-Control-Allow-Origin"] = "*"
            raise
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


@web.middleware
async def _refuse_in_oauth(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InvalidRequestError as error:  # RFC 6749 section 5.2
        headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        return web.json_response(dict(error.get_body()), status=400, headers=headers)


async def _parameters(request: web.Request) -> dict[str, str]:
    if request.content_type == "application/json":
        members = await _json_object(request)
        if not all(isinstance(value, str) for value in members.values()):
            raise InvalidRequestError("Every parameter must be a string")
        return members
    try:
        pairs = parse_qsl((await request.read()).decode("utf-8"), errors="strict")
    except ValueError:
        raise InvalidRequestError("The form cannot be read") from None
    if len(parameters := dict(pairs)) != len(pairs):
        raise InvalidRequestError("A parameter is repeated")
    return parameters


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        return parse_object(await request.read())
    except StrictError:
        raise InvalidRequestError("The body is no JSON object") from None
