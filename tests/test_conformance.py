"""What the RFCs ask of a resource server, requirement by requirement: tests/conformance."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from structlog.typing import EventDict

from server.config import ConfigError, load
from server.protector import Issuer, ResourceProtector
from server.resources import private_message
from server.routes import ROUTES
from server.token_cache import TokenCache, TokenCacheSettings
from server.web import authenticated, post
from tests.conformance import page
from tests.conformance.table import Answer, Configuration, NoStart, Request, Row
from tests.conftest import MakeClient
from tests.fakes import StaticKeys
from tests.minting import AUDIENCE, ISSUER, NOW, key_set, policy, private_key

REQUESTS = {
    f"{row.name}-{profile}": (row, profile)
    for row in page.ROWS
    for profile in row.profiles
    if isinstance(row.given, Request)
}
CONFIGURATIONS = {row.name: row for row in page.ROWS if isinstance(row.given, Configuration)}
# Characters that RFC 6750 section 3 allows in an error and its description.
ALLOWED = r"[\x20-\x21\x23-\x5b\x5d-\x7e]+"


@pytest.fixture
def protector(row: Row, profile: str) -> ResourceProtector:
    """Two issuers, one of which is the row's."""
    assert isinstance(row.given, Request)
    other = policy(issuer="https://other.example/", profile=profile)
    return ResourceProtector(
        [
            Issuer(policy(profile=profile, **row.given.settings), row.given.keys()),
            Issuer(other, StaticKeys(key_set(private_key("RSA", "other")))),
        ],
        TokenCache(TokenCacheSettings()),
        clock=lambda: NOW,
    )


@pytest.mark.parametrize(("row", "profile"), REQUESTS.values(), ids=REQUESTS)
async def test_a_request_is_answered_as_the_table_says(
    row: Row, profile: str, make_client: MakeClient, log: list[EventDict]
) -> None:
    request, expected = row.given, row.expected
    assert isinstance(request, Request)
    assert isinstance(expected, Answer)
    client = await make_client((*ROUTES, post("/form", private_message, authenticated)))
    headers = [("Authorization", line) for line in request.authorization()]
    if request.cookie is not None:
        headers.append(("Cookie", request.cookie))
    if request.form is not None:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))

    response = await client.request(
        request.method, request.path, headers=headers, data=request.form
    )

    (line,) = [event for event in log if event["event"] == "request"]
    assert (response.status, line["auth.outcome"], line.get("auth.reason")) == (
        expected.status,
        expected.outcome,
        expected.reason,
    )
    await check_challenge(response, expected)


async def check_challenge(response: ClientResponse, expected: Answer) -> None:
    challenge = response.headers.getall("WWW-Authenticate", [])
    body = await response.json(content_type=None)
    assert body.get("error") == expected.error
    assert ("Retry-After" in response.headers) == (expected.outcome == "unavailable")
    if expected.outcome != "refused":
        assert not challenge
        return
    (only,) = challenge
    parameters = re.findall(r'(\w+)="', only)
    assert len(parameters) == len(set(parameters))
    assert (f'error="{expected.error}"' in only) == (expected.error is not None)
    if expected.challenge is not None:
        assert re.fullmatch(re.escape(expected.challenge).replace("…", ALLOWED), only)


@pytest.mark.parametrize("row", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_configuration_is_judged_as_the_table_says(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, expected = row.given, row.expected
    assert isinstance(given, Configuration)
    assert isinstance(expected, NoStart)
    monkeypatch.chdir(tmp_path)
    for name, text in given.files.items():
        Path(name).write_text(text, encoding="utf-8")
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, **given.issuer}
    Path("config.yaml").write_text(json.dumps({"issuers": [issuer]}), encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load(None, given.environ)

    assert refused.value.faults == [expected.fault]


def test_each_row_has_a_name_of_its_own() -> None:
    assert [
        name for name, count in Counter(row.name for row in page.ROWS).items() if count > 1
    ] == []


def test_the_page_is_the_table() -> None:
    assert page.PATH.read_text(encoding="utf-8") == page.render(), "run: make conformance"
