"""How a token is sent and what is answered: RFC 6750, RFC 9110."""

from server.oauth.errors import KeysUnavailableError
from tests.conformance.sending import claiming, lines, sent, sound
from tests.conformance.table import (
    FORBIDDEN,
    GRANTED,
    NO_TOKEN,
    SENT_TWICE,
    Answer,
    Request,
    Row,
    refused,
)  # fmt: skip
from tests.fakes import StaticKeys
from tests.minting import NOW, token

BARE = 'Bearer realm="quickstart"'
INVALID_TOKEN = f'{BARE}, error="invalid_token", error_description="…"'
INVALID_REQUEST = f'{BARE}, error="invalid_request", error_description="…"'
INSUFFICIENT_SCOPE = (
    f'{BARE}, error="insufficient_scope", error_description="…", scope="read:messages"'
)


class _NoKeys(StaticKeys):
    async def find(self, token: object, *, may_ask: bool) -> tuple[()]:
        raise KeysUnavailableError(retry_after=5)


ROWS = (
    Row("RFC 6750 section 2", "header-and-query", "MUST NOT", "A request carries its token in more than one way: header and query",
        sound(path="/api/private?access_token=x"), SENT_TWICE),
    Row("RFC 6750 section 2", "header-and-form", "MUST NOT", "A request carries its token in more than one way: header and form",
        sound(method="POST", path="/form", form=b"access_token=x"), SENT_TWICE),
    Row("RFC 6750 section 2.1", "authorization-header", "MUST", "A token in the `Authorization` header is taken",
        sound(), GRANTED),
    Row("RFC 6750 section 2.1", "no-token-syntax", "-", "A credential is one token in the characters that tokens have",
        lines("Bearer x abc"), refused("malformed"),
        "A malformed credential is 401 where 400 would be allowed too: what stands behind `Bearer` was meant as a token, and a malformed token is `invalid_token`."),
    Row("RFC 6750 section 2.1", "size", "-", "A token may be of any length",
        lines(f"Bearer {'x' * 8193}"), refused("token_too_large"),
        "A token is 8 KiB at most: nobody need be trusted to make us read more."),
    Row("RFC 6750 section 2.2", "form-alone", "MAY", "A token in a form is taken",
        lines(method="POST", path="/form", form=b"access_token=x"), NO_TOKEN,
        "A token in a form is never read as a credential: bodies are kept, forwarded and logged by those who do not know what is in them."),
    Row("RFC 6750 section 2.3", "query-alone", "MAY", "A token in the query is taken",
        Request(list, path=f"/api/private?access_token={token()}"), NO_TOKEN,
        "A token in the query is never read as a credential: addresses stand in logs and histories."),
    Row("RFC 6750 section 3", "challenge-without-credentials", "MUST", "A request without credentials is answered with `WWW-Authenticate`",
        lines(), Answer(401, "refused", "missing_token", challenge=BARE)),
    Row("RFC 6750 section 3", "challenge-bearer", "MUST", "The challenge has the scheme `Bearer`, whatever the client tried, and at least one parameter",
        lines("Basic YTpi"), Answer(401, "refused", "missing_token", challenge=BARE)),
    Row("RFC 6750 section 3", "challenge-for-a-useless-token", "MUST", "A token that does not admit is answered with `WWW-Authenticate`",
        claiming(exp=NOW - 30), refused("expired", INVALID_TOKEN)),
    Row("RFC 6750 section 3", "realm-once", "MUST NOT", "`realm` stands in the challenge more than once",
        lines("Bearer a", "Bearer b"), Answer(400, "refused", "invalid_request", "invalid_request", INVALID_REQUEST)),
    Row("RFC 6750 section 3", "scope-once", "MUST NOT", "`scope` stands in the challenge more than once, or with characters that no scope has",
        Request(lambda: [f"Bearer {token(scope='other')}"], path="/api/private-scoped"),
        Answer(403, "refused", "insufficient_scope", "insufficient_scope", INSUFFICIENT_SCOPE)),
    Row("RFC 6750 section 3", "error", "SHOULD", "A token that was sent and refused is answered with `error`",
        lines("Bearer a.b.c"), refused("malformed", INVALID_TOKEN)),
    Row("RFC 6750 section 3", "description-characters", "MUST NOT", "`error` and `error_description` have quotes, backslashes or what is not printable ASCII",
        lines('Bearer "\\\u00e9'), refused("malformed", INVALID_TOKEN)),
    Row("RFC 6750 section 3.1", "no-code-without-a-token", "SHOULD NOT", "A request without authentication is told an error code",
        lines(""), Answer(401, "refused", "missing_token", challenge=BARE)),
    Row("RFC 6750 section 3.1", "scheme-alone", "SHOULD NOT", "`Bearer` with nothing behind it is told an error code",
        lines("Bearer"), Answer(401, "refused", "missing_token", challenge=BARE)),
    Row("RFC 6750 section 3.1", "two-schemes", "SHOULD", "A request with a second scheme behind a comma is 400 `invalid_request`",
        lines("Bearer a, Bearer b"), SENT_TWICE),
    Row("RFC 6750 section 3.1", "expired", "SHOULD", "An expired token is 401 `invalid_token`",
        claiming(exp=NOW - 30), refused("expired")),
    Row("RFC 6750 section 3.1", "keys-unavailable", "SHOULD", "A token that is not valid is 401 `invalid_token`",
        sound(keys=_NoKeys), Answer(503, "unavailable", "keys_unavailable"),
        "While the issuer's keys cannot be had a token cannot be judged: 503 with `Retry-After`, not 401, or clients would throw sound tokens away."),
    Row("RFC 6750 section 3.1", "too-little-scope", "SHOULD", "A token that grants too little is 403 `insufficient_scope`",
        Request(lambda: [f"Bearer {token(scope='other')}"], path="/api/private-scoped"), FORBIDDEN),
    Row("RFC 6750 section 5.3", "cookie", "MUST NOT", "A token is kept in a cookie that may travel in the clear",
        Request(list, cookie=f"access_token={token()}"), NO_TOKEN),
    Row("RFC 9110 section 9.1", "unknown-method", "SHOULD", "A method that the server does not know is 501",
        lines(method="BREW"), Answer(400, "anonymous"),
        "A method that the HTTP parser does not know is 400 and not 501: the request is not read far enough to tell it from what is no HTTP."),
    Row("RFC 9110 section 11.1", "scheme-in-any-case", "MUST", "The scheme is matched without regard to case",
        sent(token, scheme="bEARER"), GRANTED),
)  # fmt: skip
