"""Light commands stay light: what they import, which is what their start takes time for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "timm", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "PIL", "fastapi")
PROGRAM = """
import sys
from compress.cli.main import app
try:
    app({arguments!r}, standalone_mode=True)
except SystemExit as end:
    code = end.code
print("LOADED", *[name for name in {heavy!r} or sys.modules if name in sys.modules])
sys.exit(code)
"""


BEFORE_IT = "import sys; print(*sys.modules)"  # what Python itself and this environment load at the start


def loaded_by(arguments: list[str], folder: Path, heavy: tuple[str, ...] = HEAVY) -> list[str]:
    program = PROGRAM.format(arguments=arguments, heavy=heavy)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("arguments", [["--version"], ["train", "--help"], ["serve", "--help"]])
def test_help_of_a_command_imports_no_backend(arguments: list[str], tmp_path: Path):
    assert loaded_by(arguments, tmp_path) == []


def test_help_imports_neither_a_backend_nor_what_is_slow(tmp_path: Path):
    assert loaded_by(["--help"], tmp_path, (*HEAVY, "pydantic", "numpy", "yaml", "rich")) == []


def test_plan_imports_no_backend(tmp_path: Path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "imgc: 1\nname: r\ndata: {kind: defects}\n"
        "stages: [{kind: train}, {kind: prune}, {kind: distill}, {kind: quantize}, {kind: export}, {kind: benchmark}]\n"
    )
    assert loaded_by(["plan", str(recipe)], tmp_path) == []


def test_help_within_its_budget(tmp_path: Path):
    """Modules are counted, not seconds: of others than Python's own, and of ours."""
    before = subprocess.run([sys.executable, "-c", BEFORE_IT], capture_output=True, text=True, check=True)
    modules = set(loaded_by(["--help"], tmp_path, ())) - set(before.stdout.split())
    packages = {name.split(".")[0] for name in modules} - sys.stdlib_module_names
    assert packages == {"compress", "typer", "annotated_doc", "shellingham"}
    outside = {name for name in modules if name.startswith("compress") and not name.startswith("compress.cli")}
    assert outside == {
        *("compress", "compress.api", "compress.classifier", "compress.results", "compress.package", "compress.errors"),
        *("compress.benchmark", "compress.distributed", "compress.distributed.process_rank"),  # two of them docstrings
    }
    assert len(modules) <= 150
