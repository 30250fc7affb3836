"""FastAPI with PyJWT and its PyJWKClient, as their documentation has it; served by uvicorn."""

import os
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from bench.peers.answering import answer_for

_ISSUER = os.environ["BENCH_ISSUER"]

app = FastAPI()
_keys = jwt.PyJWKClient(f"{_ISSUER}.well-known/jwks.json", cache_keys=True)
_bearer = HTTPBearer()


# A coroutine, as in FastAPI's tutorial: a plain function would cost a thread for each request.
async def _claims(
    asked: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)],
) -> dict[str, Any]:
    token = credentials.credentials
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            audience=os.environ["BENCH_AUDIENCE"],
            issuer=_ISSUER,
            options={"require": ["exp"]},
        )
    except jwt.PyJWTError as error:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from error
    granted = claims.get("scope", "").split(" ")
    if not set(asked.scopes) <= set(granted):
        raise HTTPException(403)
    return claims


@app.get("/api/private-scoped")
async def scoped(
    claims: Annotated[dict[str, Any], Security(_claims, scopes=["read:messages"])],
) -> dict[str, Any]:
    return answer_for(claims["sub"], claims["scope"])
