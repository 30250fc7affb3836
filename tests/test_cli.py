import io
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import __version__
from server.cli import main
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import private_key, public_jwk
from tests.minting import token as minted
from tests.processes import ROOT, Ports, Process, free_ports, running

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports()


@pytest.fixture(scope="module")
def issuer(ports: Ports) -> Iterator[Process]:
    with running("issuer", environ=ports.environ) as process:
        process.wait_for("dev_issuer.started")
        yield process


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KEYTURN_CONFIG", raising=False)
    for name, value in ports.environ.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "keyturn"


def test_the_route_table_is_printed_with_who_may(capsys: Capture) -> None:
    assert main(["routes"]) == 0

    assert capsys.readouterr().out == (
        "GET  /api/public          anyone\n"
        "GET  /api/private         any valid token\n"
        "GET  /api/private-scoped  scope read:messages\n"
    )


def test_bad_configuration_is_told_line_by_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYTURN__LISTEN__PORT", "high")
    monkeypatch.setenv("KEYTURN__BOGUS", "1")

    for command in (["check", "--offline"], ["routes"], ["token"], ["serve"], []):
        assert main(command) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert sorted(line.split(":")[0] for line in captured.err.splitlines()) == [
            "bogus",
            "listen.port",
        ]


def test_options_of_serve_work_without_the_word(capsys: Capture) -> None:
    assert main(["--port", "high"]) == main(["serve", "--port", "high"]) == 2
    assert capsys.readouterr().err.count("listen.port: must be a valid integer") == 2


def test_more_workers_than_there_can_be_are_a_fault(capsys: Capture) -> None:
    assert main(["serve", "--workers", "257"]) == 2
    assert capsys.readouterr().err == "listen.workers: must be less than or equal to 256\n"


