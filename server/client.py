"""Asking an issuer for an access token: RFC 6749 sections 4.3 and 4.4."""

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from server.jwks.discovery import discover
from server.jwks.document import JWKSFetchError, fetch_document, read_object
from server.oauth.errors import InvalidTokenError
from server.oauth.unverified_token import UnverifiedToken

_TIMEOUT = 10.0
_RENEW_BEFORE = 30.0
_TOKEN = re.compile(r"[!-~]+")


class TokenRefusedError(Exception):
    """The issuer gave no token.  Its text is the issuer's words, without a secret."""


@dataclass(frozen=True, slots=True)
class TokenQuery:
    """
    Whom to ask, as whom, for what.

    Attributes:
        username, password: given together; they make it a password grant.
    """

    issuer: str
    client_id: str
    client_secret: str
    username: str | None = None
    password: str | None = None
    scope: str | None = None
    audience: str | None = None

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters of the token request."""
        named = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "username": self.username,
            "password": self.password,
            "scope": self.scope,
            "audience": self.audience,
        }
        return {name: value for name, value in named.items() if value is not None}

    @property
    def digest(self) -> str:
        """A name for this query that tells nothing of it."""
        return sha256(json.dumps([self.issuer, sorted(self.form.items())]).encode()).hexdigest()


async def request_token(session: ClientSession, query: TokenQuery) -> Mapping[str, Any]:
    """
    Ask the issuer once; give its answer, with ``access_token`` in it.

    Raises:
        TokenRefusedError: it cannot be reached, or it refuses.
    """
    try:
        endpoint = await discover(
            session, query.issuer, endpoint="token_endpoint", timeout=_TIMEOUT
        )
        grant = "client_credentials" if query.username is None else "password"
        async with session.post(
            endpoint,
            data=prepare_token_request(grant, **query.form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            timeout=ClientTimeout(total=_TIMEOUT),
            allow_redirects=False,
        ) as response:
            answer = await read_object(response)
    except JWKSFetchError as error:
        raise TokenRefusedError(f"{query.issuer}: {error}") from error
    except (ClientError, TimeoutError) as error:
        raise TokenRefusedError(f"{query.issuer}: {type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise TokenRefusedError(f"{query.issuer} did not answer with a JSON object") from error
    match answer:
        case {"access_token": str(token)} if _TOKEN.fullmatch(token):
            return answer
        case {"error": str(code), "error_description": str(words)}:
            raise TokenRefusedError(f"{code}: {words}")
        case {"error": str(code)}:
            raise TokenRefusedError(code)
    raise TokenRefusedError(f"{endpoint} answered {response.status}, and no token")


class TokenFile:
    """
    Tokens kept between commands, readable by their owner alone.

    The providers bill by the token that they issue: one is asked for when the last has run out.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> "TokenFile":
        """Give the one in the user's cache directory."""
        try:
            cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:
            cache = Path(os.devnull)  # somebody without a home keeps nothing
        return cls(cache / "keyturn")

    def get(self, query: TokenQuery) -> str | None:
        """Give the token kept for *query*, if it is good for a while."""
        try:
            kept = json.loads(self._path(query).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        match kept:
            case {"access_token": str(token), "expires_at": int() | float() as expires_at}:
                return token if expires_at - _RENEW_BEFORE > time.time() else None
        return None

    def put(self, query: TokenQuery, answer: Mapping[str, Any]) -> None:
        """Keep *answer*, unless it does not say for how long, or there is no place for it."""
        lifetime = answer.get("expires_in")
        if not isinstance(lifetime, int):
            return
        kept = {"access_token": answer["access_token"], "expires_at": time.time() + lifetime}
        path = self._path(query)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial.touch(mode=0o600)
            partial.write_text(json.dumps(kept), encoding="utf-8")
            partial.replace(path)
        except OSError:
            return  # a cache that cannot be written is no reason to fail

    def _path(self, query: TokenQuery) -> Path:
        return self._directory / f"{query.digest}.json"


async def is_still_published(session: ClientSession, issuer: str, token: str) -> bool:
    """
    Tell whether the key of a kept *token* is among its issuer's.

    A development issuer makes new keys at each start; a token of the last run is worth nothing.
    """
    try:
        key_id = UnverifiedToken.parse(token).jws.key_id
        url = await discover(session, issuer, endpoint="jwks_uri", timeout=_TIMEOUT)
        document = await fetch_document(session, url, timeout=_TIMEOUT)
    except InvalidTokenError:
        return True  # no JWT: it is good until it expires
    except JWKSFetchError:
        return False  # asking anew will say what is wrong
    keys = (document.members or {}).get("keys")
    return isinstance(keys, list) and any(
        isinstance(key, dict) and key.get("kid") == key_id for key in keys
    )
