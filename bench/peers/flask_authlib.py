"""Flask with Authlib's ResourceProtector, as its documentation has it; served by gunicorn."""

import os
from typing import Any

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask

from bench.peers.answering import answer_for

_cache: dict[str, Any] = {}


class _Validator(JWTBearerTokenValidator):
    def get_jwks(self) -> Any:
        if "jwks" in _cache:
            return _cache["jwks"]
        metadata = requests.get(f"{self.issuer}.well-known/openid-configuration", timeout=5).json()
        _cache["jwks"] = requests.get(metadata["jwks_uri"], timeout=5).json()
        return _cache["jwks"]


_require_oauth = ResourceProtector()
_require_oauth.register_token_validator(
    _Validator(issuer=os.environ["BENCH_ISSUER"], resource_server=os.environ["BENCH_AUDIENCE"])
)

app = Flask(__name__)


@app.get("/api/private-scoped")
@_require_oauth("read:messages")
def scoped() -> dict[str, Any]:
    return answer_for(current_token["sub"], current_token["scope"])
