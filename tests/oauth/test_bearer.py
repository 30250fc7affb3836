import pytest

from server.oauth.bearer import bearer_token
from server.oauth.errors import InvalidRequestError, MissingTokenError


@pytest.mark.parametrize(
    "line",
    ["Bearer abc", "bearer abc", "BEARER abc", "Bearer  abc", " Bearer abc ", "bEaReR   abc\t"],
)
def test_the_scheme_is_matched_without_regard_to_case_and_blanks(line: str) -> None:
    assert bearer_token([line]) == "abc"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["  "],
        ["Bearer"],
        ["Bearer "],
        ["Bearer   "],
        ["Basic YTpi"],
        ["Bearerx abc"],
        ["abc"],
        ["Bearer\tabc"],
        ["DPoP abc"],
    ],
)
def test_what_holds_no_bearer_token_counts_as_missing(lines: list[str]) -> None:
    with pytest.raises(MissingTokenError):
        bearer_token(lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["Bearer a", "Bearer b"],
        ["Bearer a", "Bearer a"],
        ["Basic YTpi", "Bearer b"],
        ["", "Bearer a"],
        ["Bearer a, Bearer b"],
        ["Bearer a,Bearer b"],
        ["Bearer a, Basic YTpi"],
        ["Bearer a , bearer   b"],
    ],
)
def test_credentials_sent_twice_are_an_invalid_request(lines: list[str]) -> None:
    with pytest.raises(InvalidRequestError):
        bearer_token(lines)


@pytest.mark.parametrize(
    ("line", "token"),
    [("Bearer a,b", "a,b"), ("Bearer a, b", "a, b"), ("Bearer x abc", "x abc")],
)
def test_a_malformed_token_is_handed_on_to_be_refused_as_a_token(line: str, token: str) -> None:
    assert bearer_token([line]) == token
