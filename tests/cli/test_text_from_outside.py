"""Names with escape sequences, line ends and marks of direction: from a folder to the report."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import Result

from tests.tiny_files import Tiny

ROOT = Path(__file__).parents[2]
BAD = "re\x1b]0;title\x07d\n\u202e"
SHOWN = r"re\x1b]0;title\x07d\n\u202e"
RECIPE = """\
imgc: 1
name: odd
data: {kind: folder, path: odd}
stages:
  - {kind: train, arch: tiny, weights: none, input_px: 32, fit: {epochs: 1}}
  - {kind: export, format: onnx}
  - {kind: benchmark, baseline: export, models: [export], repeats: 5, budget_s: 0.01}
gates:
  - {metric: size_bytes, at: export, max: 10000000}
"""


def is_harmless(text: str) -> bool:
    return not any(mark in text for mark in ("\x1b", "\x07", "\u202e"))


@pytest.mark.slow
@pytest.mark.usefixtures("one_fresh_process")
def test_a_class_folder_cannot_reach_the_terminal_or_break_the_report(
    imgc: Callable[..., Result], folder: Path, photos: Path
):
    shutil.copytree(photos, "odd")
    for split in ("train", "val", "test"):
        Path("odd", split, "red").rename(Path("odd", split, BAD))
    Path("odd.yaml").write_text(RECIPE)
    result = imgc("run", "odd.yaml", "--junit", "gates.xml")
    assert result.exit_code == 0, result.output
    assert is_harmless(result.stdout + result.stderr)
    made = folder / "runs" / "odd"
    assert is_harmless((made / "report.md").read_text())
    page = (made / "report.html").read_text()
    assert is_harmless(page)
    assert SHOWN in json.loads((made / "02-export" / "spec.json").read_text())["labels"]
    ET.parse(folder / "gates.xml")
    image = next((folder / "odd/test" / BAD).glob("*.jpg"))
    answer = imgc("predict", image, "--json")
    assert SHOWN in {row["label"] for row in json.loads(answer.stdout)["images"][0]["predictions"]}
    assert is_harmless(imgc("predict", image).stdout)


def test_nothing_is_printed_past_the_door():
    """`echo` of `cli/output` is the one way to the terminal, beside that of errors."""
    doors = {"output.py", "errors.py"}
    sources = [path for path in (ROOT / "compress").rglob("*.py") if path.name not in doors]
    assert [path.name for path in sources if "typer.echo(" in path.read_text()] == []


def test_inspect_of_a_strangers_file_cannot_reach_the_terminal(imgc: Callable[..., Result], tiny: Tiny):
    model = onnx.load(tiny.onnx())
    model.graph.node[0].op_type = "\x1b[2JConv"
    path = tiny.folder / "odd.onnx"
    path.write_bytes(model.SerializeToString())
    result = imgc("inspect", path)
    assert result.exit_code == 0
    assert r"\x1b[2JConv" in result.stdout
    assert is_harmless(result.stdout)


def test_a_recipe_cannot_reach_the_terminal_or_show_another_file(imgc: Callable[..., Result], folder: Path):
    Path("secret").write_text("root:x:0:0")
    Path("a.yaml").write_text('imgc: 1\nname: x\n"\\e[2J": 1\nstages: [{kind: "tr\\u0430in"}, {use: secret}]\n')
    result = imgc("plan", "a.yaml")
    assert result.exit_code == 2
    assert is_harmless(result.stderr)
    assert "root" not in result.stderr
    Path("a.yaml").write_text('imgc: 1\nname: x\n"\\e[2J": 1\nstages: [{kind: "tr\\u0430in"}]\n')
    said = imgc("plan", "a.yaml").stderr
    assert r"unknown key '\x1b[2J'" in said
    assert r"unknown kind 'tr\u0430in'" in said
