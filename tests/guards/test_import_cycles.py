"""The contract that forbids import cycles: it watches all of our packages, and it sees the cycles that we once had."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = """
[tool.importlinter]
root_packages = ["house"]

[[tool.importlinter.contracts]]
name = "No import cycle"
type = "acyclic_siblings"
ancestors = ["house"]
"""
WHOLE = {  # a room of two modules below one that opens either of them, and a room above
    "runtime/predictor.py": "class Predictor: ...\n",
    "runtime/onnx_predictor.py": "from house.runtime.predictor import Predictor\n",
    "runtime/open.py": "def open():\n    from house.runtime.onnx_predictor import Predictor\n",
    "measure/profile.py": "from house.runtime.open import open\n",
}


def cycles(folder: Path, sources: dict[str, str]) -> str:
    """Return what the linter says of a package of these files: empty where it has no cycle."""
    for name, text in {"runtime/__init__.py": "", "measure/__init__.py": "", "__init__.py": "", **sources}.items():
        path = folder / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").write_text(CONTRACT)
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == ("No import cycle BROKEN" in done.stdout), done.stdout + done.stderr
    assert "No import cycle" in done.stdout
    return done.stdout if done.returncode else ""


def test_the_contract_watches_all_of_our_packages():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [one for one in linter["contracts"] if one["type"] == "acyclic_siblings"]
    assert contract["ancestors"] == linter["root_packages"] == ["compress", "evals", "docs_tools"]
    assert set(contract) == {"name", "type", "ancestors"}  # nothing is let through
    assert "exclude_type_checking_imports" not in linter


def test_what_has_no_cycle_passes(tmp_path):
    assert cycles(tmp_path, WHOLE) == ""


@pytest.mark.parametrize(
    ("name", "text", "package"),
    [
        # as it was: the interface opened the files that it is the interface of
        ("runtime/predictor.py", "def open():\n    import house.runtime.onnx_predictor\n", "house.runtime"),
        (
            "runtime/predictor.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.runtime.open import open\n",
            "house.runtime",
        ),
        ("runtime/predictor.py", "from house.measure import profile\n", "house"),
    ],
    ids=["inside a function", "for types", "between packages"],
)
def test_a_cycle_is_seen(tmp_path, name, text, package):
    assert f"No cycles are allowed in {package}." in cycles(tmp_path, {**WHOLE, name: text})
