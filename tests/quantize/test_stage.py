from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format, Precision
from compress.core.preprocess import Preprocess
from compress.core.stage import RunContext, SilentReporter
from compress.errors import CheckError, StageError, UsageError
from compress.graph.metadata import spec_of
from compress.graph.target_check import float_nodes
from compress.models.build import build_model, describe, new_spec
from compress.models.weights import save_model
from compress.quantize.config import QatOptions, QuantizeConfig
from compress.quantize.stage import run
from compress.runtime.open import open_predictor
from compress.train.config import TrainConfig, TrainOptions
from compress.train.stage import run as train

pytestmark = pytest.mark.slow

QUICK = {"reconstruct": {"steps": 20}}  # where it does not matter how far weights have moved


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
    fit = TrainOptions(epochs=15, batch_size=8, lr=3e-3)
    config = TrainConfig(arch="tiny", weights="none", input_px=32, fit=fit)
    output = train(config, {}, RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos)))
    return _artifact(folder / output.file_name, Format.TORCH, output.spec)


def _context(folder: Path, photos: Path) -> RunContext:
    return RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos))


@pytest.mark.parametrize("scheme", ["int8_static", "int8_qat", "dynamic"])
def test_each_scheme_writes_a_model_that_says_what_it_is(scheme, trained, photos, tmp_path):
    fit = QatOptions(epochs=1, batch_size=8)
    config = QuantizeConfig(**QUICK, scheme=scheme, calibration_count=12, fit=fit)
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
        config = QuantizeConfig(
            **QUICK, scheme=scheme, calibration_count=12, fit=QatOptions(epochs=2, batch_size=8, keep="last")
        )
        return onnx.load(folder / run(config, {"from": trained}, _context(folder, photos)).file_name)

    static, qat = ({t.name: t for t in made(s).graph.initializer} for s in ("int8_static", "int8_qat"))
    assert set(static) == set(qat)
    assert static["images_scale"] != qat["images_scale"], "ranges are learned"
    assert any(static[n] != qat[n] for n in static if n.endswith("_quantized")), "so are weights"


def test_the_calibration_images_are_recorded_and_from_training(trained, photos, tmp_path):
    run(QuantizeConfig(**QUICK, calibration_count=12), {"from": trained}, _context(tmp_path, photos))
    rows = json.loads((tmp_path / "calibration.json").read_text())
    assert len(rows) == 12
    labels = [row["label"] for row in rows]
    assert {labels.count(label) for label in set(labels)} == {4}, "class balanced"
    assert all(len(row["sha256"]) == 64 for row in rows)


def test_what_is_quantized_already_is_refused(trained, photos, tmp_path):
    first = run(QuantizeConfig(**QUICK, calibration_count=12), {"from": trained}, _context(tmp_path, photos))
    again = _artifact(tmp_path / first.file_name, Format.ONNX, first.spec)
    with pytest.raises(UsageError, match="quantized already"):
        run(QuantizeConfig(**QUICK, calibration_count=12), {"from": again}, _context(tmp_path / "again", photos))


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


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return 20 images in one folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(20):
        pixels = np.random.default_rng(index).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


def _without_data(folder: Path) -> RunContext:
    folder.mkdir()
    return RunContext(stage_dir=folder, seed=0, data=None)


def test_an_architecture_is_calibrated_on_a_folder_and_judged_on_a_fifth(images, tmp_path):
    config = QuantizeConfig(**QUICK, arch="tiny", weights="none", input_px=32, calibration=images)
    output = run(config, {}, _without_data(tmp_path / "out"))
    assert output.metrics["judged_images"] == 4
    assert output.metrics["judged_on"] == "held-out calibration images"
    assert output.metrics["sqnr_db"] > 10
    assert "top1_pct" not in output.metrics
    model = onnx.load(tmp_path / "out" / output.file_name)
    digest = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "imgc.calibration"))
    assert digest["count"] == 16
    assert digest["manifest_sha256"] == sha256_file(tmp_path / "out/calibration.json")


def test_a_folder_beside_labelled_images_calibrates_and_they_judge(trained, photos, images, tmp_path):
    config = QuantizeConfig(**QUICK, calibration=images)
    output = run(config, {"from": trained}, _context(tmp_path, photos))
    assert output.metrics["judged_on"] == "validation images"
    assert "top1_pct" in output.metrics
    rows = json.loads((tmp_path / "calibration.json").read_text())
    assert len(rows) == 20


