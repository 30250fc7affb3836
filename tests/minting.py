"""Tokens as an issuer would sign them, and as nobody should."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import cache
from typing import Any

from joserfc import jwk, jws

from server.oauth.jwk_set import parse_jwks
from server.oauth.keys import ALGORITHMS, KeySet, VerificationKey
from server.oauth.policy import TokenPolicy

NOW = 1_800_000_000
ISSUER = "https://issuer.example/"
AUDIENCE = "https://api.example"

Signer = Callable[[bytes], bytes]
"""Makes a signature of a signing input."""

_registry = jws.JWSRegistry(algorithms=[*ALGORITHMS, "HS256"], strict_check_header=False)

_KINDS: dict[str, tuple[Any, Any]] = {
    "RSA": ("RSA", 2048),
    "EC": ("EC", "P-256"),
    "P-384": ("EC", "P-384"),
    "OKP": ("OKP", "Ed25519"),
}


def private_key(kind: str = "RSA", name: str = "main") -> jwk.Key:
    """One key for each name: making RSA keys is slow."""
    return _made(kind, name)


@cache
def _made(kind: str, name: str) -> jwk.Key:
    kty, size_or_curve = _KINDS[kind]
    return jwk.JWKRegistry.generate_key(kty, size_or_curve, {"kid": f"{kind}-{name}"})


def key_kind(algorithm: str) -> str:
    return {"R": "RSA", "P": "RSA"}.get(algorithm[0], "OKP" if algorithm[:2] == "Ed" else "EC")


def public_jwk(key: jwk.Key | None = None, **members: Any) -> dict[str, Any]:
    return dict((key or private_key()).as_dict(private=False)) | members


def key_set(*keys: jwk.Key) -> KeySet:
    return parse_jwks({"keys": [public_jwk(key) for key in keys or (private_key(),)]})


def verification_keys(*keys: jwk.Key) -> tuple[VerificationKey, ...]:
    return key_set(*keys).keys


def policy(**settings: Any) -> TokenPolicy:
    return TokenPolicy.model_validate({"issuer": ISSUER, "audience": AUDIENCE, **settings})


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a sound token; a change to ``...`` leaves one out."""
    sound: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "user-1",
        "aud": AUDIENCE,
        "client_id": "client-1",
        "iat": NOW - 10,
        "exp": NOW + 3600,
        "jti": "token-1",
        "scope": "read:messages",
    }
    return {name: value for name, value in (sound | changes).items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    """The header of a sound token; a change to ``...`` leaves a member out."""
    sound = {"alg": "RS256", "typ": "at+jwt", "kid": private_key().kid}
    return {name: value for name, value in (sound | changes).items() if value is not ...}


def signer(algorithm: str, key: jwk.Key) -> Signer:
    """The genuine way to sign with *algorithm*."""
    name = {"EdDSA": "Ed25519"}.get(algorithm, algorithm)
    return lambda signing_input: _registry.get_alg(name).sign(signing_input, key)


def compact(protected: bytes | dict[str, Any], payload: bytes | dict[str, Any], by: Signer) -> str:
    """A token of these two parts, whatever they are, and the signature that *by* makes."""
    signing_input = f"{b64(_octets(protected))}.{b64(_octets(payload))}"
    return f"{signing_input}.{b64(by(signing_input.encode()))}"


def sign(
    payload: dict[str, Any] | bytes, protected: dict[str, Any] | None = None, key: Any = None
) -> str:
    """Sign *payload* as it is, with the header as it is."""
    protected = protected or header()
    return compact(protected, payload, signer(protected["alg"], key or private_key()))


def token(**changes: Any) -> str:
    return sign(claims(**changes))


def unsigned(protected: bytes | dict[str, Any], payload: bytes | dict[str, Any] = b"{}") -> str:
    """A token with a signature of the right size that nobody made."""
    return compact(protected, payload, lambda _: bytes(256))


def _octets(part: bytes | dict[str, Any]) -> bytes:
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
