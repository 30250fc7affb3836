"""A small project's own tests, run as its author runs them: in a process of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ENVIRONMENT, ROOT

PAGE = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))

# Of pytest-asyncio's own, which has a word to say where this is not set.
QUIET = ("-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shop of the page, with its tests."""
    for name in ("shop.py", "test_shop.py", "shop_tests.py"):
        (tmp_path / name).write_text(FILES[name], "utf-8")
    return tmp_path


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (a command of ours)
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_pytest(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return python("pytest", "-p", "no:cacheprovider", *options, cwd=project)


def passed(done: subprocess.CompletedProcess[str]) -> int:
    """How many passed, where nothing else came about, warnings included."""
    summary = re.search(r"=+ (\d+) passed in [^=]+=+$", done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary, done.stdout
    return int(summary[1])


def test_the_page_has_all_that_its_reader_needs() -> None:
    assert list(FILES) == ["shop.py", "test_shop.py", "conftest.py", "shop_tests.py"]
    assert PAGE.count("```python") == len(FILES)


def test_the_tests_of_the_page_pass(project: Path) -> None:
    done = run_pytest(project, *QUIET, "-o", "asyncio_mode=strict", "-W", "error")

    assert passed(done) == 5


def test_they_pass_in_auto_mode_without_a_mark_for_an_issuer_of_the_projects_own(
    project: Path,
) -> None:
    marked = (project / "test_shop.py").read_text("utf-8")
    (project / "test_shop.py").write_text(re.sub("pytestmark = .*", "", marked), "utf-8")
    (project / "conftest.py").write_text(FILES["conftest.py"], "utf-8")
    (project / "test_names.py").write_text(
        """
def test_the_names_are_the_projects(keyturn_issuer):
    assert keyturn_issuer.name == "https://login.acme.example/"
    assert keyturn_issuer.audience == "https://shop.acme.example"
""",
        "utf-8",
    )

    assert passed(run_pytest(project, *QUIET, "-o", "asyncio_mode=auto", "-W", "error")) == 6


FAILING = """
from server.web import authenticated, get
from shop import ROUTES

async def crash(request):
    password = "hunter2"
    raise ZeroDivisionError

async def test_a_crash(keyturn_client, bearer):
    client = await keyturn_client((get("/", crash, authenticated),))
    assert (await client.get("/", headers=bearer(jti="s3cr3t"))).status == 200

async def test_that_expects_too_much_of_a_token(keyturn_client, bearer):
    client = await keyturn_client(ROUTES)
    answer = await client.get("/orders", headers=bearer(["read:orders"], aud="https://other"))
    assert answer.status == 200
"""


def test_a_failing_test_shows_why_and_no_variables_of_the_server(project: Path) -> None:
    (project / "test_shop.py").write_text(FAILING, "utf-8")

    done = run_pytest(project, *QUIET, "-o", "asyncio_mode=auto")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "ZeroDivisionError" in done.stdout
    assert "500 GET /" in done.stdout
    assert "assert 401 == 200" in done.stdout
    assert "wrong_audience" in done.stdout
    assert done.stdout.count("hunter2") == 0
    assert "Bearer ey" not in done.stdout


def test_without_pytest_they_pass_too(project: Path) -> None:
    done = python("unittest", "shop_tests", cwd=project)

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_without_pytest_aiohttp_only_the_client_fails_and_says_what_to_install(
    project: Path,
) -> None:
    (project / "test_shop.py").write_text(
        """
def test_a_token_can_be_had(mint_token):
    assert mint_token().count(".") == 2

def test_a_client_can_not(keyturn_client):
    pass
""",
        "utf-8",
    )

    done = run_pytest(project, "-p", "no:aiohttp", "-p", "no:asyncio", "-q")

    assert "1 passed, 1 error" in done.stdout
    assert 'pip install "keyturn[testing]"' in done.stdout
    assert "Traceback" not in done.stdout


def test_a_run_that_asks_for_nothing_pays_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_elsewhere.py").write_text(
        """
import sys

def test_elsewhere(pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("keyturn")
    loaded = {name for name in sys.modules if name.partition(".")[0] == "server"}
    assert loaded == {"server", "server.testing", "server.testing.plugin"}
    assert not {"aiohttp", "joserfc", "pydantic", "structlog"} & set(sys.modules)
""",
        "utf-8",
    )

    done = run_pytest(tmp_path, "--disable-plugin-autoload", "-p", "keyturn")

    assert passed(done) == 1


def test_a_project_whose_server_is_its_own_leaves_the_plugin_out(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("NAME = 'mine'\n", "utf-8")
    (tmp_path / "test_mine.py").write_text(
        "from server import NAME\n\ndef test_mine():\n    assert NAME == 'mine'\n", "utf-8"
    )

    assert passed(run_pytest(tmp_path, *QUIET, "-p", "no:keyturn")) == 1
