"""The int8 tables, on a run of a tiny network and two made-up baselines."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.main import app
from compress.core.formats import Format
from compress.errors import StageError, UsageError, missing_backend
from evals.int8 import speed, table
from evals.int8.baselines import Baseline
from evals.results.markdown import block_table
from evals.results.schema import Block
from tests.evals.blocks import MEASURED

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
        Baseline("absent", "Absent", Format.ONNX, Format.ONNX, _absent),
        Baseline("copy", "Copy", Format.ONNX, Format.ONNX, _copies),
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
def test_every_model_has_its_row_and_the_page_its_blocks(runs: Path, monkeypatch: pytest.MonkeyPatch):
    published: list[Block] = []
    monkeypatch.setattr(table, "publish", lambda name, blocks: published.extend(blocks))
    monkeypatch.setattr(table, "measured_now", lambda latency: MEASURED.model_copy(update={"latency": latency}))
    table.main(runs)
    block, speeds = published
    assert block.key == "clothing_int8_tiny"
    assert block.measured.latency == "call"
    assert block.n == {"images (validation and test)": 21}
    assert block.setting.startswith("32 px, 1 thread, batch 1, onnxruntime ")
    rows = {row["model"]: row for row in block.rows}
    assert set(rows) == {"fp32", "imgc ptq", "imgc ptq-tflite", "Absent", "Copy"}
    assert rows["Absent"]["runtime"] == "not installed"
    assert (rows["Copy"]["drop_pp"], rows["Copy"]["agree_pct"]) == (0, 100), "the float model itself"
    assert rows["imgc ptq"]["drop_pp"] == rows["imgc ptq-tflite"]["drop_pp"]
    assert rows["imgc ptq"]["int8_weight_pct"] == 100
    assert rows["imgc ptq-tflite"]["partitions"] == 1, "one piece of the graph for XNNPACK"
    assert rows["imgc ptq"]["ms"] > 0
    middle, low, high = rows["imgc ptq"]["of_float"]
    assert low <= middle <= high
    (tiny,) = speeds.rows
    assert (tiny["network"], tiny["hard_swish"]) == ("tiny", "none")
    assert tiny["tflite_ms"] > 0
    assert tiny["onnx_ms"] > 0
    assert "| Absent | not installed | - |" in block_table(block)
    assert block_table(speeds).count("| tiny |") == 1


def test_a_folder_that_is_no_run_is_named(tmp_path: Path):
    with pytest.raises(StageError, match="has no train and quantize stage"):
        table.int8_block(tmp_path, MEASURED)
    with pytest.raises(UsageError, match="holds no run clothing_int8_"):
        table.main(tmp_path)
