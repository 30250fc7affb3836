from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from server.dev_issuer.endpoints import DevIssuer
from server.dev_issuer.settings import DevIssuerSettings
from server.dev_issuer.signing_keys import SigningKeys, generate_key
from tests.fakes import FakeClock

AUDIENCES = ("https://quickstarts/api", "https://other/api")

SETTINGS: dict[str, Any] = {
    "clients": [
        {
            "client_id": "app",
            "client_secret": "s3cret",
            "scopes": ["read:messages", "write:messages"],
        },
        {"client_id": "bare", "client_secret": "s3cret"},
        {"client_id": "odd:näme", "client_secret": "a:b c%", "scopes": ["read:messages"]},
    ],
    "users": [
        {"username": "user@example.com", "password": "pwd", "scopes": ["read:messages", "admin"]}
    ],
}


@pytest.fixture
def settings() -> DevIssuerSettings:
    return DevIssuerSettings.model_validate(SETTINGS)


@pytest.fixture
def signing_keys() -> SigningKeys:
    return SigningKeys(generate_key())


@pytest.fixture
async def issuer(
    aiohttp_client: AiohttpClient,
    settings: DevIssuerSettings,
    signing_keys: SigningKeys,
    clock: FakeClock,
) -> TestClient[Any, Any]:
    issuer = DevIssuer(settings, AUDIENCES, signing_keys, now=clock, sleep=clock.sleep)
    return await aiohttp_client(issuer.app())
