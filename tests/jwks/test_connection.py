import socket
import ssl
from collections.abc import Sequence

import pytest
from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver, ResolveResult

from server.jwks.connection import is_refused, open_session, tls_context
from server.jwks.document import JWKSFetchError, fetch_document
from tests.jwks.conftest import Endpoint


async def test_the_session_keeps_no_cookie_and_takes_no_proxy_from_the_environment(
    session: ClientSession, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    endpoint.gives("/keys", {}, **{"Set-Cookie": "a=b"})
    # By name: cookies of bare addresses are passed over anyway.
    url = endpoint.base.replace("127.0.0.1", "localhost") + "keys"

    await fetch_document(session, url, timeout=5)
    await fetch_document(session, url, timeout=5)

    assert all("Cookie" not in each for each in endpoint.headers)
    assert endpoint.headers[0]["User-Agent"].startswith("keyturn/")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1",  # noqa: S104
        "ff02::1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",
        "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
    ],
)  # fmt: skip
def test_where_clouds_keep_their_secrets_no_issuer_is(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd12::1", "8.8.8.8", "2600::1"]
)
def test_issuers_are_on_loopback_in_private_networks_and_on_the_internet(address: str) -> None:
    assert not is_refused(address)


class Rebinding(AbstractResolver):
    """A name server that has changed its mind: any name is *addresses* now."""

    def __init__(self, *addresses: str) -> None:
        self._addresses: Sequence[str] = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for each in self._addresses
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize("url", ["https://169.254.169.254/", "https://[fe80::1]/"])
async def test_a_link_local_address_is_refused_when_the_connection_is_made(
    session: ClientSession, url: str
) -> None:
    with pytest.raises(JWKSFetchError, match="no issuer can be"):
        await fetch_document(session, url, timeout=5)


async def test_a_name_that_leads_to_the_metadata_of_a_cloud_is_refused() -> None:
    async with open_session(resolver=Rebinding("169.254.169.254")) as session:
        with pytest.raises(JWKSFetchError, match=r"leads to 169\.254\.169\.254"):
            await fetch_document(session, "https://issuer.example/", timeout=5)


async def test_of_several_addresses_the_harmless_one_is_taken(endpoint: Endpoint) -> None:
    endpoint.gives("/keys", {"keys": []})
    url = endpoint.base.replace("127.0.0.1", "issuer.example") + "keys"

    async with open_session(resolver=Rebinding("169.254.169.254", "127.0.0.1")) as session:
        document = await fetch_document(session, url, timeout=5)

    assert document.members == {"keys": []}


async def test_a_name_that_leads_nowhere_else_is_told_of() -> None:
    async with open_session(resolver=Rebinding("169.254.169.254", "fe80::1")) as session:
        with pytest.raises(JWKSFetchError, match="no issuer can be"):
            await fetch_document(session, "https://issuer.example/", timeout=5)


def test_an_issuer_proves_its_name_over_tls_1_2_or_newer() -> None:
    context = tls_context()

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
