"""README's int8 tables, on a run of a tiny network and two made-up baselines."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.main import app
from compress.core.formats import Format
from compress.errors import StageError, missing_backend
from evals.int8 import speed, table
from evals.int8.baselines import Baseline

RECIPE = """\
imgc: 1
name: clothing_int8_tiny
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: quantize, id: ptq, calibration_count: 12, reconstruct: {{steps: 2}}}}
  - {{kind: export, id: ptq-tflite, format: tflite}}
"""


def _absent(source: Path, images: object, out: Path) -> None:
    raise missing_backend("nowhere", "all")


def _copies(source: Path, images_NCHW: object, out: Path) -> None:
    assert len(images_NCHW) == 12, "the images that our own int8 was calibrated on"
    out.write_bytes(source.read_bytes())


@pytest.fixture
def runs(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    baselines = (
        Baseline("absent", "Absent", "nowhere", Format.ONNX, Format.ONNX, _absent),
        Baseline("copy", "Copy", "onnx", Format.ONNX, Format.ONNX, _copies),
    )
    monkeypatch.setattr(table, "BASELINES", baselines)
    monkeypatch.setattr(speed, "ARCHS", ("tiny",))
    monkeypatch.setattr(speed, "_INPUT_PX", 32)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    result = CliRunner().invoke(app, ["run", str(recipe), "--runs-dir", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    return tmp_path / "runs"


@pytest.mark.slow
def test_every_model_has_its_row_and_the_readme_its_block(runs: Path, tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table._main(readme, runs)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "n = 21 (validation and test), 32 px" in text
    rows = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in _table_rows(text)}
    assert {"fp32", "imgc ptq", "imgc ptq-tflite", "Absent", "Copy", "tiny"} <= set(rows)
    assert rows["Absent"][0] == "not installed"
    assert rows["Copy"][2:4] == ["0.00", "100.00"], "the float model itself"
    assert rows["imgc ptq"][2] == rows["imgc ptq-tflite"][2]
    assert rows["imgc ptq"][4] == "100.0"
    assert rows["imgc ptq-tflite"][5] == "1", "one piece of the graph for XNNPACK"
    assert float(rows["imgc ptq"][6]) > 0


def _table_rows(text: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path):
    with pytest.raises(StageError, match="has no train and quantize stage"):
        table.int8_markdown([tmp_path])