def test_channels_of_zeros_can_be_quantized(images, tmp_path):
    module = build_model(new_spec("tiny", ("a", "b", "c"), 32))
    with torch.no_grad():
        module.conv_stem.weight[:4] = 0
        module.bn1.weight[:2] = 0
        module.bn1.bias[:2] = 0
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    config = QuantizeConfig(
        **QUICK, arch="tiny", weights=str(tmp_path / "w.safetensors"), input_px=32, calibration=images
    )
    output = run(config, {}, _without_data(tmp_path / "out"))
    logits = open_predictor(tmp_path / "out" / output.file_name).predict(np.zeros((1, 3, 32, 32), np.float32))
    assert np.isfinite(logits).all()


def test_a_file_of_another_tool_with_its_preprocessing(float_model, images, tmp_path):
    onnx.save(float_model, tmp_path / "foreign.onnx")
    config = QuantizeConfig(**QUICK, calibration=images, preprocess=Preprocess(resize_px=32, crop_px=32))
    given = _artifact(tmp_path / "foreign.onnx", Format.ONNX, None)
    output = run(config, {"from": given}, _without_data(tmp_path / "out"))
    assert output.spec.arch == "foreign"
    assert output.spec.labels == ("0", "1", "2", "3", "4")
    assert output.metrics["sqnr_db"] > 10


def test_training_needs_labels(images, tmp_path):
    config = QuantizeConfig(arch="tiny", weights="none", input_px=32, calibration=images, scheme="int8_qat")
    with pytest.raises(UsageError, match="int8_qat trains"):
        run(config, {}, _without_data(tmp_path / "out"))


def test_a_model_that_breaks_its_target_fails_before_any_work(float_model, images, tmp_path):
    onnx.save(float_model, tmp_path / "foreign.onnx")
    given = _artifact(tmp_path / "foreign.onnx", Format.ONNX, None)
    prepare = Preprocess(resize_px=32, crop_px=32)
    config = QuantizeConfig(calibration=images, preprocess=prepare, target="mcu", hard_swish="float")
    with pytest.raises(CheckError, match=r"swish \(HardSwish\) computes in float") as caught:
        run(config, {"from": given}, _without_data(tmp_path / "out"))
    assert "hard_swish: gate" in caught.value.hint
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(CheckError, match=r"head \(Gemm\) computes in float"):
        run(
            config.model_copy(update={"hard_swish": "gate", "exclude": ("head",)}),
            {"from": given},
            _without_data(tmp_path / "b"),
        )


def test_a_model_for_a_microcontroller_has_no_float_op(float_model, images, tmp_path):
    onnx.save(float_model, tmp_path / "foreign.onnx")
    config = QuantizeConfig(calibration=images, preprocess=Preprocess(resize_px=32, crop_px=32), target="mcu")
    output = run(
        config, {"from": _artifact(tmp_path / "foreign.onnx", Format.ONNX, None)}, _without_data(tmp_path / "out")
    )
    assert float_nodes(onnx.load(tmp_path / "out" / output.file_name)) == []


def test_sensitivity_is_written_beside_the_model(trained, photos, tmp_path):
    config = QuantizeConfig(**QUICK, calibration_count=12, sensitivity=True)
    output = run(config, {"from": trained}, _context(tmp_path, photos))
    found = json.loads((tmp_path / "sensitivity.json").read_text())
    assert found["images"] == 9
    assert found["judged_on"] == "validation images"
    assert found["layers"][0]["layer"] == output.metrics["worst_layer"]
    assert all(0 <= layer["top1_pct"] <= 100 for layer in found["layers"])
    assert (tmp_path / "sensitivity.svg").read_text().startswith("<svg")
    names = {node.name for node in onnx.load(tmp_path / output.file_name).graph.node}
    excluded = {name for layer in found["layers"] for name in layer["nodes"]}
    assert len(excluded & names) > len(excluded) // 2


ROUGH = {"calibration_count": 12, "reconstruct": {"steps": 0}, "range_rule": "percentile", "percentile": 99.0}


def test_a_bound_that_does_not_hold_leaves_layers_float(trained, photos, tmp_path):
    plain = run(QuantizeConfig(**ROUGH), {"from": trained}, _context(tmp_path / "plain", photos))
    wanted = plain.metrics["agreement_pct"] + 1  # how far rough ranges lead astray differs from CPU to CPU
    assert wanted < 100
    config = QuantizeConfig(**ROUGH, min_agreement_pct=wanted)
    output = run(config, {"from": trained}, _context(tmp_path / "bound", photos))
    assert output.metrics["agreement_pct"] >= wanted
    assert output.metrics["float_layers"] >= 1
    assert output.metrics["mixed_p50_ms"] > 0 < output.metrics["full_int8_p50_ms"]
    floats = {node.name for node in float_nodes(onnx.load(tmp_path / "bound" / output.file_name))}
    assert set(output.metrics["float_layer_names"].split(", ")) & floats
    assert not (tmp_path / "bound/tries").exists()


