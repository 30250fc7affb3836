from pathlib import Path
from typing import Any

import pytest
import yaml

from server.config import Config, ConfigError, load

ROOT = Path(__file__).parent.parent

SOUND = """
audience: https://api.example
issuers:
  - issuer: https://issuer.example/
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str = SOUND, environ: dict[str, str] | None = None, **overrides: Any) -> Config:
    Path("config.yaml").write_text(text, encoding="utf-8")
    return load(None, environ or {}, overrides)


def faults(text: str = SOUND, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(text, environ)
    return refused.value.faults


def test_where_the_file_is_silent_the_defaults_hold() -> None:
    config = read()

    assert config.realm == "quickstart"
    assert config.routes == "server.routes:ROUTES"
    assert (config.listen.host, config.listen.port, config.listen.workers) == ("127.0.0.1", 3010, 1)
    assert config.listen.model_dump(exclude={"host", "port", "workers"}) == {
        "header_timeout": 10,
        "body_timeout": 20,
        "idle_timeout": 75,
        "max_body_size": 1_048_576,
        "max_connections": 10_000,
        "drain_delay": 0,
        "shutdown_timeout": 6,
        "trusted_proxies": (),
    }
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 3012)
    assert config.issuers[0].audience == ("https://api.example",)
    assert config.issuers[0].algorithms == {"RS256", "PS256", "ES256", "Ed25519"}
    assert config.issuers[0].profile == "jwt"
    assert config.issuers[0].leeway == 30
    assert config.issuers[0].scope_claims == ("scope", "scp")
    assert config.jwks.store.get_secret_value() == "memory://"
    assert config.jwks.model_dump(exclude={"store"}) == {
        "refresh_interval": 300,
        "min_refresh_interval": 60,
        "max_refresh_interval": 900,
        "unknown_key_cooldown": 30,
        "max_stale": 3600,
        "timeout": 5,
    }
    assert config.token_cache.size == 10_000
    assert config.cors.origins == ()
    assert (config.logging.format, config.logging.level) == ("auto", "info")
    assert not config.dev_issuer.enabled
    assert config.dev_issuer.clients[0].client_secret.get_secret_value() == "dev-secret"


def test_the_file_beside_the_readme_is_sound() -> None:
    config = load(str(ROOT / "config.yaml"), {})

    assert config.dev_issuer.enabled
    assert config.issuers[0].issuer == config.dev_issuer.name
    assert config.dev_audiences == ("https://quickstarts/api",)


def test_the_file_in_the_documentation_is_sound() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")

    config = read(page.split("```yaml\n")[1].split("```")[0])

    assert config.issuers[0].max_token_age == 86400
    assert config.listen == read().listen, "the documentation shows the defaults"
    assert config.jwks == read().jwks
    assert config.dev_issuer == read().dev_issuer


def test_every_fault_is_told_at_once_with_its_path() -> None:
    told = faults(
        """
        realm: "a\\nb"
        audience: []
        bogus: 1
        listen: { port: 70000, workers: -1, prot: 1 }
        routes: nowhere
        issuers:
          - issuer: http://issuer.example/
            algorithms: [RS256, none]
            leeway: soon
          - { audience: x }
        jwks: { max_stale: 25h, min_refresh_interval: 0 }
        cors: { origins: [example.com] }
        logging: { format: xml }
        dev_issuer: { enabled: true, host: 0.0.0.0 }
        """
    )

    assert sorted(fault.split(":")[0] for fault in told) == [
        "audience",
        "bogus",
        "cors.origins[0]",
        "dev_issuer.host",
        "issuers[0].algorithms[1]",
        "issuers[0].issuer",
        "issuers[0].leeway",
        "issuers[1].issuer",
        "jwks.max_stale",
        "jwks.min_refresh_interval",
        "listen.port",
        "listen.prot",
        "listen.workers",
        "logging.format",
        "realm",
        "routes",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("issuers: [{issuer: https://i.example/}]", ["audience: required, here or with each issuer"]),
        ("audience: a", ["issuers: required"]),
        ("audience: a\nissuers: []", ["issuers: must not be empty"]),
        ("audience: a\naudience: b\n" + SOUND, ["audience: stands there twice", "audience: stands there twice"]),
        (SOUND + "listen: { port: 1, port: 2 }", ["listen.port: stands there twice"]),
        (SOUND + "    leeway: 1s\n    leeway: 2s", ["issuers[0].leeway: stands there twice"]),
        (SOUND + "  - issuer: https://issuer.example/", ["issuers: https://issuer.example/ is listed twice"]),
        ("- a", ["config.yaml: must be a mapping of keys"]),
        ("a: [", ["config.yaml:1:"]),
        ("a: \x01", ["config.yaml: not YAML"]),
        (SOUND + "jwks: { min_refresh_interval: 10m, max_refresh_interval: 5m }", ["jwks.max_refresh_interval: must not be shorter"]),
        (SOUND + "dev_issuer: 5", ["dev_issuer: "]),
        (SOUND + "listen: { host: 0.0.0.0 }\ndev_issuer: { enabled: true }", ["dev_issuer: must not run beside a public listener"]),
        (SOUND + "1: 2", ["[1]: a key is text"]),
        (SOUND + "listen: { header_timeout: 0, body_timeout: 0s, idle_timeout: 2h }", ["listen.header_timeout: must be greater than 0", "listen.body_timeout: must be greater than 0", "listen.idle_timeout: must be less than or equal to 3600"]),
        (SOUND + "listen: { drain_delay: 2h, shutdown_timeout: 0 }", ["listen.drain_delay: must be less than or equal to 3600", "listen.shutdown_timeout: must be greater than 0"]),
        (SOUND + "listen: { max_body_size: -1 }", ["listen.max_body_size: must be greater than or equal to 0"]),
        (SOUND + "listen: { max_body_size: 1MB }", ["listen.max_body_size: write a size such as 256KiB or 1MiB"]),
        (SOUND + "listen: { max_connections: 0 }", ["listen.max_connections: must be greater than or equal to 1"]),
        (SOUND + "listen: { max_connections: yes }", ["listen.max_connections: must be a number"]),
        (SOUND + "listen: 3010", ["listen: must be a mapping of keys"]),
        (SOUND + "listen: { trusted_proxies: ['::1', 10.1.0.0/8] }", ["listen.trusted_proxies[1]: must be a network, such as 10.0.0.0/8: "]),
        (SOUND + "listen: { trusted_proxies: 10.0.0.0/8 }", ["listen.trusted_proxies: must be a list"]),
        (SOUND + "listen:", ["listen: must be a mapping of keys"]),
        (SOUND + "cors: { origins: https://a.example }", ["cors.origins: must be a list"]),
        (SOUND + "    algorithms: RS256", ["issuers[0].algorithms: must be a list"]),
        (SOUND + "routes: server.routes", ["routes: server.routes cannot be loaded"]),
        (SOUND + "realm: ''", ["realm: must be printable ASCII"]),
        (SOUND + "admin: { port: 3010 }", ["admin: must not have the port of listen"]),
        (SOUND + "listen: { port: 3011 }\ndev_issuer: { enabled: true }", ["dev_issuer: must not have the port of listen"]),
        (SOUND + "admin: { port: 3011 }\ndev_issuer: { enabled: true }", ["dev_issuer: must not have the port of admin"]),
        (SOUND + "x: !!timestamp y", ["config.yaml: not YAML"]),
        (SOUND + "x: !!bool y", ["config.yaml: not YAML"]),
        (SOUND + "x: !!int ''", ["config.yaml: not YAML"]),
        (SOUND + "x: 2023-13-45", ["config.yaml: not YAML"]),
        (SOUND + "x: !!int y", ["config.yaml: not YAML"]),
        (SOUND + "x: " + "9" * 5000, ["config.yaml: not YAML"]),
        ("&a [*a]", ["config.yaml: must be a mapping of keys"]),
        (SOUND + "x: &a [*a]", ["x: unknown key"]),
        ("[" * 2000, ["config.yaml"]),
        ("audience: a\ndev_issuer: {enabled: [1]}", ["issuers: required", "dev_issuer.enabled: "]),
    ],
)  # fmt: skip
def test_a_fault_says_where_it_is(text: str, told: list[str]) -> None:
    found = faults(text)

    assert len(found) == len(dict.fromkeys(told))
    for fault, start in zip(found, dict.fromkeys(told), strict=True):
        assert fault.startswith(start)


def test_no_fault_shows_a_value() -> None:
    told = faults(
        SOUND
        + """
