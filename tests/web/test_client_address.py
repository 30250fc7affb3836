from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from pydantic import TypeAdapter, ValidationError
from structlog.typing import EventDict

from server.web.client_address import Proxies, TrustedProxies
from tests.conftest import MakeClient
from tests.fakes import FakeTransport
from tests.raw import send

networks: TypeAdapter[TrustedProxies] = TypeAdapter(TrustedProxies)
proxies = Proxies(networks.validate_python(["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7"]))

PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"


def client(*headers: tuple[str, str], peer: str = PROXY) -> str | None:
    request = make_mocked_request(
        "GET", "/", headers=CIMultiDict(headers), transport=FakeTransport(peer)
    )
    return proxies.client_of(request)


def forwarded_for(*lines: str, peer: str = PROXY) -> str | None:
    return client(*(("X-Forwarded-For", line) for line in lines), peer=peer)


def forwarded(*lines: str, peer: str = PROXY) -> str | None:
    return client(*(("Forwarded", line) for line in lines), peer=peer)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([CLIENT], CLIENT),
        ([f"6.6.6.6, {CLIENT}"], CLIENT),
        ([f"{CLIENT}, 10.1.1.1, 192.0.2.7"], CLIENT),
        ([f"6.6.6.6, {CLIENT}", "10.1.1.1"], CLIENT),
        (["6.6.6.6", CLIENT], CLIENT),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ([f"{CLIENT}:4711"], CLIENT),
        (["2001:db8::9"], "2001:db8::9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["[2001:db8::9]"], "2001:db8::9"),
        (["2001:DB8:0::9, 2001:db8:1::1"], "2001:db8::9"),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"{CLIENT}, ::ffff:10.1.1.1"], CLIENT),
        ([f" ,, {CLIENT} , ,\t"], CLIENT),
        ([""], PROXY),
        (["unknown"], PROXY),
        ([f"{CLIENT}, unknown"], PROXY),
        ([f"{CLIENT}, _hidden, 10.1.1.1"], "10.1.1.1"),
        (["010.0.0.1"], PROXY),
        (["fe80::1%eth0"], PROXY),
        (["[10.1.1.1"], PROXY),
        ([f"{CLIENT} 10.1.1.1"], PROXY),
        (["\u0661.2.3.4"], PROXY),
        (["1" * 5000], PROXY),
    ],
)
def test_the_client_is_the_last_who_is_no_proxy_of_ours(lines: list[str], found: str) -> None:
    assert forwarded_for(*lines) == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"for={CLIENT}"], CLIENT),
        ([f'for="{CLIENT}"'], CLIENT),
        ([f'For="{CLIENT}:4711";Proto=https;by=10.0.0.1'], CLIENT),
        (['FOR="[2001:db8::9]:4711"'], "2001:db8::9"),
        (['for="[2001:db8::9]:_port"'], "2001:db8::9"),
        ([f'for="{CLIENT}", for=10.1.1.1;by=10.2.2.2'], CLIENT),
        ([f"for=6.6.6.6, for={CLIENT}", "for=10.1.1.1"], CLIENT),
        ([r'for="\2\0\3.0.113.9"'], CLIENT),
        ([f"for={CLIENT}, ,"], CLIENT),
        ([f"for={CLIENT};;proto=https;"], CLIENT),
        ([f'for={CLIENT};host="a, for=6.6.6.6"'], CLIENT),
        ([f'for={CLIENT};host="a\\", for=6.6.6.6;x=\\""'], CLIENT),
        ([f"for=6.6.6.6, proto=https;by={CLIENT}"], PROXY),
        (["for=6.6.6.6, for=unknown"], PROXY),
        (["for=6.6.6.6, for=_hidden"], PROXY),
        (["for=6.6.6.6, for="], PROXY),
        (['for=6.6.6.6, for=""'], PROXY),
        ([f"for=6.6.6.6, for={CLIENT};for=6.6.6.6"], PROXY),
        ([f'for=6.6.6.6, for=", for="{CLIENT}"'], PROXY),
        ([f'for=6.6.6.6, for=", for={CLIENT}'], PROXY),
        (['for=6.6.6.6, for="', f"for={CLIENT}"], CLIENT),
        (["for=6.6.6.6, nonsense"], PROXY),
        (["for=6.6.6.6 for=7.7.7.7"], PROXY),
    ],
)
def test_the_client_is_who_the_last_of_our_proxies_names(lines: list[str], found: str) -> None:
    assert forwarded(*lines) == found


def test_of_two_headers_that_do_not_agree_neither_is_believed() -> None:
    says = ("X-Forwarded-For", CLIENT)

    assert client(says, ("Forwarded", f"for={CLIENT}")) == CLIENT
    assert client(says, ("Forwarded", "for=6.6.6.6")) == PROXY
    assert client(says, ("Forwarded", "rubbish")) == PROXY
    assert client(says, ("Forwarded", "")) == CLIENT


