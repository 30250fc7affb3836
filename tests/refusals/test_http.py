"""How a token may be sent, and what no client library would send: RFC 6750 section 2, RFC 9112."""

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