dev_issuer:
  clients: [{ client_id: a, client_secret: [s3cret], scopes: s3cret }]
  users: [{ username: [s3cret], password: { s3cret: 1 } }]
"""
    )

    assert len(told) == 4
    assert "s3cret" not in str(told)


def test_an_empty_file_is_no_crash() -> None:
    assert faults("") == ["issuers: required"]


def test_a_named_file_that_is_not_there_is_a_fault(here: Path) -> None:
    for name, environ in (("missing.yaml", {}), (None, {"KEYTURN_CONFIG": "missing.yaml"})):
        with pytest.raises(ConfigError) as refused:
            load(name, environ)
        assert refused.value.faults[0] == "missing.yaml: no such file"


def test_a_file_that_cannot_be_read_is_a_fault(here: Path) -> None:
    Path("binary").write_bytes(b"\xff\xfe")

    for name in (".", "binary"):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(name, {})


def test_a_named_file_goes_before_the_one_that_is_here(here: Path) -> None:
    Path("config.yaml").write_text("bogus: 1", encoding="utf-8")
    Path("a.yaml").write_text(SOUND + "realm: a", encoding="utf-8")
    Path("b.yaml").write_text(SOUND + "realm: b", encoding="utf-8")

    assert load("a.yaml", {"KEYTURN_CONFIG": "b.yaml"}).realm == "a"
    assert load(None, {"KEYTURN_CONFIG": "b.yaml"}).realm == "b"


def test_the_environment_goes_over_the_file() -> None:
    config = read(
        SOUND + "listen: { port: 1, host: localhost }",
        {
            "KEYTURN__LISTEN__PORT": "8080",
            "KEYTURN__REALM": "elsewhere",
            "KEYTURN__TOKEN_CACHE__SIZE": "0",
            "KEYTURN__AUDIENCE": '["a", "b"]',
            "KEYTURN__JWKS__TIMEOUT": "2s",
            "KEYTURN__LISTEN__MAX_BODY_SIZE": "64KiB",
            "KEYTURN__CORS__ORIGINS": '["*"]',
            "KEYTURN__LISTEN__TRUSTED_PROXIES": '["10.0.0.0/8", "::1"]',
            "PATH": "/bin",
        },
    )

    assert (config.listen.port, config.listen.host) == (8080, "localhost")
    assert config.realm == "elsewhere"
    assert config.token_cache.size == 0
    assert config.issuers[0].audience == ("a", "b")
    assert config.jwks.timeout == 2
    assert config.listen.max_body_size == 65_536
    assert config.cors.origins == ("*",)
    assert [str(each) for each in config.listen.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


def test_issuers_can_be_given_as_json() -> None:
    issuers = (
        '[{"issuer": "https://a.example/"}, {"issuer": "https://b.example/", "audience": "b"}]'
    )

    config = read(SOUND, {"KEYTURN__ISSUERS": issuers})

    assert [(each.issuer, each.audience) for each in config.issuers] == [
        ("https://a.example/", ("https://api.example",)),
        ("https://b.example/", ("b",)),
    ]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KEYTURN__LISTEN__PROT", "1", "listen.prot: unknown key (from KEYTURN__LISTEN__PROT)"),
        ("KEYTURN__BOGUS", "1", "bogus: unknown key (from KEYTURN__BOGUS)"),
        ("KEYTURN__", "1", "KEYTURN__: names no key"),
        ("KEYTURN__ISSUERS", "[{", "issuers: not JSON, or a key twice in it (from KEYTURN__ISSUERS)"),
        ("KEYTURN__ISSUERS", '[{"issuer": "a", "issuer": "b"}]', "issuers: not JSON, or a key twice in it (from KEYTURN__ISSUERS)"),
        ("KEYTURN__ISSUERS", "[" * 100_000, "issuers: not JSON, or a key twice in it (from KEYTURN__ISSUERS)"),
        ("KEYTURN__ISSUERS__X", "1", "issuers.x: what stands above it is no mapping (from KEYTURN__ISSUERS__X)"),
        ("KEYTURN__REALM__X", "1", "realm: must be a valid string (from KEYTURN__REALM__X)"),
        ("AUTHLIB_INSECURE_TRANSPORT", "1", "AUTHLIB_INSECURE_TRANSPORT: turns off checks for https; unset it"),
    ],
)  # fmt: skip
def test_a_fault_in_the_environment_names_the_variable(name: str, value: str, told: str) -> None:
    assert faults(SOUND, {name: value}) == [told]


def test_the_quickstarts_two_variables_replace_the_issuers() -> None:
    config = read(
        SOUND + "dev_issuer: { enabled: true }",
        {"ISSUER_BASE_URL": "https://tenant.example.com/", "AUDIENCE": "https://my-api"},
    )

    (issuer,) = config.issuers
    assert (issuer.issuer, issuer.audience) == ("https://tenant.example.com/", ("https://my-api",))
    assert issuer.profile == "jwt"
    assert not config.dev_issuer.enabled


def test_the_quickstarts_two_variables_are_enough() -> None:
    config = load(None, {"ISSUER_BASE_URL": "https://tenant.example.com/", "AUDIENCE": "a"})

    assert config.issuers[0].issuer == "https://tenant.example.com/"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"ISSUER_BASE_URL": "https://a/"},
            "AUDIENCE: must be given together with ISSUER_BASE_URL",
        ),
        ({"AUDIENCE": "a"}, "ISSUER_BASE_URL: must be given together with AUDIENCE"),
    ],
)
def test_one_of_the_two_alone_is_a_fault(environ: dict[str, str], told: str) -> None:
    assert faults(SOUND, environ) == [told]


def test_the_command_line_goes_over_all() -> None:
    config = read(SOUND, {"KEYTURN__LISTEN__PORT": "1"}, listen={"port": "2", "host": "::1"})

    assert (config.listen.port, config.listen.host) == (2, "::1")


@pytest.mark.parametrize(
    ("dev", "name"),
    [
        ("enabled: true", "http://localhost:3011/"),
        ("enabled: 1", "http://localhost:3011/"),
        ("enabled: 'True'", "http://localhost:3011/"),
        ("enabled: true, port: 4011", "http://localhost:4011/"),
        ("enabled: true, issuer: http://127.0.0.1:3011/", "http://127.0.0.1:3011/"),
    ],
)
def test_where_nobody_else_is_named_the_development_issuer_is_believed(dev: str, name: str) -> None:
    config = read(f"audience: a\ndev_issuer: {{ {dev} }}")

    assert [each.issuer for each in config.issuers] == [name] == [config.dev_issuer.name]


def test_an_issuer_hands_on_its_policy() -> None:
    config = read(SOUND + "    jwks_uri: https://issuer.example/keys\n    algorithms: [ES256]")

    assert config.issuers[0].policy.algorithms == {"ES256"}
    assert config.issuers[0].jwks_uri == "https://issuer.example/keys"
    assert "jwks_uri" not in type(config.issuers[0].policy).model_fields


def test_the_development_issuers_tokens_are_for_whom_it_is_believed() -> None:
    text = """
audience: top
issuers:
  - { issuer: https://issuer.example/, audience: theirs }
  - { issuer: "http://localhost:3011/", audience: ours }
dev_issuer: { enabled: true }
"""
    assert read(text).dev_audiences == ("ours",)
    assert read(text.replace("localhost:3011", "localhost:3013")).dev_audiences == ("top",)


def test_a_store_that_makes_no_sense_is_a_fault_that_does_not_show_its_password() -> None:
    told = faults(SOUND + "jwks: { store: 'redis://user:s3cret@' }")

    assert told == ["jwks.store: must be memory:// or redis://host:port/db"]


def test_the_password_of_the_store_is_not_shown() -> None:
    config = read(SOUND, {"KEYTURN__JWKS__STORE": "redis://:s3cret@redis.example:6379/0"})

    assert "s3cret" not in repr(config)


def test_no_secret_is_shown_when_the_configuration_is() -> None:
    config = read(SOUND + yaml.safe_dump({"dev_issuer": {"clients": [{"client_id": "a", "client_secret": "s3cret"}]}}))  # fmt: skip

    assert "s3cret" not in repr(config)
    assert "s3cret" not in str(config.model_dump())
