"""The chain on real images and weights, short: what the files answer, not how well a long training does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.cli.main import app

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]

RECIPE = """\
imgc: 1
name: short
seed: 0
data: {{kind: csv, path: photos.csv}}
stages:
  - kind: train
    arch: tf_mobilenetv3_small_100
    weights: {weights}
    input_px: 80
    fit: {{epochs: 5, batch_size: 16, lr: 1.0e-3}}
  - {{kind: quantize, scheme: int8_static, calibration_count: 64}}
  - {{kind: export, format: all}}
  - {{kind: export, id: float, from: train, format: tflite}}
  - {{kind: benchmark, baseline: train, repeats: 10}}
gates:
  - {{metric: top1_pct, at: train, min: 50}}
  - {{metric: top1_drop_pp, at: export-tflite, max: 8}}
  - {{metric: agreement_pct, at: float, min: 99}}
"""


@pytest.mark.timeout(600)
def test_a_short_chain_learns_and_its_files_agree(real_data: Path, tmp_path: Path) -> None:
    clothing = real_data / "clothing"
    rows = ["path,label,split"]
    for split, each in (("train", 40), ("val", 8), ("test", 12)):
        for folder in sorted((clothing / split).iterdir()):
            rows += [f"{path},{folder.name},{split}" for path in sorted(folder.iterdir())[:each]]
    (tmp_path / "photos.csv").write_text("\n".join(rows) + "\n")
    weights = real_data / "weights" / "tf_mobilenetv3_small_100.timm.imagenet.safetensors"
    (tmp_path / "short.yaml").write_text(RECIPE.format(weights=weights))

    result = CliRunner().invoke(app, ["run", str(tmp_path / "short.yaml"), "--runs-dir", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "runs/short/report.json").read_text())
    found = {row["stage"]: row for row in report["rows"]}
    assert found["train"]["n_images"] == 120
    assert found["export-tflite"]["top1_pct"] == pytest.approx(found["export-onnx"]["top1_pct"], abs=100 / 120 + 0.01)
    assert found["export-tflite"]["size_bytes"] < found["train"]["size_bytes"] / 3


def test_published_weights_and_a_folder_without_labels(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    images = sorted((real_data / "clothing/test").rglob("*.jpg"))[::6]
    (tmp_path / "calibration.csv").write_text("\n".join(["path", *map(str, images[:30])]) + "\n")
    rows = [f"{path},{label}" for path, label in zip(images[30:], ("jean", "610", "running shoe") * 10, strict=False)]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    weights = real_data / "weights" / "squeezenet1_1.torchvision.imagenet.safetensors"

    def call(*arguments: str | Path) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    quick = ("--set", "reconstruct.steps=2")  # how far weights move does not matter here
    given = ("--weights", weights, "--calibration", "calibration.csv", *quick, "--json")
    (stage,) = json.loads(call("quantize", "--arch", "squeezenet1_1", *given))["stages"]
    assert stage["metrics"]["sqnr_db"] > 15
    call("export", "--format", "all")
    onnx, tflite = "runs/latest/02-export-onnx/model.onnx", "runs/latest/03-export-tflite/model.tflite"
    found = json.loads(call("evaluate", tflite, "--data", "manifest.csv", "--baseline", onnx, "--json"))
    assert found["n_images"] == len(rows)
    assert found["agreement_pct"] >= 90
