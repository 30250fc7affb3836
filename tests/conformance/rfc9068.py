"""What an access token in profile at+jwt must be: RFC 9068; and RFC 8414, where it leads."""

from tests.conformance.sending import claiming, headed, lines, sent, signed_with, sound
from tests.conformance.table import (
    FORBIDDEN,
    GRANTED,
    Configuration,
    NoStart,
    Request,
    Row,
    refused,
)  # fmt: skip
from tests.minting import NOW, claims, header, private_key, sign, token

AT_JWT = ("at+jwt",)
JWT = ("jwt",)
INVALID = refused("invalid_claim")

LENIENT = "Profile `jwt` asks only for `iss`, `aud` and `exp`, and takes `typ: JWT` or none: most issuers do not know RFC 9068 yet."
LISTS = "`scope` as a list is taken in profile `jwt`, where some issuers write it so, and refused in profile `at+jwt`."


def bearing(**changes: object) -> Request:
    return Request(lambda: [f"Bearer {token(**changes)}"], path="/api/private-scoped")


ROWS = (
    Row("RFC 9068 section 2.1", "rs256", "MUST", "RS256 is supported",
        sound(), GRANTED),
    Row("RFC 9068 section 2.1", "typ", "MUST", "`typ` is `at+jwt`, with or without `application/`",
        headed(typ="application/at+jwt"), GRANTED),
    Row("RFC 9068 section 2.2", "no-iss", "REQUIRED", "`iss` is there",
        claiming(iss=...), refused("untrusted_issuer")),
    *(
        Row("RFC 9068 section 2.2", f"no-{name.replace('_', '-')}", "REQUIRED", f"`{name}` is there",
            claiming(**{name: ...}), INVALID, profiles=AT_JWT)
        for name in ("exp", "aud", "sub", "client_id", "iat", "jti")
    ),
    Row("RFC 9068 section 2.2", "no-claims-but-three", "REQUIRED", "`sub`, `client_id`, `iat` and `jti` are there",
        claiming(sub=..., client_id=..., iat=..., jti=...), GRANTED, LENIENT, JWT, asks_less=True),
    Row("RFC 9068 section 2.2.1", "authentication", "MAY", "`auth_time`, `acr` and `amr` may be there",
        claiming(auth_time=NOW, acr="0", amr=["pwd"]), GRANTED),
    Row("RFC 9068 section 2.2.3", "scope", "SHOULD", "`scope` is one string, its names apart by blanks",
        bearing(scope="other read:messages"), GRANTED),
    Row("RFC 9068 section 2.2.3", "scope-as-a-list", "SHOULD", "`scope` is no list",
        bearing(scope=["read:messages"]), INVALID, profiles=AT_JWT),
    Row("RFC 9068 section 2.2.3", "scope-as-a-list-in-jwt", "SHOULD", "`scope` is no list",
        bearing(scope=["read:messages"]), GRANTED, LISTS, JWT, asks_less=True),
    Row("RFC 9068 section 4", "typ-jwt", "MUST", "Another `typ` is refused",
        headed(typ="JWT"), refused("wrong_type"), profiles=AT_JWT),
    Row("RFC 9068 section 4", "no-typ", "MUST", "No `typ` at all is refused",
        headed(typ=...), refused("wrong_type"), profiles=AT_JWT),
    Row("RFC 9068 section 4", "typ-in-jwt", "MUST", "Another `typ` is refused",
        headed(typ="JWT"), GRANTED, LENIENT, JWT, asks_less=True),
    Row("RFC 9068 section 4", "iss", "MUST", "`iss` is exactly the issuer's name",
        claiming(iss="https://issuer.example"), refused("untrusted_issuer")),
    Row("RFC 9068 section 4", "aud", "MUST", "A token whose `aud` does not name us is refused",
        claiming(aud="https://other.example"), refused("wrong_audience")),
    Row("RFC 9068 section 4", "signature", "MUST", "The signature is checked with the keys that the issuer publishes",
        sent(lambda: sign(claims(), header(), private_key("RSA", "stranger"))), refused("bad_signature")),
    Row("RFC 9068 section 4", "none", "MUST", "`alg: none` is refused",
        signed_with("none", lambda _: b"x"), refused("algorithm_not_allowed")),
    Row("RFC 9068 section 4", "exp", "MUST", "The time is before `exp`",
        claiming(exp=NOW - 30), refused("expired")),
    Row("RFC 9068 section 4", "leeway", "MAY", "A few minutes at most allow for clocks that differ",
        claiming(exp=NOW - 29), GRANTED),
    Row("RFC 9068 section 4", "authorization-claims", "SHOULD", "Claims of authorization are held against the request",
        bearing(scope="write:messages"), FORBIDDEN),
    Row("RFC 9068 section 4", "errors", "MUST", "A token that fails a check is answered with `invalid_token`",
        lines("Bearer e30.e30.e30"), refused("malformed")),
    Row("RFC 8414 section 2", "issuer-without-tls", "MUST", "An issuer's name is an `https` address",
        Configuration({"issuer": "http://issuer.example/"}),
        NoStart("issuers[0].issuer: must be https:// (http:// is for loopback only)")),
    Row("RFC 8414 section 2", "issuer-with-a-query", "MUST", "An issuer's name has no query and no fragment",
        Configuration({"issuer": "https://issuer.example/?a"}),
        NoStart("issuers[0].issuer: must have no query (RFC 8414 section 2)")),
)  # fmt: skip