@pytest.mark.parametrize(
    "arguments", [["--config", "missing.yaml", "routes"], ["routes", "--config", "missing.yaml"]]
)
def test_the_file_is_named_before_or_behind_the_command(
    capsys: Capture, arguments: list[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("missing.yaml: no such file\n")


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert capsys.readouterr().out == f"keyturn {__version__}\n"


def test_an_unknown_command_is_refused(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["fly"])

    assert left.value.code == 2
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_check_offline_asks_nobody(capsys: Capture) -> None:
    assert main(["check", "--offline"]) == 0
    assert capsys.readouterr().out == "The configuration is sound.\n"


def test_check_prints_a_line_for_each_issuer(
    issuer: Process, ports: Ports, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody,) = free_ports(1)
    missing = f"http://localhost:{nobody}/"
    both = [{"issuer": ports.issuer_name}, {"issuer": missing}]
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith(f"{ports.issuer_name}  ok: ")

    monkeypatch.setenv("KEYTURN__ISSUERS", json.dumps(both))

    assert main(["check"]) == 1
    good, bad = capsys.readouterr().out.splitlines()
    assert good.startswith(f"{ports.issuer_name}  ok: ")
    assert bad.startswith(f"{missing}  no keys: ")


def test_check_tells_of_each_key_and_how_long_they_are_good(
    issuer: Process, ports: Ports, capsys: Capture
) -> None:
    assert main(["check"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        rf"{ports.issuer_name}  ok: keys \S+ \(RS256, RSA 2048\); "
        r"states 300 s, kept for 300 s, next refresh after about 240 s",
        line,
    )


def test_check_tells_of_keys_that_are_configured(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwks = [public_jwk(kid="a"), public_jwk(private_key("EC"), kid="b"), {"kid": "c"}]
    issuers = [
        {"issuer": "https://fixed.example/", "algorithms": ["RS256"], "jwks": {"keys": jwks}},
        {"issuer": "https://secret.example/", "secret_env": "API_SECRET"},
    ]
    monkeypatch.setenv("API_SECRET", "s" * 32)
    monkeypatch.setenv("KEYTURN__ISSUERS", json.dumps(issuers))

    assert main(["check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "https://fixed.example/  ok, no network: keys a (RS256, RSA 2048), b (for none of the allowed algorithms, EC P-256); left out: c (its type or curve is not supported)",
        "https://secret.example/  ok, no network: keys one without kid (HS256 HS384 HS512, secret 256 bits)",
    ]


def test_check_tells_of_keys_that_fit_nothing_that_is_allowed(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    jwks = {"keys": [public_jwk(kid="a")]}
    issuers = [{"issuer": "https://fixed.example/", "algorithms": ["ES256"], "jwks": jwks}]
    monkeypatch.setenv("KEYTURN__ISSUERS", json.dumps(issuers))

    assert main(["check"]) == 1
    assert capsys.readouterr().out == (
        "https://fixed.example/  no key for the allowed algorithms: "
        "keys a (for none of the allowed algorithms, RSA 2048)\n"
    )


def test_check_tells_of_a_store_that_cannot_be_used(
    issuer: Process, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody,) = free_ports(1)
    monkeypatch.setenv("KEYTURN__JWKS__STORE", f"redis://:s3cret@127.0.0.1:{nobody}/0")

    assert main(["check"]) == 0, "a store that is dead costs nothing but a warning"

    told = capsys.readouterr().err
    assert told.startswith("keyturn: jwks.store cannot be used, keys come from the issuers alone: ")
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ("nowhere:ROUTES", "routes: nowhere:ROUTES cannot be loaded: ModuleNotFoundError"),
        ("server.routes:NOTHING", "routes: server.routes:NOTHING cannot be loaded: AttributeError"),
        ("server.web:__all__", "routes: 'ACCESS_TOKEN' is no route"),
        ("server:__version__", "routes: '0' is no route"),
    ],
)
def test_a_route_table_that_cannot_be_loaded_is_a_fault(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, routes: str, told: str
) -> None:
    monkeypatch.setenv("KEYTURN__ROUTES", routes)

    assert main(["check", "--offline"]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_a_fault_in_a_users_module_is_told_with_its_place(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_shop.py").write_text("\n\n1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KEYTURN__ROUTES", "broken_shop:ROUTES")

    assert main(["routes"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert "ZeroDivisionError: division by zero" in line
    assert "broken_shop.py:3)" in line


def test_a_table_without_rows_is_printed_as_nothing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty_shop.py").write_text("ROUTES = ()", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KEYTURN__ROUTES", "empty_shop:ROUTES")

    assert main(["routes"]) == 0
    assert capsys.readouterr().out == ""


def test_faults_of_the_routes_are_told_with_the_others(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYTURN__ROUTES", "nowhere:ROUTES")
    monkeypatch.setenv("KEYTURN__LISTEN__PORT", "high")

    assert main(["check"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def token(capsys: Capture, *arguments: str) -> str:
    assert main(["token", *arguments]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    assert captured.err == ""
    (line,) = captured.out.splitlines()
    return line


def test_a_token_is_printed_and_nothing_else(issuer: Process, capsys: Capture) -> None:
    claims = UnverifiedToken.parse(token(capsys)).claims

    assert claims["client_id"] == "keyturn-dev"
    assert claims["scope"] == "read:messages"


def test_a_token_is_kept_until_it_expires(issuer: Process, capsys: Capture, cache: Path) -> None:
    first = token(capsys)

    assert token(capsys) == first
    assert token(capsys, "--scope", "read:messages") != first, "another wish is another token"


def test_a_kept_token_is_its_owners_alone(issuer: Process, capsys: Capture, cache: Path) -> None:
    compact = token(capsys)

    (kept,) = cache.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert all(part not in kept.name for part in compact.split("."))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"access_token": 5}'])
def test_a_damaged_file_is_passed_over(
    issuer: Process, capsys: Capture, cache: Path, damage: str
) -> None:
    token(capsys)
    (kept,) = cache.iterdir()
    kept.write_text(damage, encoding="utf-8")

    assert token(capsys)


def test_a_kept_token_that_runs_out_is_replaced(
    issuer: Process, capsys: Capture, cache: Path
) -> None:
    first = token(capsys)
    (kept,) = cache.iterdir()
    kept.write_text(json.dumps({"access_token": first, "expires_at": 1}), encoding="utf-8")

    assert token(capsys) != first


def test_a_kept_token_of_an_issuer_that_has_new_keys_is_replaced(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = Ports()
    for name, value in ports.environ.items():
        monkeypatch.setenv(name, value)
    kept = []
    for _ in range(2):
        with running("issuer", environ=ports.environ) as process:
            process.wait_for("dev_issuer.started")
            kept.append(token(capsys))

    assert kept[0] != kept[1]


def test_without_a_place_to_keep_it_a_token_is_printed_all_the_same(
    issuer: Process, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    assert token(capsys)


def test_a_users_token_is_asked_for_by_password(issuer: Process, capsys: Capture) -> None:
    compact = token(capsys, "--username", "user@example.com", "--password", "pwd")

    assert UnverifiedToken.parse(compact).claims["sub"] == "user@example.com"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["--client-secret", "wrong"], 1, "keyturn: invalid_client: Client authentication failed"),
        (["--scope", "admin"], 1, "keyturn: invalid_scope: "),
        (["--audience", "x"], 1, "keyturn: invalid_target: "),
        (["--username", "a", "--password", "b"], 1, "keyturn: invalid_grant: "),
        (["--client-id", "a"], 2, "keyturn: --client-id and --client-secret are needed, both"),
        (["--username", "a"], 2, "keyturn: --username and --password are given together"),
        (["--issuer", "http://localhost:1/"], 2, "keyturn: --client-id and --client-secret are needed, both"),
        (["--issuer", "http://localhost:1/", "--client-id", "a", "--client-secret", "b"], 1, "keyturn: http://localhost:1/: "),
    ],
)  # fmt: skip
def test_a_token_that_is_refused_is_told_in_the_issuers_words(
    issuer: Process, capsys: Capture, arguments: list[str], status: int, told: str
) -> None:
    assert main(["token", *arguments]) == status

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(told)


def test_another_issuer_can_be_asked(
    issuer: Process, ports: Ports, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ports.environ:
        monkeypatch.delenv(name)

    compact = token(
        capsys, "--issuer", ports.issuer_name,
        "--client-id", "keyturn-guest", "--client-secret", "guest-secret",
    )  # fmt: skip

    assert UnverifiedToken.parse(compact).issuer == ports.issuer_name


def standard_input(raw: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(raw))


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"", b"x" * 10_000_000], ids=["bytes", "none", "much"]
)
def test_what_is_no_token_at_all_is_explained_too(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, raw: bytes
) -> None:
    monkeypatch.setattr("sys.stdin", standard_input(raw))

    assert main(["explain", "--offline"]) == 1

    assert "REFUSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["TOKEN"],
        ["explain", "-TOKEN"],
        ["explain", "--token=TOKEN"],
        ["explain", "--offline=TOKEN"],
        ["explain", "--route", "GET TOKEN"],
        ["explain", "--offline", "TOKEN", "TOKEN"],
        ["check", "TOKEN"],
        ["token", "--scop", "TOKEN", "TOKEN"],
    ],
    ids=" ".join,
)
def test_a_token_in_the_wrong_place_is_not_repeated(capsys: Capture, arguments: list[str]) -> None:
    compact = minted()
    try:
        status = main([each.replace("TOKEN", compact) for each in arguments])
    except SystemExit as stopped:
        status = int(str(stopped.code))

    assert status in {1, 2}
    printed = capsys.readouterr()
    assert compact.partition(".")[2] not in printed.out + printed.err
    assert compact.rpartition(".")[2] not in printed.out + printed.err


def test_a_token_is_explained_with_the_keys_of_its_issuer(
    issuer: Process, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact = token(capsys)

    assert main(["explain", compact]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  GET /api/private-scoped: yes"
    assert main(["explain", "--route", "GET /api/private-scoped", f"Bearer {compact}"]) == 0
    monkeypatch.setattr("sys.stdin", standard_input(compact.encode() + b"\n"))
    assert main(["explain", "-"]) == 0
    assert main(["explain", "Bearer", compact]) == 0
    monkeypatch.setattr("sys.stdin", standard_input(compact[:-8].encode() + b"A" * 8))
    assert main(["explain"]) == 1

    printed = capsys.readouterr()
    assert "REFUSED  signature" in printed.out
    assert printed.err == ""
    assert compact.rpartition(".")[2][:40] not in printed.out


def test_a_token_that_lacks_the_routes_scope_is_explained_with_the_answer(
    issuer: Process, capsys: Capture
) -> None:
    guest = token(capsys, "--client-id", "keyturn-guest", "--client-secret", "guest-secret")

    assert main(["explain", "--route", "GET /api/private-scoped", guest]) == 1
    assert "HTTP/1.1 403 Forbidden" in capsys.readouterr().out
    assert main(["explain", "--route", "GET /api/private", guest]) == 0


def test_offline_no_issuer_is_asked_and_nobody_is_admitted(
    issuer: Process, capsys: Capture
) -> None:
    compact = token(capsys)

    assert main(["explain", "--offline", compact]) == 1

    assert "nobody was asked" in capsys.readouterr().out


def test_a_route_that_is_public_or_unknown_is_told(capsys: Capture) -> None:
    assert main(["explain", "--route", "GET /api/public", "junk"]) == 0
    assert capsys.readouterr().out == "Anyone may: no token is looked at.\n"

    assert main(["explain", "--route", "GET /nothing", "junk"]) == 2
    assert capsys.readouterr().err == (
        "keyturn: no such route: GET /nothing (keyturn routes lists them)\n"
    )


def test_the_command_is_the_module(ports: Ports) -> None:
    with running("routes", environ=ports.environ) as process:
        assert process.ended() == 0

    assert process.out[0] == "GET  /api/public          anyone"
    assert os.linesep.join(process.err) == ""
