"""The requests that the rows send, each named by what is unusual in it."""

import hmac
import json
from collections.abc import Callable
from typing import Any

from joserfc import jws

from server.jwks.fixed_key_set import FixedKeySet
from server.oauth.jwk_set import parse_jwks, secret_key_set
from server.protector import KeySource
from tests.conformance.table import Request
from tests.minting import ISSUER, b64, claims, header, private_key, public_jwk, sign, token

SECRET = b"0123456789abcdef0123456789abcdef"  # 256 bits

Signer = Callable[[bytes], bytes]
"""Makes a signature of a signing input."""

_registry = jws.JWSRegistry(algorithms=["RS256"])


def lines(*values: str, **around: Any) -> Request:
    """``Authorization`` lines as they are."""
    return Request(lambda: values, **around)


def sent(compact: Callable[[], str], *, scheme: str = "Bearer", **around: Any) -> Request:
    """The token that *compact* makes."""
    return Request(lambda: [f"{scheme} {compact()}"], **around)


def sound(**around: Any) -> Request:
    return sent(token, **around)


def claiming(**changes: Any) -> Request:
    """A sound token but for these claims."""
    return sent(lambda: token(**changes))


def headed(**changes: Any) -> Request:
    """A sound token but for these header members."""
    return sent(lambda: sign(claims(), header(**changes)))


def with_header_text(text: bytes) -> Request:
    """A sound token but for its header, which is this text."""
    return sent(lambda: _assembled(text, _dumped(claims()), _rs256))


def with_payload_text(text: bytes) -> Request:
    """A sound token but for its payload, which is this text."""
    return sent(lambda: _assembled(_dumped(header()), text, _rs256))


def with_part(index: int, change: Callable[[str], str]) -> Request:
    """A sound token, one of whose three parts was changed after it was signed."""

    def compact() -> str:
        parts = token().split(".")
        parts[index] = change(parts[index])
        return ".".join(parts)

    return sent(compact)


def signed_with(algorithm: str, signer: Signer, **around: Any) -> Request:
    """A token for this algorithm with what *signer* makes for a signature, and no key ID."""

    def compact() -> str:
        return _assembled(_dumped(header(alg=algorithm, kid=...)), _dumped(claims()), signer)

    return sent(compact, **around)


def maced(algorithm: str, signer: Signer) -> Request:
    """A token with a MAC, and an issuer that shares a secret of 256 bits."""
    return signed_with(
        algorithm,
        signer,
        keys=lambda: FixedKeySet(ISSUER, secret_key_set(SECRET)),
        settings={"algorithms": [algorithm]},
    )


def mac(algorithm: str) -> Signer:
    return lambda text: hmac.digest(SECRET, text, f"sha{algorithm[2:]}")


def made_by(kind: str, algorithm: str, **members: Any) -> Request:
    """A sound token of another kind of key, whose JWK has these members; ``...`` drops one."""

    def compact() -> str:
        return sign(claims(), header(alg=algorithm, kid=f"{kind}-main"), private_key(kind))

    return sent(compact, keys=publishing(lambda: public_jwk(private_key(kind)) | members))


def keyed(**members: Any) -> Request:
    """A sound token whose JWK has these members; ``...`` drops one."""
    return sound(keys=publishing(lambda: public_jwk() | members))


def beside(*others: object) -> Request:
    """A sound token, and a set in which *others* stand before its key."""
    return sound(keys=lambda: _key_source(*others, public_jwk()))


def publishing(*jwks: Callable[[], dict[str, Any]]) -> Callable[[], KeySource]:
    """What makes an issuer that publishes these keys and no others; ``...`` drops a member."""

    def keys() -> KeySource:
        made = [make() for make in jwks]
        return _key_source(*({n: v for n, v in each.items() if v is not ...} for each in made))

    return keys


def rsa_jwk(bits: int) -> dict[str, Any]:
    """A modulus of this size, under the name of the sound key."""
    modulus = (1 << (bits - 1)) + 1
    return public_jwk(n=b64(modulus.to_bytes((bits + 7) // 8)))


def _key_source(*members: object) -> KeySource:
    return FixedKeySet(ISSUER, parse_jwks({"keys": list(members), "ttl": "not a member we know"}))


def _assembled(protected: bytes, payload: bytes, signer: Signer) -> str:
    signing_input = f"{b64(protected)}.{b64(payload)}"
    return f"{signing_input}.{b64(signer(signing_input.encode()))}"


def _rs256(signing_input: bytes) -> bytes:
    return _registry.get_alg("RS256").sign(signing_input, private_key())


def _dumped(value: object) -> bytes:
    return json.dumps(value).encode()
