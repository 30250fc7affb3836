"""The token endpoint's grants, on Authlib: RFC 6749 sections 4.3 and 4.4, RFC 8707, RFC 9068."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
)
from authlib.oauth2.rfc6749.grants import (
    ClientCredentialsGrant,
    ResourceOwnerPasswordCredentialsGrant,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from joserfc import jwt
from pydantic import SecretStr

from server.dev_issuer.settings import Client, DevIssuerSettings, User
from server.dev_issuer.signing_keys import SigningKeys
from server.oauth.policy import Audiences

_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class InvalidTargetError(OAuth2Error):
    """The audience is not one of ours (RFC 8707 section 2)."""

    error = "invalid_target"
    description = "The requested audience is unknown"


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """The answer of the token endpoint."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class TokenRequest(OAuth2Request):
    """A request to the token endpoint, from a form or from JSON."""

    def __init__(self, uri: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__("POST", uri, headers=headers)
        self.payload = BasicOAuth2Payload(parameters)

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters, whichever way they were sent."""
        parameters: Mapping[str, str] = self.payload.data
        return parameters


class DevAuthorizationServer(AuthorizationServer):
    """
    Issues access tokens signed with *keys* to those whom *settings* know.

    Args:
        audiences: what tokens may be for; the first one if the request names none.
    """

    def __init__(
        self, settings: DevIssuerSettings, audiences: Audiences, keys: SigningKeys
    ) -> None:
        super().__init__()
        self._settings = settings
        self._audiences = audiences
        self._keys = keys
        self._clients = {each.client_id: _RegisteredClient(each) for each in settings.clients}
        self._users = {each.username: each for each in settings.users}
        self.register_grant(_ClientCredentials)
        self.register_grant(_Password)

    def issue(self, parameters: Mapping[str, str], headers: Mapping[str, str]) -> TokenResponse:
        """Answer a token request (RFC 6749 sections 5.1 and 5.2)."""
        uri = self._settings.name
        response: TokenResponse
        try:
            if "grant_type" not in parameters:
                raise InvalidRequestError("Missing 'grant_type' in request.")
            if "client_secret" in parameters and "Authorization" in headers:
                raise InvalidRequestError("The client must authenticate in one way")
            response = self.create_token_response(TokenRequest(uri, parameters, headers))
        except OAuth2Error as error:
            response = self.handle_error_response(None, error)
        return response

    # ---- what Authlib asks of a framework

    def create_oauth2_request(self, request: TokenRequest) -> TokenRequest:
        return request

    def authenticate_client(
        self, request: TokenRequest, methods: list[str], endpoint: str = "token"
    ) -> "_RegisteredClient":
        try:
            client: _RegisteredClient = super().authenticate_client(request, methods, endpoint)
        except ValueError:
            # Authlib takes HTTP Basic credentials for base64 and UTF-8, which they may not be.
            raise InvalidClientError from None
        return client

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def save_token(self, token: object, request: object) -> None:
        """Nothing is kept: the signature is the record."""

    def handle_response(self, status: int, body: Any, _headers: object) -> TokenResponse:
        return TokenResponse(status, body, _NO_STORE)

    def handle_error_response(self, _request: object, error: OAuth2Error) -> TokenResponse:
        if isinstance(error, InvalidClientError):
            # One answer, whichever half of the credentials is wrong, and however it was sent.
            body = {"error": "invalid_client", "error_description": "Client authentication failed"}
            challenge = {"WWW-Authenticate": f'Basic realm="{self._settings.name}"'}
            return TokenResponse(401, body, _NO_STORE | challenge)
        return TokenResponse(error.status_code, dict(error.get_body()), _NO_STORE)

    # ---- clients, users, tokens

    def query_client(self, client_id: object) -> "_RegisteredClient":
        client = self._clients.get(client_id) if isinstance(client_id, str) else None
        return client or _RegisteredClient(None)

    def authenticate_user(self, username: str, password: str) -> User:
        """
        Give the user who proves to be *username*.

        Raises:
            InvalidGrantError: there is none, or the password is another.
        """
        user = self._users.get(username)
        if not _is_secret(password, None if user is None else user.password) or user is None:
            raise InvalidGrantError("The user name or the password is wrong.")
        return user

    def token_for(self, request: TokenRequest) -> dict[str, Any]:
        """
        Make the body of a successful answer (RFC 6749 section 5.1).

        Raises:
            InvalidScopeError: a scope that the client, or the user, does not have.
            InvalidTargetError: an audience that nobody here has.
        """
        scope = _granted(request)
        client_id = request.client.get_client_id()
        audience = request.form.get("audience") or self._audiences[0]
        if audience not in self._audiences:
            raise InvalidTargetError
        now, lifetime = int(time.time()), int(self._settings.token_lifetime)
        claims = {
            "iss": self._settings.name,
            "sub": client_id if request.user is None else request.user.username,
            "aud": audience,
            "client_id": client_id,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
            **scope,
        }
        key = self._keys.current
        header = {"typ": "at+jwt", "alg": "RS256", "kid": key.kid}
        return {
            "access_token": jwt.encode(header, claims, key),
            "token_type": "Bearer",
            "expires_in": lifetime,
            **scope,
        }


class _RegisteredClient(ClientMixin):
    """A client as Authlib asks about it; one without settings is nobody and proves nothing."""

    def __init__(self, settings: Client | None) -> None:
        self._settings = settings
        self.scopes = () if settings is None else settings.scopes

    def get_client_id(self) -> str:
        return "" if self._settings is None else self._settings.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        known = None if self._settings is None else self._settings.client_secret
        return _is_secret(client_secret, known)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in _AUTH_METHODS and endpoint == "token"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {_ClientCredentials.GRANT_TYPE, _Password.GRANT_TYPE}


class _ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS

    def create_token_response(self) -> tuple[int, dict[str, Any], None]:
        return 200, self.server.token_for(self.request), None


class _Password(ResourceOwnerPasswordCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = _AUTH_METHODS

    def authenticate_user(self, username: str, password: str) -> User:
        user: User = self.server.authenticate_user(username, password)
        return user

    def create_token_response(self) -> tuple[int, dict[str, Any], None]:
        return 200, self.server.token_for(self.request), None


def _granted(request: TokenRequest) -> dict[str, str]:
    allowed = request.client.scopes
    if request.user is not None:
        allowed = tuple(scope for scope in request.user.scopes if scope in allowed)
    asked = request.form.get("scope")
    if asked is None:
        return {"scope": " ".join(allowed)} if allowed else {}
    scopes = [scope for scope in asked.split(" ") if scope]
    if not set(scopes) <= set(allowed):
        raise InvalidScopeError
    return {"scope": " ".join(scopes)} if scopes else {}


def _is_secret(offered: str, expected: SecretStr | None) -> bool:
    # Hashed first, so that the time tells nothing of the length; nobody takes as long as somebody.
    known = secrets.token_hex() if expected is None else expected.get_secret_value()
    same = hmac.compare_digest(_digest(offered), _digest(known))
    return same and expected is not None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
