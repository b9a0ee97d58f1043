"""The table of pruned networks, on a run of a tiny network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from compress.cli.main import app
from compress.core.formats import Format
from compress.errors import StageError, UsageError
from compress.runtime.evaluate import evaluate
from compress.runtime.open import open_predictor
from evals.sentences.pruning import TORCH_PRUNING
from evals.shrink import table
from tests.colours import colours_file
from tests.evals.blocks import MEASURED

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

RECIPE = """\
imgc: 1
name: clothing_shrink_tiny
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 1, batch_size: 8}}}}
  - {{kind: prune, id: half, keep: 0.5, sibling: false}}
  - {{kind: distill, id: half-distilled, from: half, teacher: train, fit: {{epochs: 1, batch_size: 8}}}}
"""


@pytest.fixture(scope="module")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shrink")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    with pytest.MonkeyPatch.context() as patched:  # the stage's own time needs two exports, which take seconds
        times = {"before": 2.0, "after": 1.0}
        patched.setattr("compress.prune.stage.exported_latency_ms", lambda *_: times)
        result = CliRunner().invoke(app, ["run", str(recipe), "--runs-dir", str(folder / "runs")])
    assert result.exit_code == 0, result.output
    return folder / "runs"


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "measured_now", lambda latency: MEASURED.model_copy(update={"latency": latency}))
    monkeypatch.setattr(table, "to_onnx", lambda *_: None)  # an export takes seconds; no row of these runs needs it
    monkeypatch.setattr(table, "write_float_files", lambda *_: {})


def test_every_network_has_its_row_judged_on_validation_and_once_on_test(runs, monkeypatch):
    published = []
    ratio = table.latency_ratio
    monkeypatch.setattr(table, "latency_ratio", lambda *words: ratio(*words, rounds=1))
    monkeypatch.setattr(table, "publish", lambda name, blocks: published.extend(blocks))
    table.main(runs, choose=False)
    (block,) = published
    assert block.key == "clothing_shrink_tiny"
    assert set(block.n) == {"validation images", "test images"}
    assert block.measured.latency == "call"
    rows = {row["model"]: row for row in block.rows}
    other = f"{TORCH_PRUNING}half"
    assert list(rows) == ["train", "half", "half-distilled", other, f"{other}, fine-tuned, 1 epochs of cross entropy"]
    assert rows["train"]["macs_pct"] == 100
    assert rows["train"]["val_drop_pp"] == 0
    assert rows[other]["macs_m"] <= rows["half"]["macs_m"] < rows["train"]["macs_m"]
    assert all(isinstance(row["test_top1_pct"], float) for row in rows.values())


def test_a_file_is_timed_beside_the_float_network_of_its_own_runtime(tmp_path, monkeypatch):
    file, floats = (colours_file(tmp_path / name) for name in ("int8.onnx", "float.onnx"))
    predictor = open_predictor(file)
    spec = predictor.spec.model_copy(update={"macs": 10, "params": 10})
    shape = (1, *spec.input_chw[1:], 3)
    pixels_NHWC = np.zeros(shape, np.uint8)
    answers = evaluate(predictor, pixels_NHWC, [0])
    judged = table.Judged(pixels_NHWC, (0,), answers.logits_NK, answers.top1_pct)
    artifact = SimpleNamespace(size_bytes=10 * file.stat().st_size)
    files = {Format.TORCH: tmp_path / "none.safetensors", Format.ONNX: floats}
    beside = []

    def recorded(own, reference, image_NCHW):
        beside.append((own.path, reference.path))
        return SimpleNamespace(p50_ms=1.0, ratio=0.5, low=0.4, high=0.6)

    monkeypatch.setattr(table, "latency_ratio", recorded)
    row = table._row("int8", file, table.Reference(artifact, spec, files, judged, None))
    assert beside == [(file, floats)]
    assert row["of_fp32"] == (0.5, 0.4, 0.6)
    assert row["runtime"].startswith("onnxruntime")
    assert row["times_smaller"] == 10
    assert row["test_top1_pct"] is None


def test_who_chooses_sees_no_test_images_and_writes_no_page(runs, monkeypatch, capsys):
    judged = table._judged
    splits = []
    monkeypatch.setattr(
        table, "_judged", lambda predictor, split: splits.append(split.name) or judged(predictor, split)
    )
    monkeypatch.setattr(table, "_baseline_files", lambda *_: iter(()))
    monkeypatch.setattr(table, "publish", lambda *_: pytest.fail("wrote a page"))
    one = table.latency_ratio
    monkeypatch.setattr(table, "latency_ratio", lambda *words: one(*words, rounds=1))
    table.main(runs, choose=True)
    assert splits == ["val"]
    printed = capsys.readouterr().out
    (half,) = [line for line in printed.splitlines() if line.startswith("| half |")]
    assert half.split(" | ")[10] == "-", "test top-1"


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(StageError, match="has no train and prune stage"):
        table.shrink_block(tmp_path, MEASURED)
    with pytest.raises(UsageError, match="holds no run clothing_shrink_"):
        table.main(tmp_path, choose=False)
