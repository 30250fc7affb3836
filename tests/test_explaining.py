from typing import Any

import pytest

from server.config import Config
from server.explaining import Explanation, explain, find_row, verdict
from server.jwks.fixed_key_set import FixedKeySet
from server.oauth.access_token import AccessToken
from server.oauth.errors import AuthError, KeysUnavailableError, Reason
from server.oauth.scope import ScopeRequirement, authenticated, claim_equals, scope
from server.protector import Issuer, ResourceProtector
from server.routes import ROUTES
from server.token_cache import TokenCache, TokenCacheSettings
from tests.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    claims,
    header,
    key_set,
    policy,
    private_key,
    public_jwk,
    sign,
    token,
    unsigned,
)
from tests.oauth.test_jose_fuzz import CORPUS

EC = private_key("EC")


def config(**issuer: Any) -> Config:
    where = {} if issuer else {"jwks": {"keys": [public_jwk(), public_jwk(EC)]}}
    trusted = {"issuer": ISSUER, "audience": AUDIENCE, **where, **issuer}
    return Config.model_validate({"issuers": [trusted], "routes": "server.routes:ROUTES"})


async def explained(
    text: str, requirement: ScopeRequirement = authenticated, *, offline: bool = True, **issuer: Any
) -> Explanation:
    return await explain(config(**issuer), text, requirement, offline=offline, clock=lambda: NOW)


def lines_with(mark: str, explanation: Explanation) -> list[str]:
    return [" ".join(each.split()[1:]) for each in explanation.checks if each.startswith(mark)]


async def test_of_a_sound_token_each_check_says_what_it_found() -> None:
    explanation = await explained(token(nbf=NOW - 5), scope("read:messages"))

    assert isinstance(explanation.outcome, AccessToken)
    assert lines_with("ok", explanation) == [
        f"credentials one Bearer token of {len(token(nbf=NOW - 5))} characters",
        "form a compact JWS: alg RS256, kid RSA-main, typ at+jwt",
        'issuer iss "https://issuer.example/"; believed: https://issuer.example/',
        "algorithm alg RS256; allowed: ES256, Ed25519, PS256, RS256",
        "type typ at+jwt; profile jwt",
        "key kid RSA-main: RSA 2048",
        "signature made by that key",
        "kind has no claims of another kind of JWT",
        "required has iss, exp, aud",
        'identity sub "user-1", client_id "client-1", jti "token-1"',
        'audience aud "https://api.example"; this API is https://api.example',
        'scopes scope "read:messages"',
        "times iat 2027-01-15T07:59:50Z (10 s ago), nbf 2027-01-15T07:59:55Z (5 s ago), exp 2027-01-15T09:00:00Z (in 3600 s); leeway 30 s",
        "access asks for scope read:messages",
    ]


