"""What a newcomer is told: calls to paste that show a 200, a 401 and a 403."""

import asyncio

from server.app import Parts
from server.client import TokenQuery, TokenRefusedError, request_token
from server.config import Config
from server.jwks.client import open_session
from server.jwks.journal import Trigger


def dev_query(config: Config, *, scoped: bool = True) -> TokenQuery | None:
    """Ask the development issuer as its first client with scopes, or without; if there is one."""
    for client in config.dev_issuer.clients:
        if bool(client.scopes) is scoped:
            return TokenQuery(
                config.dev_issuer.name, client.client_id, client.client_secret.get_secret_value()
            )
    return None


async def greet(config: Config, parts: Parts) -> list[str]:
    """Give the lines to print, once the keys are there that their tokens need."""
    # Shares the fetch that is under way; a token is of use only when its key is known.
    await asyncio.gather(*(each.refresh(Trigger.START) for each in parts.keys))
    host = "localhost" if config.listen.host == "127.0.0.1" else config.listen.host
    server = f"http://{host}:{config.listen.port}"
    try:
        sound = await _header(dev_query(config))
        unscoped = await _header(dev_query(config, scoped=False))
    except TokenRefusedError as error:
        return [f"keyturn: no token from the development issuer: {error}"]
    lines = ["", f"Keyturn serves {server}. Paste these into another terminal:"]
    if sound:
        lines += ["", "# 200: a valid token", f"curl -i {server}/api/private-scoped {sound}"]
    lines += ["", "# 401: no token", f"curl -i {server}/api/private"]
    if unscoped:
        lines += [
            "",
            "# 403: a valid token without the scope read:messages",
            f"curl -i {server}/api/private-scoped {unscoped}",
        ]
    return [*lines, ""]


async def _header(query: TokenQuery | None) -> str:
    if query is None:
        return ""
    async with open_session() as session:
        answer = await request_token(session, query)
    return f"-H 'Authorization: Bearer {answer['access_token']}'"