def test_a_stem_with_hard_swish_stays_float_unless_integers_are_wanted(images, tmp_path):
    given = {"arch": "tf_mobilenetv3_small_100", "weights": "none", "input_px": 32, "calibration": images}
    stem = {"conv_stem", "hardswish_0", "blocks.0.0.conv_dw"}
    kept = {}
    for way in ("float", "int8"):
        folder = tmp_path / way
        output = run(QuantizeConfig(**given, reconstruct={"steps": 0}, stem=way), {}, _without_data(folder))
        kept[way] = stem & {node.name for node in float_nodes(onnx.load(folder / output.file_name))}
    assert kept == {"float": stem, "int8": {"hardswish_0"}}


def test_a_bound_that_holds_costs_nothing(trained, photos, tmp_path):
    config = QuantizeConfig(**QUICK, calibration_count=12, min_agreement_pct=10.0)
    assert run(config, {"from": trained}, _context(tmp_path, photos)).metrics["float_layers"] == 0


def test_a_bound_that_cannot_hold_fails_with_numbers(images, tmp_path):
    options = {**ROUGH, "percentile": 50.0}
    given = {"arch": "tiny", "weights": "none", "input_px": 32, "calibration": images, "target": "mcu"}
    config = QuantizeConfig(**options, **given, min_agreement_pct=100.0)
    with pytest.raises(StageError, match=r"agreement is .*target mcu allows no float layer"):
        run(config, {}, _without_data(tmp_path / "out"))


def test_a_drop_needs_labels(images, tmp_path):
    config = QuantizeConfig(arch="tiny", weights="none", input_px=32, calibration=images, max_drop_pp=1.0)
    with pytest.raises(UsageError, match="images with labels"):
        run(config, {}, _without_data(tmp_path / "out"))


@pytest.mark.parametrize("target", ["cpu-xnnpack", "ort-x86"])
def test_auto_keeps_the_fastest_within_the_bound_and_writes_the_table(target, trained, photos, tmp_path):
    options = {"calibration_count": 12, "reconstruct": {"steps": 0}, "max_drop_pp": 50.0}
    config = QuantizeConfig(scheme="auto", target=target, **options)
    output = run(config, {"from": trained}, _context(tmp_path, photos))
    plan = json.loads((tmp_path / "plan.json").read_text())
    rows = {row["name"]: row for row in plan["candidates"]}
    assert {"fp32", "int8"} == set(rows) - {"dynamic (int8 weights)", "int8, worst layers float"}
    assert ("dynamic (int8 weights)" in rows) == (target == "ort-x86")
    assert all((row["partitions"] is None) == (target == "ort-x86") for row in rows.values())
    assert plan["chosen"] == output.metrics["chosen"]
    allowed = [row for row in rows.values() if not row["refused"]]
    assert rows[plan["chosen"]]["p50_ms"] <= 1.031 * min(row["p50_ms"] for row in allowed)
    assert (output.spec.precision is Precision.FP32) == (plan["chosen"] == "fp32")
    assert (tmp_path / "calibration.json").exists() == (output.spec.precision is Precision.INT8)
    assert not (tmp_path / "candidates").exists()


def test_auto_for_integers_only_never_falls_back_to_floats(images, tmp_path):
    given = {"arch": "tiny", "weights": "none", "input_px": 32, "calibration": images, "target": "mcu"}
    options = {"range_rule": "percentile", "percentile": 50.0, "reconstruct": {"steps": 0}, "calibration_count": 12}
    config = QuantizeConfig(scheme="auto", **given, **options, min_agreement_pct=100.0)
    with pytest.raises(StageError, match=r"no candidate keeps the constraint \(agreement >= 100 %\)"):
        run(config, {}, _without_data(tmp_path / "out"))
    assert not (tmp_path / "out/model.onnx").exists()


class _Warned(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, message: str) -> None:
        self.texts.append(message)


@pytest.mark.parametrize(("bound", "warned"), [({}, True), ({"min_agreement_pct": 0.0}, False)])
def test_a_bad_file_comes_with_what_helps_unless_a_bound_was_given(bound, warned, images, tmp_path):
    given = {"arch": "tiny", "weights": "none", "input_px": 32, "calibration": images}
    config = QuantizeConfig(**given, **(ROUGH | {"percentile": 50.0}), **bound)
    reporter = _Warned()
    output = run(config, {}, replace(_without_data(tmp_path / "out"), reporter=reporter))
    assert output.metrics["agreement_pct"] < 95
    assert any("min_agreement_pct: 95" in text for text in reporter.texts) == warned
    assert not any("int8_qat" in text for text in reporter.texts), "there are no labels to train with"
