"""What goes into a container, and what asks it whether it is well."""

import importlib.util
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from server.config import load
from tests.processes import ROOT, free_ports

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text("utf-8")
SCRIPTS = sorted((ROOT / "deploy").glob("*.sh"))


class Admin(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "some"}\n')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthy", ROOT / "deploy/healthy.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    return module


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Admin) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("KEYTURN__ADMIN__PORT", str(server.server_port))
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "result"), [(200, 0), (503, 1)])
def test_a_server_is_healthy_when_it_is_ready(
    healthy: ModuleType,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    result: int,
) -> None:
    monkeypatch.setattr(Admin, "status", status)

    assert healthy.main() == result
    assert capsys.readouterr().out == '{"status": "some"}\n'


def test_where_nobody_answers_nobody_is_healthy(
    healthy: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (free,) = free_ports(1)
    monkeypatch.setenv("KEYTURN__ADMIN__PORT", str(free))

    assert healthy.main() == 1
    assert f"127.0.0.1:{free} does not answer" in capsys.readouterr().out


def test_what_is_copied_is_there_and_not_ignored() -> None:
    wanted = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)

    for line in copied:
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in wanted, source


def test_its_environment_is_understood_and_overrides_a_laptop() -> None:
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    environ = dict(each.split("=", 1) for each in block.replace("\\\n", " ").split())

    config = load(str(ROOT / "config.yaml"), environ)

    assert config.listen.host == "0.0.0.0"  # noqa: S104 (of the container)
    assert config.admin.host == "127.0.0.1", "opened by nobody but the operator"
    assert not config.dev_issuer.enabled


def test_it_runs_as_nobody_in_particular_and_without_a_shell() -> None:
    said = dict(re.findall(r"^(USER|STOPSIGNAL|ENTRYPOINT|CMD) (.*)$", DOCKERFILE, re.MULTILINE))

    assert re.fullmatch(r"\d+:\d+", said["USER"])
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert said["ENTRYPOINT"] == '["keyturn"]'
    assert said["CMD"] == '["serve"]'
    assert not re.search(
        r"^(RUN|HEALTHCHECK.*\n\s*CMD|ENTRYPOINT|CMD) [^\[]", DOCKERFILE, re.MULTILINE
    )


def test_no_file_names_where_packages_come_from() -> None:
    for file in (ROOT / "deploy").rglob("*"):
        if file.is_file():
            assert not re.search(r"index-url|pypi\.|://[^/]*registry", file.read_text("utf-8")), (
                file
            )


@pytest.mark.skipif(not shutil.which("sh"), reason="no sh is installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_one(script: object) -> None:
    done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)  # noqa: S603, S607 (ours)

    assert (done.returncode, done.stderr) == (0, "")
