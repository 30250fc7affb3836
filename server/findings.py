"""What each check looks at in one token, in words for ``keyturn explain``."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from server.case import Case, Claimed
from server.oauth.checks import Check
from server.oauth.claims import foreign_claims
from server.oauth.errors import InvalidTokenError, Reason

# Short enough that nothing which could be used as a token is shown whole.
_SHOWN_LENGTH = 80
_LAST_MOMENT = 2**37  # which is in the year 6325


def describe(check: Check, case: Case) -> str:
    """Say what *check* looks at in *case*: what the token has, and what is asked for."""
    return _TEXTS[check](case)


def describe_refusal(check: Check, case: Case) -> str:
    """Say the same of the check that refuses, and what it wants."""
    wanted = _WANTED[check](case) if check in _WANTED else ""
    return f"{describe(check, case)}; {wanted}" if wanted else describe(check, case)


def _credentials(case: Case) -> str:
    if Check.CREDENTIALS in case.found:
        return f"one Bearer token of {case.found[Check.CREDENTIALS]} characters"
    if case.reason is Reason.MISSING_TOKEN:
        return "no Bearer token"
    return "more than one credential"


def _form(case: Case) -> str:
    if Check.FORM in case.found:
        jws = case.token.jws
        named = (("alg", jws.algorithm), ("kid", jws.key_id), ("typ", jws.type))
        told = (f"{name} {_shown(value)}" for name, value in named if value is not None)
        return f"a compact JWS: {', '.join(told)}"
    match case.error:
        case InvalidTokenError(detail=str(detail)):
            return detail
        case InvalidTokenError(reason=Reason.WRONG_TYPE):
            return "its typ is no text"
    return "it is larger than 8 KiB"


def _issuer(case: Case) -> str:
    return f"{_claim(case, 'iss')}; believed: {', '.join(case.believed)}"


def _algorithm(case: Case) -> str:
    allowed = ", ".join(sorted(case.policy.algorithms))
    return f"alg {_shown(case.token.jws.algorithm)}; allowed: {allowed}"


def _type(case: Case) -> str:
    type_ = case.token.jws.type
    told = "no typ" if type_ is None else f"typ {_shown(type_)}"
    return f"{told}; profile {case.policy.profile}"


def _key(case: Case) -> str:
    key_id = case.token.jws.key_id
    told = "no kid" if key_id is None else f"kid {_shown(key_id)}"
    if case.keys:
        return f"{told}: {', '.join(key.strength for key in case.keys)}"
    if case.key_trouble:
        return f"{told}: the keys cannot be had: {case.key_trouble}"
    if case.error and case.error.reason is Reason.KEY_MISMATCH:
        return f"{told}: that key is made for another algorithm"
    if key_id is None:
        return f"{told}, and there is not exactly one key that fits"
    return f"{told}: the issuer publishes no such key"


def _signature(case: Case) -> str:
    if case.key_trouble:
        return "cannot be verified without the key"
    return "made by that key" if Check.SIGNATURE in case.found else "not made by that key"


def _kind(case: Case) -> str:
    if foreign := foreign_claims(case.claims):
        return f"has {', '.join(foreign)}, as only another kind of JWT has"
    if "cnf" in case.claims:
        return "has cnf: it is bound to a key that its sender must prove to have"
    return "has no claims of another kind of JWT"


def _required(case: Case) -> str:
    missing = [name for name in case.policy.required_claims if name not in case.claims]
    if missing:
        return f"profile {case.policy.profile} requires {', '.join(missing)}, which it has not"
    return f"has {', '.join(case.policy.required_claims)}"


def _identity(case: Case) -> str:
    named = [name for name in ("sub", "client_id", "azp", "jti") if name in case.claims]
    return ", ".join(_claim(case, name) for name in named) or "names nobody"


def _audience(case: Case) -> str:
    return f"{_claim(case, 'aud')}; this API is {' or '.join(case.policy.audience)}"


def _scopes(case: Case) -> str:
    named = [name for name in case.policy.scope_claims if name in case.claims]
    return ", ".join(_claim(case, name) for name in named) or "grants no scopes"


def _times(case: Case) -> str:
    told = [_moment(case, name) for name in ("iat", "nbf", "exp") if name in case.claims]
    policy = case.policy
    oldest = f", not older than {policy.max_token_age:g} s" if policy.max_token_age else ""
    return f"{', '.join(told) or 'none'}; leeway {policy.leeway:g} s{oldest}"


def _moment(case: Case, name: str) -> str:
    match case.claims[name]:
        case bool():
            pass
        case int() | float() as number if 0 <= number < _LAST_MOMENT:
            at = datetime.fromtimestamp(number, UTC)
            ago = case.now - number
            distance = f"{ago:.0f} s ago" if ago >= 0 else f"in {-ago:.0f} s"
            return f"{name} {at:%Y-%m-%dT%H:%M:%SZ} ({distance})"
    return _claim(case, name)


def _access(case: Case) -> str:
    return f"asks for {case.requirement}"


def _wanted_type(case: Case) -> str:
    others = "" if case.policy.profile == "at+jwt" else ", JWT or none"
    return f"at+jwt{others} is wanted"


def _wanted_identity(_case: Case) -> str:
    return "each must be text without control characters, of up to 2048, and sub of up to 255"


def _wanted_audience(case: Case) -> str:
    return "it must be text or a list of texts" if case.reason is Reason.INVALID_CLAIM else ""


def _wanted_scopes(case: Case) -> str:
    or_list = "" if case.policy.profile == "at+jwt" else ", or a list of scopes"
    return f"scopes must be text, with spaces between them{or_list}, and not more than 1,000"


def _wanted_times(case: Case) -> str:
    match case.reason:
        case Reason.EXPIRED:
            return "it has expired"
        case Reason.NOT_YET_VALID:
            return "it is not valid yet"
        case Reason.TOO_OLD:
            return "it was issued too long ago"
    needed = "exp and iat" if case.policy.max_token_age else "exp"
    return f"each must be a number below 2**53, and {needed} must be there"


def _wanted_access(case: Case) -> str:
    claimed = Claimed(case.found[Check.SCOPES], case.claims)
    return f"not met: {', '.join(case.requirement.unmet_by(claimed))}"


_WANTED: Mapping[Check, Callable[[Case], str]] = {
    Check.TYPE: _wanted_type,
    Check.IDENTITY: _wanted_identity,
    Check.AUDIENCE: _wanted_audience,
    Check.SCOPES: _wanted_scopes,
    Check.TIMES: _wanted_times,
    Check.ACCESS: _wanted_access,
}

_TEXTS: Mapping[Check, Callable[[Case], str]] = {
    Check.CREDENTIALS: _credentials,
    Check.FORM: _form,
    Check.ISSUER: _issuer,
    Check.ALGORITHM: _algorithm,
    Check.TYPE: _type,
    Check.KEY: _key,
    Check.SIGNATURE: _signature,
    Check.KIND: _kind,
    Check.REQUIRED: _required,
    Check.IDENTITY: _identity,
    Check.AUDIENCE: _audience,
    Check.SCOPES: _scopes,
    Check.TIMES: _times,
    Check.ACCESS: _access,
}


def _claim(case: Case, name: str) -> str:
    if name not in case.claims:
        return f"no {name}"
    return f"{name} {_shown(json.dumps(case.claims[name]))}"  # "5" and 5 are two things


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