REFUSED = {
    "nothing": ("", "credentials no Bearer token"),
    "two": (f"Bearer {token()}, Bearer {token()}", "credentials more than one credential"),
    "one part": ("junk", "form it has not three parts"),
    "no base64url": (token() + "=", "form its signature is not canonical base64url"),
    "no UTF-8": (unsigned(b"\xff"), "form its header is not sound UTF-8"),
    "a surrogate": (unsigned(header(), b'{"a": "\\ud800"}'), "form its payload is not sound UTF-8"),
    "no JSON": (unsigned(header(), b"{"), "form its payload is not JSON"),
    "an array": (unsigned(b"[]"), "form its header is no JSON object"),
    "a member twice": (unsigned(b'{"a": 1, "a": 1}'), "form its header has a member twice"),
    "NaN": (unsigned(header(), b'{"a": NaN}'), "form its payload has a number that is none"),
    "a huge number": (unsigned(header(), b'{"a": 1e999}'), "form its payload has a number out of bounds"),
    "depth": (unsigned(header(), b"[" * 40 + b"]" * 40), "form its payload is nested too deeply"),
    "no alg": (unsigned(header(alg=...)), "form its header has no alg"),
    "alg a number": (unsigned(header(alg=5)), "form its header has alg, but not as text"),
    "a kid of two lines": (unsigned(header(kid="a\nb")), "form its header has a kid that is too long or not printable"),
    "crit": (unsigned(header(crit=["a"])), "form its header has crit, which would change what is verified"),
    "nested": (unsigned(header(cty="JWT")), "form its header announces a nested token"),
    "typ a number": (unsigned(header(typ=5)), "form its typ is no text"),
    "large": ("x" * 9000, "form it is larger than 8 KiB"),
    "another issuer": (token(iss="https://evil.example/"), 'issuer iss "https://evil.example/"; believed: https://issuer.example/'),
    "no issuer": (token(iss=...), "issuer no iss; believed: https://issuer.example/"),
    "unsigned": (unsigned(header(alg="none"), claims()), "algorithm alg none; allowed: ES256, Ed25519, PS256, RS256"),
    "an ID token": (sign(claims(), header(typ="id+jwt")), "type typ id+jwt; profile jwt; at+jwt, JWT or none is wanted"),
    "an unknown key": (sign(claims(), header(kid="b")), "key kid b: the issuer publishes no such key"),
    "a key of another type": (sign(claims(), header(kid=EC.kid)), "key kid EC-main: that key is made for another algorithm"),
    "no key": (sign(claims(), header(alg="Ed25519", kid=...), private_key("OKP")), "key no kid, and there is not exactly one key that fits"),
    "forged": (unsigned(header(), claims()), "signature not made by that key"),
    "a logout token": (token(events={}), "kind has events, as only another kind of JWT has"),
    "a bound token": (token(cnf={"jkt": "x"}), "kind has cnf: it is bound to a key that its sender must prove to have"),
    "no exp": (token(exp=...), "required profile jwt requires exp, which it has not"),
    "no subject": (token(sub=""), 'identity sub "", client_id "client-1", jti "token-1"; each must be text without control characters, of up to 2048, and sub of up to 255'),
    "another audience": (token(aud=["a", "b"]), 'audience aud ["a", "b"]; this API is https://api.example'),
    "no scopes": (token(scope=5), "scopes scope 5; scopes must be text, with spaces between them, or a list of scopes, and not more than 1,000"),
    "expired": (token(exp=NOW - 40, iat=...), "times exp 2027-01-15T07:59:20Z (40 s ago); leeway 30 s; it has expired"),
    "no time": (token(exp=True, iat=...), "times exp true; leeway 30 s; each must be a number below 2**53, and exp must be there"),
    "the end of time": (token(exp=1e300, iat=...), "times exp 1e+300; leeway 30 s; each must be a number below 2**53, and exp must be there"),
    "no scope": (token(), "access asks for scope write:messages; not met: scope write:messages"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED)
async def test_the_check_that_refuses_says_why(text: str, told: str) -> None:
    explanation = await explained(text, scope("write:messages"))

    assert lines_with("REFUSED", explanation) == [told]
    assert isinstance(explanation.outcome, AuthError)
    reached = [each for each in explanation.checks if not each.startswith("-")]
    assert [each.split()[0] for each in reached] == ["ok"] * (len(reached) - 1) + ["REFUSED"]
    assert all("not looked at" in each for each in explanation.checks[len(reached) :])


@pytest.mark.parametrize(("text", "_told"), REFUSED.values(), ids=REFUSED)
async def test_no_signature_and_no_whole_token_is_told(text: str, _told: str) -> None:
    explanation = await explained(text, scope("write:messages"))

    said = "\n".join([*explanation.checks, *verdict(explanation, ROUTES, realm="api")])
    *_, signature = text.split(".")
    assert len(signature) < 10 or signature not in said
    assert len(text) < 10 or text not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "text", [text for text, _ in REFUSED.values()] + list(CORPUS.values()), ids=[*REFUSED, *CORPUS]
)
async def test_it_is_the_decision_of_the_server(text: str) -> None:
    keys = FixedKeySet(ISSUER, key_set(private_key(), EC))
    protector = ResourceProtector(
        [Issuer(policy(), keys)], TokenCache(TokenCacheSettings()), clock=lambda: NOW
    )
    line = text if text.startswith("Bearer ") else f"Bearer {text}"

    explanation = await explained(text, scope("write:messages"))

    with pytest.raises(AuthError) as refused:
        await protector.admit([line], scope("write:messages"))
    assert isinstance(explanation.outcome, AuthError)
    assert explanation.outcome.reason is refused.value.reason
    assert type(explanation.outcome) is type(refused.value)


