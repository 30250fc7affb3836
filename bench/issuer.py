"""The one issuer that all servers of the benchmark believe: its keys, its tokens, its documents."""

import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bench.processes import usable_cores

AUDIENCE = "https://bench.example/api"
_CHUNK = 1_000
_LIFETIME = 24 * 3600


@dataclass(frozen=True, slots=True)
class Wording:
    """How the tokens of one issuer read; all are of one length."""

    issuer: str
    key_id: str
    algorithm: str = "RS256"
    scope: str = "read:messages"
    issued_at: int = field(default_factory=lambda: int(time.time()))

    def signing_input(self, number: int, *, key_id: str | None = None) -> str:
        """Give header and payload of token *number*."""
        # Written by hand: a million of them are wanted.
        head = f'{{"typ":"at+jwt","alg":"{self.algorithm}","kid":"{key_id or self.key_id}"}}'
        claims = (
            f'{{"iss":"{self.issuer}","sub":"user-{number:07}","aud":"{AUDIENCE}",'
            f'"client_id":"bench-client","iat":{self.issued_at},'
            f'"exp":{self.issued_at + _LIFETIME},"jti":"{number:012}","scope":"{self.scope}"}}'
        )
        return f"{base64url(head.encode())}.{base64url(claims.encode())}"


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key of the issuer's, as it goes into other processes."""

    key_id: str
    pem: bytes

    @classmethod
    def generate(cls, key_id: str) -> Self:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(key_id, pem)

    @property
    def private(self) -> rsa.RSAPrivateKey:
        key = load_pem_private_key(self.pem, None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("no RSA key")
        return key

    @property
    def public_jwk(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        members = {"n": numbers.n, "e": numbers.e}
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id} | {
            name: base64url(value.to_bytes((value.bit_length() + 7) // 8))
            for name, value in members.items()
        }

    def mint(self, wording: Wording, numbers: range) -> list[str]:
        """Sign the tokens with these *numbers*."""
        private, scheme, digest = self.private, padding.PKCS1v15(), SHA256()
        made = []
        for number in numbers:
            signing_input = wording.signing_input(number)
            signature = private.sign(signing_input.encode(), scheme, digest)
            made.append(f"{signing_input}.{base64url(signature)}")
        return made


def mint_all(key: SigningKey, wording: Wording, count: int) -> Iterator[list[str]]:
    """Sign tokens 0 to *count* on all cores; gives them in order, in chunks."""
    chunks = [range(at, min(at + _CHUNK, count)) for at in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(len(usable_cores()), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_mint_chunk, ((key, wording, chunk) for chunk in chunks))


def _mint_chunk(work: tuple[SigningKey, Wording, range]) -> list[str]:
    key, wording, numbers = work
    return key.mint(wording, numbers)


def invented(wording: Wording, number: int) -> str:
    """Give a token that names a key that nobody has; well formed, and signed by nobody."""
    key_id = f"invented-{number:07}"
    return f"{wording.signing_input(number, key_id=key_id)}.{base64url(os.urandom(256))}"


def publish(path: Path, *keys: SigningKey) -> None:
    """Write the JWK set (RFC 7517) that the issuer answers with from now on."""
    put(path, jwk_set(*keys))


def jwk_set(*keys: SigningKey) -> str:
    """Give the document that publishes *keys*."""
    return json.dumps({"keys": [key.public_jwk for key in keys]})


def put(path: Path, text: str) -> None:
    """Write *text*, so that nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def serve(jwks: Path, port: int) -> None:
    """Answer with the metadata and with what *jwks* holds at the time, until killed."""
    issuer = f"http://127.0.0.1:{port}/"
    metadata = json.dumps(
        {
            "issuer": issuer,
            "jwks_uri": f"{issuer}.well-known/jwks.json",
            "authorization_endpoint": f"{issuer}authorize",
            "token_endpoint": f"{issuer}token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    ).encode()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # (the name that http.server asks for)
            body = jwks.read_bytes() if self.path.endswith("jwks.json") else metadata
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_about: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
