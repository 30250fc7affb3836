"""What others have signed: the examples of the RFCs, and Wycheproof's vectors where they are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.oauth.errors import InvalidTokenError
from server.oauth.jose import decode_base64url, parse_compact
from server.oauth.jwk_set import parse_jwks, secret_key_set
from server.oauth.keys import KeySet, canonical_algorithm

CLAIMS = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)

EXAMPLES: dict[str, tuple[dict[str, str], str]] = {
    "RFC 7515 appendix A.1": (
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    "RFC 7515 appendix A.2": (
        {"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
        f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    "RFC 7515 appendix A.3": (
        {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    "RFC 7515 appendix A.4": (
        {"kty": "EC", "crv": "P-521", "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk", "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"},
        "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
    ),
    "RFC 8037 appendix A.4": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
}  # fmt: skip

THUMBPRINTS = {
    "RFC 7638 section 3.1": (
        {"kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    ),
    "RFC 8037 appendix A.3": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    ),
}  # fmt: skip


def is_signed(compact: str, key: dict[str, Any]) -> bool:
    """Tell what the layer of signatures says, whatever the payload is."""
    try:
        keys = keys_of(key)
        jws = parse_compact(compact)
        algorithm = canonical_algorithm(jws.algorithm)
        candidates = keys.candidates(key_id=jws.key_id, algorithm=algorithm)
    except (InvalidTokenError, ValueError):
        return False  # no such token, or no such key
    return any(
        key.verifies(jws.signature, jws.signing_input, algorithm=algorithm) for key in candidates
    )


def keys_of(key: dict[str, Any]) -> KeySet:
    if key["kty"] == "oct":
        return secret_key_set(decode_base64url(key["k"]))
    return parse_jwks({"keys": [key]})


@pytest.mark.parametrize(("key", "compact"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_the_rfcs_have_signed_is_verified(key: dict[str, str], compact: str) -> None:
    assert is_signed(compact, key)


@pytest.mark.parametrize(("key", "compact"), EXAMPLES.values(), ids=EXAMPLES)
def test_what_the_rfcs_have_signed_is_not_verified_once_it_is_changed(
    key: dict[str, str], compact: str
) -> None:
    head, payload, signature = compact.split(".")

    assert not is_signed(f"{head}.{payload[:-2]}AA.{signature}", key)
    assert not is_signed(f"{head}.{payload}.{signature[:8]}AAAA{signature[12:]}", key)


def test_the_unsecured_example_is_not_verified() -> None:
    """RFC 7515 appendix A.5."""
    for key, _ in EXAMPLES.values():
        assert not is_signed(f"eyJhbGciOiJub25lIn0.{CLAIMS}.", key)


@pytest.mark.parametrize(("key", "thumbprint"), THUMBPRINTS.values(), ids=THUMBPRINTS)
def test_a_key_has_the_thumbprint_that_the_rfcs_give_it(
    key: dict[str, str], thumbprint: str
) -> None:
    (read,) = parse_jwks({"keys": [key]}).keys

    assert read.thumbprint == thumbprint


# ---- Wycheproof: testvectors_v1/json_web_signature_test.json of C2SP/wycheproof

# Valid by the file, and not for us: the algorithm is another than the key's own, or the text has a
# character that base64url has not.
EXCLUDED = {346, 347, 350, 351, 372, 373}

# Invalid by the file, which has lost their padding: letter by letter the token of a valid one.
CONTRADICTED = {367: 357, 370: 357}


def vectors(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in json.loads(path.read_text(encoding="utf-8"))["testGroups"]:
        for vector in group["tests"]:
            yield group.get("public") or group["private"], vector


def test_no_vector_of_wycheproof_is_judged_wrongly() -> None:
    path = Path(os.environ.get("WYCHEPROOF_VECTORS", ""))
    if not path.is_file():
        pytest.skip(
            "no Wycheproof vectors: name json_web_signature_test.json in WYCHEPROOF_VECTORS"
        )

    judged = {
        vector["tcId"]: (key, vector, is_signed(vector["jws"], key))
        for key, vector in vectors(path)
    }

    wrong = {
        number
        for number, (_, vector, verified) in judged.items()
        if (vector["result"] == "valid") != verified
    }
    assert len(judged) == 401
    assert wrong == EXCLUDED | CONTRADICTED.keys()
    assert not any(judged[number][2] for number in EXCLUDED)
    for number, valid in CONTRADICTED.items():
        (key, vector, _), (same_key, same, _) = judged[number], judged[valid]
        assert (key, vector["jws"]) == (same_key, same["jws"])
        assert (vector["result"], same["result"]) == ("invalid", "valid")
