"""The pages under docs/ say what is so: their commands run, their settings are sound."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from server.config import load
from server.oauth.checks import Check
from server.oauth.errors import Reason
from tests import logging_page
from tests.minting import public_jwk
from tests.processes import ENVIRONMENT, ROOT, Ports, running

KEYS = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
ANSWERS = (ROOT / "docs/answers.md").read_text(encoding="utf-8")
EXPLAIN = (ROOT / "docs/explain.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def on(ports: Ports, text: str) -> str:
    """The same, of a server on other ports."""
    return text.replace(":3011", f":{ports.issuer}").replace(":3012", f":{ports.admin}")


def printed(ports: Ports, command: str) -> str:
    done = subprocess.run(  # noqa: S602 (our own pages)
        on(ports, command).replace(".venv/bin/keyturn", f"{sys.executable} -m server"),
        shell=True,
        cwd=ROOT,
        env=ENVIRONMENT | ports.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def shown(page: str) -> list[tuple[str, str]]:
    """The commands of *page*, each with the line that it prints; an … is anything."""
    lines = iter(line.strip() for line in page.splitlines())
    return [(line.removeprefix("$ "), next(lines)) for line in lines if line.startswith("$ ")]


def test_the_commands_of_the_pages_on_operations_and_keys_do_what_they_say() -> None:
    ports = Ports()
    with running(environ=ports.environ) as process:
        process.wait_for("# 403")
        for command, line in shown(OPERATIONS):
            pattern = re.escape(on(ports, line)).replace("…", ".*")
            assert re.fullmatch(pattern, printed(ports, command)), command
        commands = re.findall(r"^\$ (.*)$", KEYS, re.MULTILINE)
        answers = [json.loads(printed(ports, each)) for each in commands]
        assert process.stop() == 0

    asked, fault, refused, rotated, revoked = answers
    assert asked["issuers"][0]["result"] == "ok"
    assert fault == {"mode": "error", "seconds": 30}
    assert refused["status"] == "ready"
    assert refused["issuers"][0]["result"] == "failed"
    assert rotated["kid"] != revoked["kid"]


def test_the_page_on_the_log_has_the_fields_of_its_schema() -> None:
    written = logging_page.PATH.read_text(encoding="utf-8")

    assert written == logging_page.render(written), "run: make log-page"


def test_the_reasons_of_the_page_on_answers_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", ANSWERS.split("`auth.reason`")[1], re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(rows))

    assert named[: len(Reason)] == [str(reason) for reason in Reason]


def test_a_token_is_explained_as_its_page_says(tmp_path: Path) -> None:
    ports = Ports()
    (command,) = re.findall(r"^\$ (.*)$", EXPLAIN, re.MULTILINE)
    keyturn = f"{sys.executable} -m server"
    environ = ENVIRONMENT | ports.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    with running("issuer", environ=ports.environ) as process:
        process.wait_for("dev_issuer.started")
        done = subprocess.run(  # noqa: S602 (our own page)
            command.replace(".venv/bin/keyturn", keyturn),
            shell=True,
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    checks = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok ")]
    assert checks == [str(check) for check in Check]
    assert re.findall(r"^\| `(\w+)`", EXPLAIN, re.MULTILINE) == checks
    assert set(re.findall(r"`(\w+)`", EXPLAIN)) >= {str(reason) for reason in Reason}


def test_the_settings_of_the_page_on_keys_are_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "partner-keys.json").write_text(json.dumps({"keys": [public_jwk()]}), "utf-8")
    together = {"audience": "a"}
    for block in re.findall(r"```yaml\n(.*?)```", KEYS, re.DOTALL):
        together |= yaml.safe_load(block)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(together), "utf-8")

    config = load(None, {"LEGACY_API_SECRET": "s" * 32})

    assert config.jwks.store.get_secret_value() == "redis://redis.internal:6379/0"
    assert [each.fixed_keys is not None for each in config.issuers] == [True, True]


def test_the_faults_that_the_page_names_are_those_that_there_are() -> None:
    named = set(re.findall(r"`([a-z]+)`", KEYS.split("## Try it")[1]))

    assert {
        "down",
        "slow",
        "error",
        "garbage",
        "empty",
        "huge",
        "redirect",
        "truncated",
        "none",
    } == named


PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")]


@pytest.mark.parametrize(
    "page", [*PAGES, *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name
)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", page.read_text("utf-8")
    ):
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            assert anchor in {_anchor(each) for each in headings}, f"{target}#{anchor}"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
