"""What a newcomer is told: calls to paste that show a 200, a 401 and a 403."""

import asyncio
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from server.client import TokenQuery, TokenRefusedError, request_token
from server.config import Config
from server.jwks.connection import open_session
from server.jwks.outcomes import Trigger
from server.oauth.scope import ScopeRequirement
from server.serving import Serving
from server.web.routing import Route


def dev_query(config: Config, *, scoped: bool = True) -> TokenQuery | None:
    """Ask the development issuer as its first client with scopes, or without; if there is one."""
    for client in config.dev_issuer.clients:
        if bool(client.scopes) is scoped:
            return TokenQuery(
                config.dev_issuer.name, client.client_id, client.client_secret.get_secret_value()
            )
    return None


async def greet(config: Config, serving: Serving) -> list[str]:
    """Give the lines to print, once the keys are there that their tokens need."""
    dev = config.dev_issuer.name
    if dev not in {each.issuer for each in config.issuers}:
        return [f"keyturn: nobody believes the development issuer: {dev} is not among issuers"]
    # Shares the fetch that is under way; a token is of use only when its key is known.
    waiting = [each for each in serving.keyturn.keys if not each.is_usable]
    await asyncio.gather(*(each.refresh(Trigger.START) for each in waiting))
    granted = {scope for client in config.dev_issuer.clients for scope in client.scopes}
    try:
        return _calls(
            serving.addresses[0].replace("127.0.0.1", "localhost"),
            _example(serving.keyturn.rows, granted),
            sound=await _header(dev_query(config)),
            unscoped=await _header(dev_query(config, scoped=False)),
        )
    except TokenRefusedError as error:
        return [f"keyturn: no token from the development issuer: {error}"]


def _calls(server: str, example: Route | None, *, sound: str, unscoped: str) -> list[str]:
    lines = ["", f"Keyturn serves {server}."]
    if example is not None:
        call = f"curl -i {server}{example.path}"
        lines += ["Paste these into another terminal:"]
        if sound:
            lines += ["", f"# 200: a valid token with {example.access}", f"{call} {sound}"]
        lines += ["", "# 401: no token", call]
        if unscoped:
            lines += ["", "# 403: a valid token without it", f"{call} {unscoped}"]
    return [*lines, ""]


def _example(rows: Iterable[Route], granted: AbstractSet[str]) -> Route | None:
    """Find a route that shows all three answers: it asks for a scope that is *granted*."""
    for row in rows:
        if row.method == "GET" and "{" not in row.path:
            match row.access:
                case ScopeRequirement(scopes=scopes) if scopes and granted >= set(scopes):
                    return row
    return None


async def _header(query: TokenQuery | None) -> str:
    if query is None:
        return ""
    async with open_session() as session:
        answer = await request_token(session, query)
    return f"-H 'Authorization: Bearer {answer['access_token']}'"
