"""The unit for systemd: understood, confined, and patient enough to let the server stop."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

UNIT = ROOT / "deploy/keyturn.service"
PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
ANALYZE = shutil.which("systemd-analyze")

needs_systemd = pytest.mark.skipif(
    not ANALYZE, reason="systemd-analyze is not installed: it comes with systemd (version 250)"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    return subprocess.run(  # noqa: S603 (found where the user has it)
        [ANALYZE, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def section(name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return dict(parser[name])


@needs_systemd
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    # Where it is not installed, its program is not there: another stands in for it.
    unit = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace("/opt/keyturn/bin/keyturn", sys.executable)
    unit.write_text(text, "utf-8")

    done = analyze("verify", unit)

    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_it_is_as_confined_as_the_page_says() -> None:
    (said,) = re.findall(r"exposure level for keyturn\.service: (\d+\.\d)", PAGE)
    threshold = str(round(float(said) * 10))

    done = analyze("security", "--offline=true", f"--threshold={threshold}", "--no-pager", UNIT)

    assert done.returncode == 0, done.stdout


def test_it_lets_the_server_stop_and_read_its_configuration_again() -> None:
    unit = section("Service")

    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert unit["KillMode"] == "mixed", "who is told are the workers' elders"
    assert int(unit["TimeoutStopSec"].removesuffix("s")) >= 30
    assert unit["RestartPreventExitStatus"] == "2", "a faulty configuration"


def test_neither_starts_nor_log_lines_are_rationed() -> None:
    assert section("Unit")["StartLimitIntervalSec"] == "0"
    assert section("Service")["LogRateLimitIntervalSec"] == "0"


def test_its_command_is_one_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    from server.cli import main  # noqa: PLC0415 (what it imports is for this test alone)

    program, *arguments = section("Service")["ExecStart"].split()

    assert Path(program).name == "keyturn"
    assert main([*arguments[:1], "--config", "/nonexistent/config.yaml"]) == 2
    assert arguments == ["serve", "--config", "/etc/keyturn/config.yaml"]
    assert "/nonexistent/config.yaml" in capsys.readouterr().err
