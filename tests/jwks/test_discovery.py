import pytest
from aiohttp import ClientSession

from server.jwks.discovery import discover
from server.jwks.document import JWKSFetchError
from tests.jwks.conftest import OPENID, RFC8414, Endpoint


async def test_metadata_is_looked_for_where_rfc_8414_puts_it(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": "x"})

    assert (await discover(session, endpoint.base, timeout=5))["jwks_uri"] == "x"
    assert endpoint.asked == [RFC8414]


async def test_an_issuer_with_a_path_has_its_metadata_in_two_places(
    session: ClientSession, endpoint: Endpoint
) -> None:
    issuer = endpoint.base + "tenant/"
    endpoint.gives("/tenant" + OPENID, {"issuer": issuer})

    await discover(session, issuer, timeout=5)

    assert endpoint.asked == [RFC8414 + "/tenant", "/tenant" + OPENID]


async def test_metadata_that_names_another_issuer_is_refused(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": "https://evil.example/"})
    endpoint.gives(OPENID, {"issuer": 5})

    with pytest.raises(JWKSFetchError, match="names another issuer"):
        await discover(session, endpoint.base, timeout=5)


async def test_a_missing_slash_is_told_of_by_name(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(OPENID, {"issuer": endpoint.base})

    with pytest.raises(JWKSFetchError, match="slash included"):
        await discover(session, endpoint.base.rstrip("/"), timeout=5)
