import pytest
from aiohttp import ClientSession

from server.jwks.discovery import discover
from server.jwks.document import JWKSFetchError
from tests.jwks.conftest import OPENID, RFC8414, Endpoint

KEYS = "https://issuer.example/keys"


async def test_metadata_is_looked_for_where_rfc_8414_puts_it(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": KEYS})

    assert await discover(session, endpoint.base, endpoint="jwks_uri", timeout=5) == KEYS
    assert endpoint.asked == [RFC8414]


async def test_an_issuer_with_a_path_has_its_metadata_in_two_places(
    session: ClientSession, endpoint: Endpoint
) -> None:
    issuer = endpoint.base + "tenant/"
    endpoint.gives("/tenant" + OPENID, {"issuer": issuer, "jwks_uri": KEYS})

    await discover(session, issuer, endpoint="jwks_uri", timeout=5)

    assert endpoint.asked == [RFC8414 + "/tenant", "/tenant" + OPENID]


async def test_metadata_that_names_another_issuer_is_refused(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": "https://evil.example/"})
    endpoint.gives(OPENID, {"issuer": 5})

    with pytest.raises(JWKSFetchError, match="names another issuer"):
        await discover(session, endpoint.base, endpoint="jwks_uri", timeout=5)


async def test_a_missing_slash_is_told_of_by_name(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(OPENID, {"issuer": endpoint.base})

    with pytest.raises(JWKSFetchError, match="slash included"):
        await discover(session, endpoint.base.rstrip("/"), endpoint="jwks_uri", timeout=5)


@pytest.mark.parametrize(
    "uri", [..., None, 5, "http://issuer.example/keys", "file:///keys", "https://x/" + "x" * 2048]
)
async def test_what_the_first_document_does_not_say_the_second_may(
    session: ClientSession, endpoint: Endpoint, uri: object
) -> None:
    named = {} if uri is ... else {"jwks_uri": uri}
    endpoint.gives(RFC8414, {"issuer": endpoint.base, **named})
    endpoint.gives(OPENID, {"issuer": endpoint.base, "jwks_uri": KEYS})

    assert await discover(session, endpoint.base, endpoint="jwks_uri", timeout=5) == KEYS


async def test_the_pause_that_an_issuer_asks_for_is_handed_on(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.sends(RFC8414, status=404)
    endpoint.sends(OPENID, status=503, headers={"Retry-After": "17"})

    with pytest.raises(JWKSFetchError) as failed:
        await discover(session, endpoint.base, endpoint="jwks_uri", timeout=5)

    assert failed.value.retry_after == 17


async def test_metadata_that_names_nobody_is_told_of(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {})

    with pytest.raises(JWKSFetchError, match="does not name its issuer"):
        await discover(session, endpoint.base, endpoint="jwks_uri", timeout=5)
