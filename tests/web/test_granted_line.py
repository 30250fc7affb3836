import json
from typing import Any

import structlog
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from server.oauth.access_token import AccessToken, Mandate
from server.oauth.scope import authenticated
from server.web.exchange import EXCHANGE, Exchange
from server.web.granted_line import GrantedLine
from server.web.observation import write_line
from server.web.routing import Served
from tests.fakes import FakeTransport

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)
some = st.none() | texts
mandates = st.builds(Mandate, texts, some, st.just(frozenset[str]()), some, texts)
tokens = st.builds(AccessToken, mandates, some, some, st.just(0.0), st.just("e30"), st.booleans())

no_trace: dict[str, str] = {}
traces = st.just(no_trace) | st.fixed_dictionaries(
    {
        "traceparent": st.from_regex(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", fullmatch=True)
        | st.sampled_from([f"00-{'0' * 32}-{'2' * 16}-01", f"ff-{'1' * 32}-{'2' * 16}-01", '"'])
    }
)

lines = GrantedLine()


def granted(access: AccessToken, **headers: str) -> tuple[web.Request, Exchange]:
    request = make_mocked_request(
        "GET", "/notes/%E2%82%AC?q=1", headers=headers, transport=FakeTransport("2001:db8::1")
    )
    exchange = request[EXCHANGE] = Exchange("id-1", None, is_readable=True)
    exchange.served = Served("GET", "/notes/{name}", authenticated)
    exchange.admit(access)
    return request, exchange


def said(request: web.Request, exchange: Exchange, status: int, seconds: float) -> dict[str, Any]:
    members = lines.render(request, exchange, status, seconds, address="2001:db8::1")
    assert members is not None
    found: dict[str, Any] = json.loads(b"{%b}" % members)
    return found


@given(tokens, st.integers(200, 499), st.floats(0, 1000), traces)
def test_it_says_what_the_line_of_any_request_says(
    access: AccessToken, status: int, seconds: float, trace: dict[str, str]
) -> None:
    request, exchange = granted(access, **{"User-Agent": 'Mozilla "5.0" \\'}, **trace)
    structlog.reset_defaults()
    with capture_logs() as events:
        write_line(request, exchange, status, seconds, address="2001:db8::1")

    found = said(request, exchange, status, seconds)

    (usual,) = events
    assert found == {name: value for name, value in usual.items() if name != "log_level"}


@settings(max_examples=30)
@given(st.lists(mandates, min_size=2, max_size=5))
def test_what_mandates_have_in_common_is_not_mistaken(several: list[Mandate]) -> None:
    for mandate in [*several, *several]:
        access = AccessToken(mandate, "user-1", "token-1", 0.0, "e30")

        found = said(*granted(access), 200, 0.001)

        assert found["auth.issuer"] == mandate.issuer
        assert found.get("auth.client_id") == (mandate.client_id and mandate.client_id[:255])


def test_what_it_has_no_place_for_is_left_to_the_usual_way() -> None:
    mandate = Mandate("https://issuer.example/", None, frozenset(), None, "RS256")
    access = AccessToken(mandate, "\ud800", None, 0.0, "e30")
    plain = AccessToken(mandate, "user-1", None, 0.0, "e30")

    assert lines.render(*granted(access), 200, 0.001, address="::1") is None
    request, exchange = granted(plain)
    assert lines.render(request, exchange, 200, 0.001, address=None) is None
    exchange.served = None
    assert lines.render(request, exchange, 200, 0.001, address="::1") is None


def test_a_trace_keeps_no_line_from_the_short_way() -> None:
    mandate = Mandate("https://issuer.example/", None, frozenset(), None, "RS256")
    access = AccessToken(mandate, "user-1", None, 0.0, "e30")
    traced = granted(access, traceparent=f"00-{'1' * 32}-{'2' * 16}-01")

    found = said(*traced, 200, 0.001)

    assert (found["trace_id"], found["span_id"]) == ("1" * 32, "2" * 16)
