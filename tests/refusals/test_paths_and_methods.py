"""No other way to write a path or a method has a weaker rule: RFC 3986 section 6, RFC 9110."""

import pytest

from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import forged, rows

GOOD, JUNK = bearer(forged()), bearer("junk.junk.junk")

SAME_PATH = {
    "the whole address": b"http://api/private", "another host's address": b"http://evil.example/private", "an encoded letter": b"/%70rivate",
    "a query": b"/private?x=y", "an empty query": b"/private?", "a fragment": b"/private#x", "encoded whole": b"/%70%72%69%76%61%74%65",
}  # fmt: skip

OTHER_PATHS = {
    "upper case": b"/PRIVATE", "a slash behind": b"/private/", "two slashes": b"//private", "two slashes behind": b"/private//", "a parameter": b"/private;x",
    "a parameter before": b"/;x/private", "a dot": b"/./private", "dots": b"/open/../private", "encoded dots": b"/open/%2e%2e/private", "dots and an encoded slash": b"/open%2f..%2fprivate",
    "dots encoded twice": b"/open/%252e%252e/private", "an encoded slash": b"/%2fprivate", "an encoded slash behind": b"/private%2f", "a backslash": b"/open\\..\\private",
    "an encoded backslash": b"/open%5c..%5cprivate", "an encoded NUL": b"/private%00", "NUL and a suffix": b"/private%00.css", "a suffix": b"/private.json", "a space": b"/private%20",
    "a tab": b"/private%09", "a line feed": b"/private%0a", "an encoded question mark": b"/private%3fx", "overlong dots": b"/open/%c0%ae%c0%ae/private", "full-width letters": "/\uff50rivate".encode(),
    "bytes that are no text": b"/private%ff", "three slashes": b"///private", "dots behind": b"/private/..", "dots to the root": b"/../../private", "an asterisk": b"*",
    "the scoped one, by way of the other": b"/private/../private/scoped", "the scoped one with two slashes": b"/private//scoped", "a percent sign": b"/private%", "a broken escape": b"/private%zz",
}  # fmt: skip


@rows("target", SAME_PATH)
async def test_a_path_in_other_words_has_the_same_rule(door: Door, target: bytes) -> None:
    await door.refuses(reason="missing_token", target=target)
    await door.refuses(JUNK, reason="malformed", target=target)
    await door.admits(GOOD, target=target)


@rows("target", OTHER_PATHS)
async def test_a_path_that_is_almost_one_of_ours_never_has_a_weaker_rule(
    door: Door, target: bytes
) -> None:
    answer = await door.turns_away(target=target)

    assert answer.status in {400, 401, 404}
    await door.admits(GOOD)


async def test_head_has_the_rule_of_get(door: Door) -> None:
    await door.refuses(reason="missing_token", method=b"HEAD")
    await door.refuses(JUNK, reason="malformed", method=b"HEAD")
    unscoped = bearer(forged())
    await door.admits(unscoped, method=b"HEAD")


OTHER_METHODS = [b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"PURGE", b"LOCK", b"SUBSCRIBE", b"M-SEARCH"]  # fmt: skip


@pytest.mark.parametrize("method", OTHER_METHODS, ids=bytes.decode)
async def test_a_method_that_a_route_lacks_is_not_allowed(door: Door, method: bytes) -> None:
    for lines in ([], [GOOD], [JUNK]):
        answer = await door.turns_away(*lines, method=method)

        assert answer.status == 405
        assert answer.headers["allow"] == "GET,HEAD,POST"
        assert door.log[-1]["auth.outcome"] == "anonymous"


UNKNOWN_METHODS = [b"FOO", b"get", b"Get", b"GETT", b"GE", b"G\0T", b"GET\t/private", b"\xff"]


@pytest.mark.parametrize("method", UNKNOWN_METHODS, ids=ascii)
async def test_a_method_that_http_does_not_know_is_no_request(door: Door, method: bytes) -> None:
    for lines in ([], [GOOD]):
        assert (await door.turns_away(*lines, method=method)).status == 400


OVERRIDES = [b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Prefix"]  # fmt: skip


@pytest.mark.parametrize("name", OVERRIDES, ids=bytes.decode)
async def test_no_field_takes_the_place_of_method_or_path(door: Door, name: bytes) -> None:
    for value in (b"GET", b"HEAD", b"OPTIONS", b"/open"):
        line = name + b": " + value
        await door.refuses(line, reason="missing_token")
        await door.refuses(line, reason="missing_token", method=b"POST")
        assert (await door.turns_away(line, GOOD, method=b"DELETE")).status == 405


async def test_what_looks_like_a_preflight_opens_nothing(door: Door) -> None:
    origin = [b"Origin: http://localhost:3000", b"Access-Control-Request-Method: GET"]

    assert (await door.turns_away(*origin, GOOD, method=b"OPTIONS")).status == 405
    for method in (b"GET", b"HEAD", b"POST"):
        await door.refuses(*origin, reason="missing_token", method=method)