def test_who_is_no_proxy_is_not_asked() -> None:
    assert forwarded_for("6.6.6.6", peer=CLIENT) == CLIENT
    assert forwarded_for("6.6.6.6", peer=f"::ffff:{CLIENT}") == CLIENT
    assert forwarded_for("6.6.6.6", peer="fe80::1%eth0") == "fe80::1"
    assert forwarded_for("6.6.6.6", peer="") is None
    assert forwarded_for(CLIENT, peer=f"::ffff:{PROXY}") == CLIENT


lies = st.text() | st.lists(
    st.sampled_from([*'",;=\\ []:', "for=", "6.6.6.6", "10.1.1.1", "2001:db8:1::1", CLIENT, "é"])
).map("".join)


@settings(max_examples=60)
@given(st.lists(lies, max_size=3), st.lists(lies, max_size=3))
def test_whatever_is_sent_the_client_is_an_address_and_no_error(
    one: list[str], other: list[str]
) -> None:
    headers = [("X-Forwarded-For", each) for each in one] + [("Forwarded", each) for each in other]

    found = client(*headers)

    assert found is not None
    assert str(ip_address(found)) == found


def appended(lines: Iterable[str], own: str) -> list[str]:
    *before, last = lines
    return [*before, f"{last}, {own}" if last else own]


@settings(max_examples=60)
@given(st.lists(lies, min_size=1, max_size=3), st.booleans())
def test_a_client_that_is_no_proxy_cannot_pass_for_another(
    sent: list[str], as_a_line: bool
) -> None:
    def through(own: str) -> list[str]:
        return [*sent, own] if as_a_line else appended(sent, own)

    assert forwarded_for(*through(CLIENT)) == CLIENT
    # What is quoted and never ends may hide the client behind its proxy, and no more.
    assert forwarded(*through(f'for="{CLIENT}:4711"')) in {CLIENT, PROXY}
    said = [("X-Forwarded-For", CLIENT), *(("Forwarded", each) for each in sent)]
    assert client(*said) in {CLIENT, PROXY}


@pytest.mark.parametrize(
    "piece", [" ", ",", ";", '"', "\\", "a", "for=", 'for="', '"\\', "10.1.1.1,", ";for=,", "\t,"]
)
def test_a_long_header_is_read_as_fast_as_it_is_long(piece: str) -> None:
    # Quadratic work on so much would not end within the patience of any test run.
    long = piece * (100_000 // len(piece)) + '"'

    assert forwarded_for(long) == PROXY
    assert forwarded(long) == PROXY


def test_more_elements_than_any_chain_of_proxies_writes_are_not_read() -> None:
    # 64 KiB of them would hold the event loop for a tenth of a second.
    own = f"for={CLIENT}"

    assert forwarded("for=6.6.6.6," * 400 + own) == CLIENT
    assert forwarded("for=6.6.6.6," * 600 + own) == PROXY
    assert forwarded("," * 300, ";" * 300, own) == PROXY


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("10.0.0.1/8", "must be a network, such as 10.0.0.0/8: bits are set behind its prefix"),
        (
            "2001:db8::1/32",
            "must be a network, such as 2001:db8::/32: bits are set behind its prefix",
        ),
        ("10.0.0.0/255.0.0.0", "must be an address, or a network such as 10.0.0.0/8"),
        ("10.0.0.0/", "must be an address, or a network such as 10.0.0.0/8"),
        ("10.0.0.0/33", "must be an address, or a network such as 10.0.0.0/8"),
        ("proxy.internal", "must be an address, or a network such as 10.0.0.0/8"),
        ("fe80::1%eth0", "must be an address, or a network such as 10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "must be written as IPv4"),
        ("", "must be an address, or a network such as 10.0.0.0/8"),
        (10, "must be an address, or a network such as 10.0.0.0/8"),
        (None, "must be an address, or a network such as 10.0.0.0/8"),
    ],
)
def test_what_is_no_network_is_a_fault(given: Any, fault: str) -> None:
    with pytest.raises(ValidationError) as refused:
        networks.validate_python([given])

    (error,) = refused.value.errors()
    assert error["loc"] == (0,)
    assert str(error["ctx"]["error"]) == fault


async def test_the_line_of_a_request_names_the_client_behind_a_proxy(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    behind = await make_client(proxies=networks.validate_python(["127.0.0.0/8"]))

    await behind.get("/api/public", headers={"X-Forwarded-For": f"6.6.6.6, {CLIENT}"})
    await behind.get("/api/private", headers={"Forwarded": f"for={CLIENT}"})
    await behind.get("/nothing")

    assert [each["client.address"] for each in log] == [CLIENT, CLIENT, "127.0.0.1"]


async def test_what_cannot_be_read_leaves_its_line_behind_a_proxy_too(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    behind = await make_client(proxies=networks.validate_python(["127.0.0.0/8"]))

    answer = await send(behind, b"\x16\x03\x01\r\n\r\n")

    assert answer.status == 400
    assert [each["event"] for each in log] == ["request"]
    assert log[0]["client.address"] == "127.0.0.1"


async def test_without_proxies_nobody_is_believed(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    client = await make_client()

    await client.get("/api/public", headers={"X-Forwarded-For": CLIENT})

    assert log[-1]["client.address"] == "127.0.0.1"
