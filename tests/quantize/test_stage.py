from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.formats import Format, Precision
from compress.core.stage import RunContext
from compress.engine.options import FitOptions
from compress.errors import StageError, UsageError
from compress.models.build import build_model, describe, new_spec
from compress.models.onnx_meta import spec_of
from compress.models.weights import save_model
from compress.quantize.config import QatOptions, QuantizeConfig
from compress.quantize.stage import run
from compress.runtime.predictor import open_predictor
from compress.train.config import TrainConfig
from compress.train.stage import run as train


def _artifact(path: Path, fmt: Format, spec: object) -> Artifact:
    return Artifact.model_validate(
        {
            "stage_id": "source",
            "kind": "train",
            "format": fmt,
            "path": path,
            "sha256": "0" * 64,
            "size_bytes": path.stat().st_size,
            "spec": spec,
            "metrics": {},
        }
    )


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return a small net that knows the three colours."""
    folder = tmp_path_factory.mktemp("trained")
    fit = FitOptions(epochs=6, batch_size=8, lr=3e-3)
    config = TrainConfig(arch="tiny", weights="none", input_px=32, fit=fit)
    output = train(config, {}, RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos)))
    return _artifact(folder / output.file_name, Format.TORCH, output.spec)


def _context(folder: Path, photos: Path) -> RunContext:
    return RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos))


@pytest.mark.parametrize("scheme", ["int8_static", "int8_qat", "dynamic"])
def test_each_scheme_writes_a_model_that_says_what_it_is(scheme, trained, photos, tmp_path):
    fit = QatOptions(epochs=1, batch_size=8)
    config = QuantizeConfig(scheme=scheme, calibration_count=12, fit=fit)
    output = run(config, {"from": trained}, _context(tmp_path, photos))

    path = tmp_path / output.file_name
    wanted = Precision.DYNAMIC if scheme == "dynamic" else Precision.INT8
    assert output.spec.precision is wanted
    assert spec_of(onnx.load(path), path) == output.spec
    assert output.metrics["scheme"] == scheme
    assert output.metrics["top1_pct"] >= output.metrics["float_top1_pct"] - 12
    assert path.stat().st_size < trained.size_bytes / 2.5
    ops = {node.op_type for node in onnx.load(path).graph.node}
    assert ("DequantizeLinear" in ops) == (scheme != "dynamic")
    assert not list(tmp_path.rglob("checkpoint*")), "a finished stage keeps no checkpoint"
    assert open_predictor(path).predict(np.zeros((2, 3, 32, 32), np.float32)).shape == (2, 3)


def test_training_changes_what_calibration_found(trained, photos, tmp_path):
    def made(scheme: str) -> onnx.ModelProto:
        folder = tmp_path / scheme
        folder.mkdir()
        config = QuantizeConfig(scheme=scheme, calibration_count=12, fit=QatOptions(epochs=2, batch_size=8))
        return onnx.load(folder / run(config, {"from": trained}, _context(folder, photos)).file_name)

    static, qat = ({t.name: t for t in made(s).graph.initializer} for s in ("int8_static", "int8_qat"))
    assert set(static) == set(qat)
    assert static["images_scale"] != qat["images_scale"], "ranges are learned"
    assert any(static[n] != qat[n] for n in static if n.endswith("_quantized")), "so are weights"


def test_the_calibration_pictures_are_recorded_and_from_training(trained, photos, tmp_path):
    run(QuantizeConfig(calibration_count=12), {"from": trained}, _context(tmp_path, photos))
    rows = json.loads((tmp_path / "calibration.json").read_text())
    assert len(rows) == 12
    labels = [row["label"] for row in rows]
    assert {labels.count(label) for label in set(labels)} == {4}, "class balanced"
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_what_is_quantized_already_is_refused(trained, photos, tmp_path):
    first = run(QuantizeConfig(calibration_count=12), {"from": trained}, _context(tmp_path, photos))
    again = _artifact(tmp_path / first.file_name, Format.ONNX, first.spec)
    with pytest.raises(UsageError, match="quantized already"):
        run(QuantizeConfig(calibration_count=12), {"from": again}, _context(tmp_path / "again", photos))


def test_a_model_of_other_classes_is_refused(photos, tmp_path):
    spec = new_spec("tiny", ("blue", "green", "yellow"), 32)
    model = build_model(spec)
    save_model(tmp_path / "model.safetensors", model, spec)
    other = _artifact(tmp_path / "model.safetensors", Format.TORCH, describe(model, spec))
    with pytest.raises(StageError, match="yellow"):
        run(QuantizeConfig(), {"from": other}, _context(tmp_path, photos))


def test_a_file_without_labels_is_refused(float_model, photos, tmp_path):
    path = tmp_path / "foreign.onnx"
    onnx.save(float_model, path)
    with pytest.raises(UsageError, match="carries no labels"):
        run(QuantizeConfig(), {"from": _artifact(path, Format.ONNX, None)}, _context(tmp_path, photos))
