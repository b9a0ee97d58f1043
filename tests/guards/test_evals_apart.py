"""The programs that measure us stand alone: they need no test, and no wheel holds them."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((ROOT / "evals").rglob("*.py"))


def imported(source: str) -> set[str]:
    """Return the first words of all modules that a source imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_the_guard_sees_every_kind_of_import():
    assert imported("import tests.colours as c\ndef f():\n    from tests import tiny\n") == {"tests"}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_program_imports_a_test(path):
    assert "tests" not in imported(path.read_text())


def test_the_wheel_holds_the_product_alone():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["setuptools"]["packages"]["find"]["include"] == ["compress*"]
