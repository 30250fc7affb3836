"""Every command in the README, run; what it shows must be what comes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.processes import ENVIRONMENT, ROOT, Ports, Process, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
VENV = Path(sys.prefix)

pytestmark = [
    pytest.mark.skipif(
        not (VENV / "run.stamp").exists(), reason="not in an environment that make has made"
    ),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]


@dataclass
class Command:
    text: str
    shows: list[str] = field(default_factory=list)


def commands() -> dict[str, Command]:
    found: list[Command] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line.removeprefix("$ ")))
            elif line.strip() not in {"", "…"}:
                found[-1].shows.append(line)
    return {command.text: command for command in found}


COMMANDS = commands()
RUN = "make run"
POINTED = next(text for text in COMMANDS if text.startswith("ISSUER_BASE_URL"))
ROUTES = ".venv/bin/keyturn routes"
WITH_A_SERVER = [text for text in COMMANDS if text.startswith("curl")]


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports()


@pytest.fixture(scope="module")
def environ(ports: Ports, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = str(tmp_path_factory.mktemp("home"))
    return {**ENVIRONMENT, **ports.environ, "HOME": home, "VENV": str(VENV)}


@pytest.fixture(scope="module")
def server(ports: Ports, environ: dict[str, str]) -> Iterator[Process]:
    process = Process([*RUN.split(), f"VENV={VENV}"], environ, ROOT)
    process.wait_for("curl -i", times=3)
    yield process
    process.stop()


def shell(text: str, environ: dict[str, str], cwd: Path = ROOT) -> str:
    done = subprocess.run(  # noqa: S603 (our own README)
        ["/bin/sh", "-c", text],
        env=environ,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.replace("\r", "")


def on(ports: Ports, text: str) -> str:
    """The same command, for a server on other ports."""
    return (
        text.replace(":3010", f":{ports.api}")
        .replace(":3011", f":{ports.issuer}")
        .replace("curl", "curl --silent")
        .replace("make -s", f"make -s VENV={VENV}")
    )


def test_every_command_is_run_here() -> None:
    assert set(COMMANDS) == {RUN, POINTED, ROUTES, *WITH_A_SERVER}
    assert len(WITH_A_SERVER) == 4


@pytest.mark.parametrize("text", WITH_A_SERVER)
def test_what_the_readme_shows_is_what_comes(
    server: Process, ports: Ports, environ: dict[str, str], text: str
) -> None:
    lines = shell(on(ports, text), environ).splitlines()

    for shown in COMMANDS[text].shows:
        assert shown in lines


def test_make_run_prints_calls_that_show_what_they_say(
    server: Process, environ: dict[str, str]
) -> None:
    printed = [line for line in server.out if line.startswith(("#", "curl"))]
    calls = dict(zip(printed[::2], printed[1::2], strict=True))

    assert len(calls) == 3
    for comment, call in calls.items():
        status = comment[2:5]
        assert shell(call, environ).startswith(f"HTTP/1.1 {status} ")


def test_two_settings_point_it_at_another_issuer(
    server: Process, ports: Ports, environ: dict[str, str]
) -> None:
    other = Ports()
    elsewhere = {name: value for name, value in environ.items() if not name.startswith("KEYTURN")}
    elsewhere |= {"KEYTURN__LISTEN__PORT": str(other.api), "KEYTURN__ADMIN__PORT": str(other.admin)}
    pointed = POINTED.replace("https://tenant.example.com/", ports.issuer_name)
    pointed = pointed.replace("https://my-api", "https://quickstarts/api")
    process = Process(["/bin/sh", "-c", f"{pointed} VENV={VENV}"], elsewhere, ROOT)
    try:
        process.wait_for("jwks.refreshed")
        token = shell(on(ports, "make -s token"), environ).strip()
        call = f"curl -s -i localhost:{other.api}/api/private -H 'Authorization: Bearer {token}'"
        assert shell(call, environ).startswith("HTTP/1.1 200 ")
    finally:
        process.stop()


def test_the_configuration_is_checked_as_the_readme_says(
    server: Process, environ: dict[str, str], ports: Ports
) -> None:
    assert "`.venv/bin/keyturn check`" in README

    printed = shell(f"{VENV}/bin/keyturn check", environ)

    assert printed.startswith(f"{ports.issuer_name}  ok: ")


def test_a_route_is_added_as_the_readme_says(
    tmp_path: Path, ports: Ports, server: Process, environ: dict[str, str]
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "shop.py").write_text(snippet, encoding="utf-8")
    config = (ROOT / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("server.routes:ROUTES", "shop:ROUTES")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    (tmp_path / ".venv").symlink_to(VENV)

    printed = shell(ROUTES, environ, cwd=tmp_path).splitlines()
    assert printed == COMMANDS[ROUTES].shows

    other = Ports()
    trusting = {**other.environ, "KEYTURN__ISSUERS": ports.environ["KEYTURN__ISSUERS"]}
    with running(environ=trusting, cwd=tmp_path) as process:
        process.wait_for("jwks.refreshed")
        token = shell(on(ports, "make -s token"), environ).strip()
        for method, status in (("GET", 200), ("POST", 403)):
            call = (
                f"curl -s -i -X {method} localhost:{other.api}/orders "
                f"-H 'Authorization: Bearer {token}'"
            )
            assert shell(call, environ).startswith(f"HTTP/1.1 {status} ")


def test_the_targets_that_it_names_are_there() -> None:
    listed = shell("make", {"PATH": os.environ["PATH"]})

    for target in re.findall(r"`make ([a-z-]+)`", README):
        assert f"make {target} " in listed


def test_the_pages_that_it_leads_to_are_there() -> None:
    for page in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / page.partition("#")[0]).exists(), page
