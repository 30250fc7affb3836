"""The rules of the house."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "server").rglob("*.py"))


def test_imports_point_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")

    # In a process of its own: it turns loggers off.
    done = subprocess.run(  # noqa: S603
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is_for_and_is_not_crowded(source: Path) -> None:
    text = source.read_text(encoding="utf-8")

    assert ast.get_docstring(ast.parse(text)), "a module docstring"
    assert len(text.splitlines()) <= 250


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_is_short(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"))

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 30, f"{node.name} has {length} lines"
