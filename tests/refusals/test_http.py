"""How a token may be sent, and what no client library would send: RFC 6750 section 2, RFC 9112."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import forged, headed, rows

GOOD, JUNK = bearer(forged()), bearer("junk.junk.junk")
TOKEN = forged().encode()

SENT_TWICE: dict[str, list[bytes]] = {
    "the same": [GOOD, GOOD],
    "a good one first": [GOOD, JUNK],
    "a good one last": [JUNK, GOOD],
    "another scheme first": [b"Authorization: Basic YTpi", GOOD],
    "another scheme last": [GOOD, b"Authorization: Basic YTpi"],
    "an empty one first": [b"Authorization:", GOOD],
    "an empty one last": [GOOD, b"Authorization:"],
    "a name in lower case": [GOOD, GOOD.replace(b"Authorization", b"authorization")],
    "far apart": [GOOD, b"Accept: */*", b"X: y", GOOD],
    "three": [GOOD, GOOD, GOOD],
    "two that are empty": [b"Authorization:", b"Authorization:"],
    "two of another scheme": [b"Authorization: Basic YTpi", b"Authorization: Basic YTpi"],
    "in one line": [GOOD + b", Bearer " + TOKEN],
    "in one line without a space": [GOOD + b",Bearer " + TOKEN],
    "in one line, junk first": [bearer("junk, Bearer " + forged())],
    "in one line, another scheme last": [GOOD + b", Basic YTpi"],
    "in one line with a tab": [GOOD + b",\tBearer " + TOKEN],
    "in one line, in lower case": [GOOD + b", bearer " + TOKEN],
    "letters": [b"Authorization: Bearer a, Bearer b"],
}  # fmt: skip


@rows("lines", SENT_TWICE)
async def test_a_token_that_is_sent_twice_is_an_invalid_request(
    door: Door, lines: list[bytes]
) -> None:
    await door.refuses(*lines, reason="invalid_request")


COMMAS = {"two letters": "a,b", "a space behind": "a, b", "at the end": forged() + ",", "at the start": "," + forged(), "two tokens": f"{forged()},{forged()}"}  # fmt: skip


@rows("compact", COMMAS)
async def test_a_comma_makes_a_malformed_token(door: Door, compact: str) -> None:
    await door.refuses_token(compact, reason="malformed")


QUERIES = {
    "a token": b"access_token=" + TOKEN, "nothing": b"access_token=", "no value": b"access_token", "behind others": b"a=b&access_token=x",
    "an encoded name": b"access%5Ftoken=x", "a name encoded whole": b"%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", "twice": b"access_token=x&access_token=y",
    "a good one": b"access_token=" + TOKEN + b"&x=y",
}  # fmt: skip


@rows("query", QUERIES)
async def test_a_token_beside_the_header_in_the_query_is_an_invalid_request(
    door: Door, query: bytes
) -> None:
    for target in (b"/private?" + query, b"/private/scoped?" + query):
        await door.refuses(GOOD, reason="invalid_request", target=target)
    await door.refuses(JUNK, reason="invalid_request", target=b"/private?" + query)


FORM = b"Content-Type: application/x-www-form-urlencoded"

FORMS = {
    "a token": b"access_token=" + TOKEN, "nothing": b"access_token=", "no value": b"access_token", "behind others": b"a=b&access_token=x",
    "before others": b"access_token&a=b", "an encoded name": b"%61ccess%5Ftoken=x", "behind a large field": b"a=" + b"b" * 100_000 + b"&access_token=x",
}  # fmt: skip

FORM_TYPES = [FORM, FORM + b"; charset=utf-8", b"content-type: APPLICATION/X-WWW-FORM-URLENCODED"]


@rows("form", FORMS)
async def test_a_token_beside_the_header_in_a_form_is_an_invalid_request(
    door: Door, form: bytes
) -> None:
    length = b"Content-Length: %d" % len(form)

    for content_type in FORM_TYPES:
        await door.refuses(
            GOOD, content_type, length, reason="invalid_request", method=b"POST", body=form
        )


@rows("query", QUERIES)
async def test_a_token_in_the_query_alone_is_none_and_in_no_log(door: Door, query: bytes) -> None:
    for lines in ([], [b"Authorization: Basic YTpi"]):
        answer = await door.refuses(*lines, reason="missing_token", target=b"/private?" + query)

        for piece in TOKEN.split(b"."):
            assert piece not in answer.raw
            assert piece.decode() not in str(door.log)
    assert "access_token" not in str(door.log)


async def test_a_token_in_a_form_alone_is_none(door: Door) -> None:
    for form in FORMS.values():
        length = b"Content-Length: %d" % len(form)
        await door.refuses(FORM, length, reason="missing_token", method=b"POST", body=form)


SCHEMES = {
    "lower case": b"bearer ", "upper case": b"BEARER ", "mixed case": b"bEaReR ", "two spaces": b"Bearer  ", "many spaces": b"Bearer" + b" " * 100,
    "a space and a tab": b"Bearer \t",
}  # fmt: skip


@rows("scheme", SCHEMES)
async def test_the_scheme_is_known_in_any_case_and_with_any_number_of_spaces(
    door: Door, scheme: bytes
) -> None:
    for name in (b"Authorization:", b"authorization: ", b"AUTHORIZATION: \t "):
        await door.admits(name + scheme + TOKEN)
        await door.refuses(name + scheme + b"junk", reason="malformed")
        await door.refuses(name + scheme.rstrip(), reason="missing_token")


NO_BEARER = {
    "the scheme alone": b"Bearer", "the scheme and a space": b"Bearer ", "the scheme and a tab": b"Bearer\t", "nothing": b"", "spaces": b"   ",
    "a tab": b"\t", "Basic": b"Basic YTpi", "Basic with a token": b"Basic " + TOKEN, "DPoP": b"DPoP " + TOKEN, "Digest": b'Digest username="x"',
    "Negotiate": b"Negotiate " + TOKEN, "Bearerx": b"Bearerx " + TOKEN, "Bearer and a colon": b"Bearer: " + TOKEN, "Bearer and an equals sign": b"Bearer=" + TOKEN,
    "Bearer and a token without a space": b"Bearer" + TOKEN, "Bearer and a tab": b"Bearer\t" + TOKEN, "Bearer and a comma": b"Bearer, Bearer " + TOKEN,
    "a token alone": TOKEN, "Token": b"Token " + TOKEN, "JWT": b"JWT " + TOKEN, "quoted": b'"Bearer ' + TOKEN + b'"', "Basic and Bearer": b"Basic YTpi, Bearer " + TOKEN,
    "a long s": "Bearer\u017f ".encode() + TOKEN, "a no-break space": b"Bearer\xa0" + TOKEN, "a byte order mark": b"\xef\xbb\xbfBearer " + TOKEN,
}  # fmt: skip


@rows("value", NO_BEARER)
async def test_what_is_no_bearer_token_is_told_so_without_an_error(
    door: Door, value: bytes
) -> None:
    await door.refuses(b"Authorization: " + value, reason="missing_token")


ELSEWHERE = {
    "for a proxy": b"Proxy-Authorization: Bearer " + TOKEN, "forwarded": b"X-Forwarded-Authorization: Bearer " + TOKEN,
    "original": b"X-Original-Authorization: Bearer " + TOKEN, "a cookie": b"Cookie: access_token=" + TOKEN, "a cookie like the header": b"Cookie: Authorization=Bearer " + TOKEN,
    "an underscore": b"Authorization_: Bearer " + TOKEN, "a field of its own": b"X-Access-Token: " + TOKEN, "a name that is an access token": b"access_token: " + TOKEN,
    "of a gateway": b"X-Amzn-Oidc-Accesstoken: " + TOKEN, "of a proxy": b"X-Auth-Request-Access-Token: " + TOKEN, "a subprotocol": b"Sec-WebSocket-Protocol: bearer, " + TOKEN,
    "a user who is known": b"X-Remote-User: admin", "a certificate": b"X-Client-Cert: admin",
}  # fmt: skip


@rows("line", ELSEWHERE)
async def test_a_token_elsewhere_is_not_read(door: Door, line: bytes) -> None:
    await door.refuses(line, reason="missing_token")
    await door.refuses(line, bearer("junk"), reason="malformed")


NO_HTTP: dict[str, list[bytes]] = {
    "a folded token": [b"Authorization: Bearer", b" " + TOKEN],
    "a folded token with a tab": [b"Authorization: Bearer", b"\t" + TOKEN],
    "a folded field before": [b"X: y", b" z", GOOD],
    "a folded first line": [b" X: y", GOOD],
    "NUL in the token": [bearer(TOKEN[:20] + b"\0" + TOKEN[20:])],
    "NUL behind the token": [GOOD + b"\0"],
    "NUL in a name": [b"Author\0ization: Bearer " + TOKEN],
    "a line feed in the token": [bearer(TOKEN[:20] + b"\n" + TOKEN[20:])],
    "a line feed behind the token": [GOOD + b"\n"],
    "a carriage return in the token": [bearer(TOKEN[:20] + b"\r" + TOKEN[20:])],
    "a line that ends with a line feed": [b"X: y\n" + GOOD],
    "a space before the colon": [b"Authorization : Bearer " + TOKEN],
    "a name with a space": [b"Author ization: Bearer " + TOKEN],
    "no name": [b": Bearer " + TOKEN],
    "no colon": [b"Authorization Bearer " + TOKEN],
    "a name with a bracket": [b"Authorization(: Bearer " + TOKEN],
    "a name that is not ASCII": [b"Authoriz\xe4tion: Bearer " + TOKEN],
    "two hosts": [GOOD, b"Host: other"],
    "two lengths": [GOOD, b"Content-Length: 1", b"Content-Length: 2"],
    "a length and chunks": [GOOD, b"Content-Length: 4", b"Transfer-Encoding: chunked"],
    "chunks and a length": [GOOD, b"Transfer-Encoding: chunked", b"Content-Length: 4"],
    "a length that is negative": [GOOD, b"Content-Length: -1"],
    "a length with a plus": [GOOD, b"Content-Length: +1"],
    "a length in hexadecimal": [GOOD, b"Content-Length: 0x1"],
    "a length with an underscore": [GOOD, b"Content-Length: 1_0"],
    "a length of two numbers": [GOOD, b"Content-Length: 1, 1"],
    "a length that is empty": [GOOD, b"Content-Length:"],
    "chunked twice": [GOOD, b"Transfer-Encoding: chunked, chunked"],
    "chunked and not last": [GOOD, b"Transfer-Encoding: chunked, gzip"],
    "an unknown transfer encoding": [GOOD, b"Transfer-Encoding: xchunked"],
}  # fmt: skip


@rows("lines", NO_HTTP)
async def test_what_is_no_http_is_no_request(door: Door, lines: list[bytes]) -> None:
    for method in (b"GET", b"POST"):
        answer = await door.turns_away(*lines, method=method)

        assert answer.status == 400
        assert door.log[-1]["auth.outcome"] == "anonymous"
        assert "www-authenticate" not in answer.headers
        await door.admits(GOOD)


LARGE_LINES = {
    "a token": bearer(b"s3cr3t" * 3000), "a token of dots": bearer(b"." * 20_000), "a signed token": bearer(headed(x="s3cr3t" * 3000)),
    "another scheme": b"Authorization: Basic " + b"czNjcjN0" * 3000, "a cookie": b"Cookie: access_token=" + b"s3cr3t" * 3000,
    "any field": b"X: " + b"s3cr3t" * 3000, "a name": b"s3cr3t" * 3000 + b": x",
}  # fmt: skip


@rows("line", LARGE_LINES)
async def test_a_line_over_sixteen_kibibytes_is_too_large_and_nobody_quotes_it(
    door: Door, line: bytes
) -> None:
    for lines in ([line], [GOOD, line], [line, GOOD]):
        answer = await door.turns_away(*lines)

        assert answer.status == 431
        assert b"s3cr3t" not in answer.raw
        assert "www-authenticate" not in answer.headers
    await door.admits(GOOD)


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


UNFINISHED: dict[str, list[bytes]] = {
    "a length": [b"Content-Length: 1000000"],
    "a vast length": [b"Content-Length: 999999999999999"],
    "chunks": [b"Transfer-Encoding: chunked"],
    "a form": [b"Content-Length: 1000000", FORM],
    "a form in chunks": [b"Transfer-Encoding: chunked", FORM],
    "a packed body": [b"Content-Length: 1000000", b"Content-Encoding: gzip"],
}
BEGINNINGS = {"nothing": b"", "a little": b"5\r\nabcde\r\n", "much": b"10000\r\n" + b"x" * 65536}


@rows("lines", UNFINISHED)
@rows("beginning", BEGINNINGS)
async def test_who_may_not_is_told_before_the_body_is_there(
    door: Door, lines: list[bytes], beginning: bytes
) -> None:
    sent = {"method": b"POST", "body": beginning}

    await door.refuses(*lines, reason="missing_token", **sent)
    await door.refuses(*lines, JUNK, reason="malformed", **sent)
    await door.refuses(*lines, bearer(headed(kid=...) + "x"), reason="malformed", **sent)


IDLE = {"nothing": b"", "half a line": b"GET /priv", "half a head": b"GET /private HTTP/1.1\r\nHost: api\r\nAuth"}  # fmt: skip


@asynccontextmanager
async def connected(door: Door, beginning: bytes) -> AsyncIterator[asyncio.StreamWriter]:
    _reader, writer = await asyncio.open_connection("127.0.0.1", door.client.server.port)
    writer.write(beginning)
    await writer.drain()
    try:
        yield writer
    finally:
        writer.close()
        await writer.wait_closed()


@rows("beginning", IDLE)
async def test_idle_connections_are_in_nobodys_way(door: Door, beginning: bytes) -> None:
    async with AsyncExitStack() as open_connections:
        for _ in range(200):
            await open_connections.enter_async_context(connected(door, beginning))

        await door.admits(GOOD)
        await door.refuses(reason="missing_token")
    door.hold_calm()


_HEAD = b"POST /private HTTP/1.1\r\nHost: api\r\n" + GOOD + b"\r\n"

# What is sent before the client is gone, and how many requests that makes.
GONE = {
    "before a word": (b"", 0), "in the first line": (b"GET /pri", 0), "in the head": (b"GET /private HTTP/1.1\r\nHost: api\r\nAuthorization: Bea", 0),
    "in a body": (_HEAD + b"Content-Length: 100\r\n\r\nhalf", 1), "in a chunk": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhalf", 1),
    "in a form": (_HEAD + FORM + b"\r\nContent-Length: 100\r\n\r\na=b", 1), "without waiting": (_HEAD + b"\r\n", 1),
    "without waiting to be refused": (b"GET /private HTTP/1.1\r\nHost: api\r\n" + JUNK + b"\r\n\r\n", 1),
}  # fmt: skip


@pytest.mark.parametrize("abruptly", [True, False], ids=["abruptly", "orderly"])
@rows(("beginning", "requests"), GONE)
async def test_a_client_that_goes_away_leaves_one_line_and_no_fault(
    door: Door, beginning: bytes, requests: int, abruptly: bool
) -> None:
    async with connected(door, beginning) as writer:
        if abruptly:
            writer.transport.abort()
    assert (await door.ask(GOOD)).status == 200

    await door.client.server.close()

    events = [each["event"] for each in door.log]
    assert events == ["request"] * (requests + 1)
    door.hold_calm()