async def test_a_long_claim_is_cut_short() -> None:
    explanation = await explained(token(sub="x" * 300))

    (line,) = lines_with("REFUSED", explanation)
    assert f'sub "{"x" * 79}…,' in line
    assert "x" * 80 not in line


@pytest.mark.parametrize(
    ("changes", "mark", "told"),
    [
        ({}, "ok", "access asks for scope read:messages"),
        (
            {"scope": "a"},
            "REFUSED",
            "access asks for scope read:messages; not met: scope read:messages",
        ),
        ({"aud": "b"}, "REFUSED", 'audience aud "b"; this API is https://api.example'),
        (
            {"aud": 5},
            "REFUSED",
            "audience aud 5; this API is https://api.example; it must be text or a list of texts",
        ),
        (
            {"nbf": NOW + 60},
            "REFUSED",
            "times iat 2027-01-15T07:59:50Z (10 s ago), nbf 2027-01-15T08:01:00Z (in 60 s), exp 2027-01-15T09:00:00Z (in 3600 s); leeway 30 s; it is not valid yet",
        ),
    ],
    ids=["sound", "scope", "audience", "no audience", "early"],
)
async def test_without_keys_the_claims_are_judged_as_if_it_were_signed(
    changes: dict[str, Any], mark: str, told: str
) -> None:
    explanation = await explained(
        token(**changes), scope("read:messages"), jwks_uri=f"{ISSUER}keys"
    )

    assert lines_with("?", explanation) == [
        "key kid RSA-main: the keys cannot be had: nobody was asked",
        "signature cannot be verified without the key",
    ]
    assert lines_with(mark, explanation)[-1] == told
    assert isinstance(explanation.outcome, KeysUnavailableError)
    said = list(verdict(explanation, ROUTES, realm="api"))
    signed = f"refused: {explanation.reason}" if mark == "REFUSED" else "admitted"
    assert said[0] == f"It cannot be judged without the keys.  If it is signed, it is {signed}."
    assert "HTTP/1.1 503 Service Unavailable" in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"  {token()}\n", None),
        (f"Bearer {token()}", None),
        (f"Authorization: Bearer {token()}", None),
        (f"authorization:bearer   {token()}", None),
        ("Basic dXNlcjpwYXNzd29yZA", Reason.MISSING_TOKEN),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA", Reason.MISSING_TOKEN),
        ("", Reason.MISSING_TOKEN),
    ],
    ids=["token", "scheme", "header", "lower case", "another", "another header", "nothing"],
)
async def test_what_was_pasted_of_a_request_is_understood(text: str, reason: Reason | None) -> None:
    assert (await explained(text)).reason is reason


async def test_of_a_requirement_with_alternatives_all_that_is_not_met_is_told() -> None:
    asked = scope("read:messages", "write:messages") | claim_equals("org", "acme")

    (line,) = lines_with("REFUSED", await explained(token(org="other"), asked))

    assert line.endswith("; not met: scope write:messages, claim org = 'acme'")


async def test_a_token_that_is_admitted_is_told_which_routes_it_opens() -> None:
    explanation = await explained(f"bearer {token(scope='a')}\n")

    assert list(verdict(explanation, ROUTES, realm="api")) == [
        "Admitted.",
        "  GET /api/public: yes, as for anyone",
        "  GET /api/private: yes",
        "  GET /api/private-scoped: no, it asks for scope read:messages",
    ]


async def test_a_token_that_is_refused_is_told_with_the_answer_that_a_client_gets() -> None:
    explanation = await explained(token(scope="a"), scope("read:messages"))

    said = list(verdict(explanation, ROUTES, realm="api"))
    assert said[0] == "Refused: insufficient_scope.  The client is told:"
    assert said[2] == "HTTP/1.1 403 Forbidden"
    assert said[3].startswith('WWW-Authenticate: Bearer realm="api", error="insufficient_scope"')
    assert '"status":403' in said[-1]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("GET /api/private", "/api/private"),
        ("get  /api/private ", "/api/private"),
        ("HEAD /api/private", "/api/private"),
        ("POST /api/private", None),
        ("GET /api/privat", None),
        ("", None),
    ],
)
def test_a_route_is_found_by_its_name(name: str, path: str | None) -> None:
    row = find_row(ROUTES, name)

    assert (row and row.path) == path
