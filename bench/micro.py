"""
What single steps cost, in this process: parsing, verifying, admitting, answering, logging.

The best of many rounds, taken in turns: noise only ever adds.
"""

import asyncio
import json
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk, jws

from bench import parts
from bench.issuer import Wording
from bench.processes import start_for_json
from bench.progress import Step
from bench.session import Session

_ROUNDS = 15
_CALLS = 200
_KEYS = {"RS256": ("RSA", 2048), "ES256": ("EC", "P-256"), "Ed25519": ("OKP", "Ed25519")}

Work = dict[str, Callable[[], object]]


def best(work: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Give what one call of each takes at best, in µs."""
    found = dict.fromkeys(work, float("inf"))
    for _ in range(_ROUNDS):
        for name, call in work.items():
            begun = time.perf_counter()
            for _ in range(_CALLS):
                call()
            found[name] = min(found[name], (time.perf_counter() - begun) / _CALLS * 1e6)
    return found


def openssl_verify() -> float:
    """Give what OpenSSL alone takes for one RS256 signature, in µs."""
    return best({"RS256": _openssl("RS256")})["RS256"]


def _openssl(algorithm: str) -> Callable[[], object]:
    said = b"x" * 400
    if algorithm == "RS256":
        rsa_key = rsa.generate_private_key(65537, 2048)
        scheme, digest, public = padding.PKCS1v15(), SHA256(), rsa_key.public_key()
        signature = rsa_key.sign(said, scheme, digest)
        return lambda: public.verify(signature, said, scheme, digest)
    if algorithm == "ES256":
        ec_key = ec.generate_private_key(ec.SECP256R1())
        ec_public, ecdsa = ec_key.public_key(), ec.ECDSA(SHA256())
        ec_signature = ec_key.sign(said, ecdsa)
        return lambda: ec_public.verify(ec_signature, said, ecdsa)
    ed_key = ed25519.Ed25519PrivateKey.generate()
    ed_public, ed_signature = ed_key.public_key(), ed_key.sign(said)
    return lambda: ed_public.verify(ed_signature, said)


class Minter:
    """Signs tokens with one algorithm; *jwks* is what to believe it by."""

    def __init__(self, algorithm: str) -> None:
        kty, size = _KEYS[algorithm]
        self._key: jwk.Key = jwk.JWKRegistry.generate_key(kty, size, {"kid": "main"})  # type: ignore[arg-type]
        self._algorithm = algorithm
        self._wording = Wording(parts.ISSUER, "main", algorithm)
        self.jwks = {"keys": [dict(self._key.as_dict(private=False))]}

    def mint(self, number: int = 0) -> str:
        head, payload = (_decoded(part) for part in self._wording.signing_input(number).split("."))
        return jws.serialize_compact(json.loads(head), payload, self._key, [self._algorithm])


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "==")


def _lenient(compact: str) -> object:
    head, payload, signature = (_decoded(part) for part in compact.split("."))
    return json.loads(head), json.loads(payload), signature


def _joserfc(compact: str) -> object:
    taken = jws.extract_compact(compact.encode())
    return taken.headers(), json.loads(taken.payload)


def _work() -> Work:
    minters = {name: Minter(name) for name in _KEYS}
    small = minters["RS256"].mint()
    work: Work = {
        "parsing as json and base64 do it": lambda: _lenient(small),
        "parsing as joserfc does it": lambda: _joserfc(small),
        "parsing": parts.parsing(small),
        "refusing two parts": parts.refusal("a.b"),
        "refusing 8 KiB of dots": parts.refusal("." * 8192),
        "refusing brackets, as deep as 6 KB can be": parts.refusal(
            f"eyJhbGciOiJFUzI1NiJ9.{'W1tb' * 1900}.AA"
        ),
    }
    for name, minter in minters.items():
        work[f"{name}: OpenSSL alone"] = _openssl(name)
        work[f"{name}: signature and claims"] = parts.verification(minter.mint(), minter.jwks)
    work["a challenge"] = parts.challenge()
    access = parts.verification(small, minters["RS256"].jwks)()
    work["a log line"] = parts.log_line(access)
    return work


async def _admit() -> dict[str, float]:
    """Time admission: a token seen before, and one that is new (RS256)."""
    minter = Minter("RS256")
    config = parts.config(jwks=minter.jwks, profile="at+jwt")
    tokens = [[f"Bearer {minter.mint(number)}"] for number in range(_CALLS)]
    hot = parts.protector(config)
    await hot.admit(tokens[0], parts.NEEDED)
    found = {"admitting, token seen before": float("inf"), "admitting, new token": float("inf")}
    for _ in range(_ROUNDS):
        cold = parts.protector(config)
        for name, admit, sent in (
            ("admitting, token seen before", hot.admit, tokens[:1] * _CALLS),
            ("admitting, new token", cold.admit, tokens),
        ):
            found[name] = min(found[name], await _timed(admit, sent))
    return found


async def _timed(admit: Callable[..., Awaitable[Any]], sent: list[list[str]]) -> float:
    begun = time.perf_counter()
    for authorization in sent:
        await admit(authorization, parts.NEEDED)
    return (time.perf_counter() - begun) / len(sent) * 1e6


class Micro:
    """The step of a run."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def steps(self) -> Iterator[Step]:
        """Give what is to be done."""
        yield Step("microbenchmarks", 8, self._measure)

    def _measure(self) -> None:
        session = self._session
        running = start_for_json(
            "bench.micro", "all", cores=session.cores.server, log=session.work / "micro.log"
        )
        session.found["micro"] = running.finding()


def main(path: str, what: str) -> None:
    found = openssl_verify() if what == "openssl" else best(_work()) | asyncio.run(_admit())
    Path(path).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
