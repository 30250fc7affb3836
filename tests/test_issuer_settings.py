import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.config import Config, ConfigError, load
from server.oauth.keys import SECRET_ALGORITHMS
from tests.minting import private_key, public_jwk

SECRET = "correct-horse-battery-staple-0123456789"
KEYS = {"keys": [public_jwk()]}

Read = Callable[..., Config]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(file: str | None = None, **issuer: Any) -> Config:
    issuers = [{"issuer": "https://issuer.example/", **issuer}]
    path = Path(file or "config.yaml")
    path.write_text(json.dumps({"audience": "a", "issuers": issuers}), encoding="utf-8")
    return load(file, {"API_SECRET": SECRET, "SHORT": "s3cret" * 5, "EMPTY": ""})


def faults(**issuer: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(**issuer)
    return refused.value.faults


def key_ids(config: Config) -> list[str | None]:
    keys = config.issuers[0].fixed_keys
    assert keys is not None
    return [key.key_id for key in keys.keys]


def test_keys_are_fetched_unless_they_are_configured() -> None:
    assert read().issuers[0].fixed_keys is None


def test_public_keys_can_stand_in_the_configuration() -> None:
    assert key_ids(read(jwks=KEYS)) == [private_key().kid]


def test_public_keys_can_lie_in_a_file_beside_the_one_that_names_it(here: Path) -> None:
    (here / "etc").mkdir()
    (here / "etc/keys.json").write_text(json.dumps(KEYS), encoding="utf-8")

    assert key_ids(read("etc/config.yaml", jwks="keys.json")) == [private_key().kid]
    assert key_ids(read("etc/config.yaml", jwks=str(here / "etc/keys.json")))


def test_an_address_is_no_file_wherever_the_configuration_lies(here: Path) -> None:
    (here / "etc").mkdir()

    with pytest.raises(ConfigError, match="must be a file: an address goes to jwks_uri"):
        read("etc/config.yaml", jwks="https://issuer.example/keys")


def test_a_file_that_the_environment_names_is_looked_for_from_here(here: Path) -> None:
    (here / "keys.json").write_text(json.dumps(KEYS), encoding="utf-8")
    issuers = [{"issuer": "https://issuer.example/", "audience": "a", "jwks": "keys.json"}]

    assert key_ids(load(None, {"KEYTURN__ISSUERS": json.dumps(issuers)}))


def test_an_unfit_key_among_good_ones_is_left_out() -> None:
    config = read(jwks={"keys": [public_jwk(), {"kty": "oct", "k": "AAAA", "kid": "leak"}]})

    assert key_ids(config) == [private_key().kid]


@pytest.mark.parametrize(
    ("jwks", "told"),
    [
        ("missing.json", "issuers[0].jwks: missing.json cannot be read: No such file or directory"),
        (".", "issuers[0].jwks: . cannot be read: Is a directory"),
        ("config.txt", "issuers[0].jwks: config.txt is no JSON object"),
        ({}, "issuers[0].jwks: has no array of keys"),
        ({"keys": []}, "issuers[0].jwks: has no usable key"),
        (
            {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "leak"}, 5]},
            "issuers[0].jwks: has no usable key (leak: it holds private or symmetric material; one without kid: it is no object)",
        ),
        (
            "https://issuer.example/keys",
            "issuers[0].jwks: must be a file: an address goes to jwks_uri",
        ),
        ("large.json", "issuers[0].jwks: large.json is larger than 262144 bytes"),
        ("single.json", "issuers[0].jwks: single.json has no array of keys"),
        (None, "issuers[0].jwks: must be a mapping with keys, or the path of a file with one"),
        (5, "issuers[0].jwks: must be a mapping with keys, or the path of a file with one"),
    ],
    ids=str,
)
def test_keys_that_cannot_be_read_are_a_fault(here: Path, jwks: object, told: str) -> None:
    (here / "config.txt").write_text("[]", encoding="utf-8")
    (here / "large.json").write_text(" " * 300_000, encoding="utf-8")
    (here / "single.json").write_text(json.dumps(public_jwk()), encoding="utf-8")

    assert faults(jwks=jwks) == [told]


def test_a_secret_comes_from_the_environment_and_takes_its_algorithms_along() -> None:
    issuer = read(secret_env="API_SECRET").issuers[0]

    assert issuer.fixed_keys is not None
    assert issuer.policy.algorithms == SECRET_ALGORITHMS
    assert SECRET not in repr(issuer)


def test_an_issuer_with_a_secret_may_be_held_to_one_algorithm() -> None:
    issuer = read(secret_env="API_SECRET", algorithms=["HS512"]).issuers[0]

    assert issuer.policy.algorithms == {"HS512"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"secret_env": "NOWHERE"}, "issuers[0].secret_env: must name a variable that the environment has"),
        ({"secret_env": "EMPTY"}, "issuers[0].secret_env: EMPTY: a secret has 256 bits at least, not 0"),
        ({"secret_env": "SHORT"}, "issuers[0].secret_env: SHORT: a secret has 256 bits at least, not 240"),
        ({"secret_env": 5}, "issuers[0].secret_env: must name a variable that the environment has"),
        ({"secret_env": "API_SECRET", "algorithms": ["HS256", "RS256"]}, "issuers[0].algorithms: RS256: for public keys, not the secret of secret_env"),
        ({"algorithms": ["HS256", "RS256"]}, "issuers[0].algorithms: HS256: for a secret, which secret_env names"),
        ({"jwks": KEYS, "algorithms": ["HS512"]}, "issuers[0].algorithms: HS512: for a secret, which secret_env names"),
        ({"jwks": KEYS, "secret_env": "API_SECRET"}, "issuers[0].secret_env: must not stand beside jwks"),
        ({"jwks": KEYS, "jwks_uri": "https://issuer.example/keys"}, "issuers[0].jwks: must not stand beside jwks_uri"),
        ({"secret_env": "API_SECRET", "jwks_uri": "https://issuer.example/keys"}, "issuers[0].secret_env: must not stand beside jwks_uri"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_a_secret_that_cannot_be_used_is_a_fault(settings: dict[str, Any], told: str) -> None:
    assert faults(**settings) == [told]
