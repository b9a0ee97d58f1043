"""The whole chain, verb by verb, on generated images: what a newcomer types, with one epoch each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Imgc = Callable[..., Result]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]


@pytest.fixture
def ok(imgc: Imgc) -> Callable[..., str]:
    def call(*arguments: str | Path) -> str:
        result = imgc(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


def test_verb_by_verb(ok: Callable[..., str], imgc: Imgc, folder: Path, photos: Path):
    text = ok("init", photos, "--arch", "tiny", "--input-px", "32", "--name", "mine")
    assert "red" in text
    assert "next: imgc run imgc.yaml" in text
    assert imgc("init", photos, "--arch", "tiny").exit_code == 2, "it does not overwrite"
    ok("init", photos, "--arch", "tiny", "--input-px", "32", "--name", "mine", "--force")

    made = [json.loads(ok("train", "--epochs", "1", "--json"))]
    made.append(json.loads(ok("prune", "--keep", "0.7", "--json")))
    made.append(json.loads(ok("distill", "--epochs", "1", "--json")))
    made.append(json.loads(ok("quantize", "--epochs", "1", "--set", "reconstruct.steps=20", "--json")))
    text = ok("export", "--format", "tflite", "--out", "m.tflite")
    assert "export: read quantize (runs/mine/06-quantize/model.onnx)" in text
    assert "export: wrote runs/mine/07-export/model.tflite" in text
    reads = [[stage["reads"] for stage in one["stages"]] for one in made]
    assert reads == [
        [{}],
        [{"from": "train"}, {"from": "train", "like": "prune"}],
        [{"from": "prune", "teacher": "train"}, {"from": "prune-sibling", "teacher": "train"}],
        [{"from": "distill"}],
    ]
    for one in made:
        stage = one["stages"][0]
        assert hashlib.sha256(Path(stage["path"]).read_bytes()).hexdigest() == stage["sha256"]
    assert Path("m.tflite").read_bytes() == (folder / "runs/mine/07-export/model.tflite").read_bytes()

    _check_evaluate(ok, photos)
    answers = json.loads(ok("predict", photos / "test/red/002.jpg", "--top-k", "2", "--json"))
    assert answers["model"] == "runs/mine/07-export/model.tflite"
    assert len(answers["images"][0]["predictions"]) == 2
    facts = json.loads(ok("inspect", "m.tflite", "--json"))
    assert facts["spec"]["precision"] == "int8"
    assert facts["ops"]["CONV_2D"] > 0
    assert "conv_stem" in ok("inspect", "runs/mine/02-prune/model.safetensors")

    ok("bench", "--set", "models=[quantize, export]", "--set", "repeats=5", "--set", "baseline=quantize")
    report = json.loads(ok("report", "--json"))
    measured = {row["stage"]: row["agreement_pct"] for row in report["rows"] if row["n_images"]}
    assert set(measured) == {"quantize", "export"}
    assert [(row["stage"], row["sibling"]) for row in report["siblings"]] == [
        ("prune", "prune-sibling"),
        ("distill", "distill-sibling"),
    ]
    text = ok("report", "mine")
    assert "export" in text
    assert "stock sibling, same data and epochs" in text
    assert (folder / "runs/mine/report.md").is_file()


def _check_evaluate(ok: Callable[..., str], photos: Path) -> None:
    """All formats are judged on the test images; the two int8 files give the same answers."""
    found: dict[str, Any] = {}
    for stage, file in (
        ("01-train", "model.safetensors"),
        ("06-quantize", "model.onnx"),
        ("07-export", "model.tflite"),
    ):
        found[stage] = json.loads(ok("evaluate", f"runs/mine/{stage}/{file}", "--data", photos, "--json"))
        assert set(found[stage]) == {"n_images", "top1_pct", "top1_ci95_pct", "top5_pct"}
        assert found[stage]["n_images"] == 12
    assert found["06-quantize"] == found["07-export"]
    assert "top-1" in ok("evaluate", "m.tflite", "--data", photos)


def test_run_explain_resume_and_gates(imgc: Imgc, ok: Callable[..., str], folder: Path, photos: Path):
    (folder / "r.yaml").write_text(
        f"imgc: 1\nname: r\ndata: {{kind: folder, path: {photos}}}\nstages:\n"
        "  - {kind: train, arch: tiny, weights: none, input_px: 32, fit: {epochs: 1}}\n"
        "  - {kind: export, format: onnx}\n"
        "gates: [{metric: size_bytes, at: export, max: 2000000}]\n"
    )
    text = ok("run", "r.yaml", "--explain")
    assert "train: run, never finished in this run" in text
    assert "holds" in text
    assert "export: reuse, sealed in r/02-export" in ok("run", "--resume", "--explain")
    text = ok("run", "r.yaml", "--set", "stages.export.opset=17", "--explain")
    assert "train: reuse" in text
    assert "export: run, config.opset: None -> 17" in text
    broken = imgc("run", "r.yaml", "--set", "gates.0.max=1000")
    assert broken.exit_code == 5
    assert "BROKEN" in broken.stdout
    assert "limit 1000" in broken.stderr
    assert json.loads((folder / "runs/r/report.json").read_text())["gates"][0]["passed"] is False


def test_a_file_without_a_run_is_exported(ok: Callable[..., str], folder: Path):
    import onnx

    from compress.graph.from_torch import to_onnx
    from compress.models.build import build_model, new_spec

    spec = new_spec("tiny", ("a", "b"), 32)
    onnx.save(to_onnx(build_model(spec).eval(), spec), "some.onnx")
    text = ok("export", "--format", "tflite", "some.onnx", "--out", "m.tflite")
    assert "read some.onnx" in text
    assert "copied to m.tflite" in text
    assert json.loads(ok("inspect", "m.tflite", "--json"))["spec"]["labels"] == ["a", "b"]


def test_a_verb_never_makes_sealed_stages_anew(imgc: Imgc, ok: Callable[..., str], folder: Path, photos: Path):
    shutil.copytree(photos, folder / "mine")
    ok("init", "mine", "--arch", "tiny", "--input-px", "32")
    ok("train", "--epochs", "1")
    before = {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    next((folder / "mine/train/red").glob("*.jpg")).unlink()
    refused = imgc("prune", "--no-sibling")
    assert refused.exit_code == 2, refused.output
    assert "run 'mine': its sealed stage 'train' would be made anew" in refused.stderr
    assert "data: " in refused.stderr
    assert "imgc run runs/mine/recipe.resolved.yaml --name mine-2" in refused.stderr
    assert before == {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    ok("run", "--resume", "--name", "mine")
    ok("prune", "--no-sibling")
