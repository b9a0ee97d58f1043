from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compress.core.artifact import Artifact, StageOutput
from compress.core.boxes import BoxCoding
from compress.core.dataset import BoxesData
from compress.core.formats import Format, Precision
from compress.core.stage import RunContext, SilentReporter
from compress.data.transforms import preprocess_files
from compress.errors import StageError
from compress.export.config import ExportConfig
from compress.export.stage import run as export
from compress.graph.metadata import spec_of
from compress.graph.target_check import float_nodes
from compress.quantize.config import QatOptions, QuantizeConfig
from compress.quantize.ptq import divergence
from compress.quantize.ptq.divergence import Divergence
from compress.quantize.qdq.quantizer_setup import range_groups
from compress.quantize.source import float_graph
from compress.quantize.stage import run
from compress.runtime.detector import open_detector
from tests.detector_files import TrainedDetector, artifact_of

pytestmark = pytest.mark.slow

QUICK = {"calibration_count": 12, "reconstruct": {"steps": 0}}
STEPS = {"calibration_count": 12, "reconstruct": {"steps": 20, "batch_size": 4}}
ROUGH = {**QUICK, "range_rule": "percentile", "percentile": 99.0}


def quantized(source: Artifact, data: BoxesData | None, folder: Path, **options: object) -> StageOutput:
    folder.mkdir(parents=True, exist_ok=True)
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=data)
    return run(QuantizeConfig(**options), {"from": source}, ctx)


@pytest.fixture(scope="module")
def static(trained_detector: TrainedDetector, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("static")
    for name, options in {"calibrated": QUICK, "reconstructed": STEPS}.items():
        made = quantized(trained_detector.artifact, trained_detector.data, folder / name, **options)
        (folder / name / "output.json").write_text(made.model_dump_json())
    return {name: folder / name for name in ("calibrated", "reconstructed")}


def output_of(folder: Path) -> StageOutput:
    return StageOutput.model_validate_json((folder / "output.json").read_text())


def constants_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def scales_behind(model: onnx.ModelProto, output: str) -> set[float]:
    """Return the scales of an output, and of all that is laid together to make it."""
    constants, makers = constants_of(model), {node.output[0]: node for node in model.graph.node}
    found, left = set(), [output]
    while left:
        node = makers[left.pop()]
        if node.op_type == "DequantizeLinear":
            found.add(float(constants[node.input[1]]))
        if node.op_type in ("DequantizeLinear", "QuantizeLinear", "Reshape", "Transpose"):
            left.append(node.input[0])
        elif node.op_type == "Concat":
            left += node.input
        else:
            assert node.op_type == "Conv"
    return found


@pytest.mark.parametrize("name", ["calibrated", "reconstructed"])
def test_the_int8_file_says_what_it_is_and_what_it_is_worth(static: dict[str, Path], name: str):
    path, output = static[name] / "model.onnx", output_of(static[name])
    assert (output.format, output.spec.precision, output.spec.task) == (Format.ONNX, Precision.INT8, "detect")
    assert spec_of(onnx.load(path), path) == output.spec
    metrics = output.metrics
    assert (metrics["judged_images"], metrics["judged_on"]) == (12, "validation images")
    assert metrics["float_map_pct"] > 50
    assert metrics["map_pct"] == pytest.approx(metrics["float_map_pct"], abs=15)
    assert 80 < metrics["agreement_pct"] <= 100
    assert not {"top1_pct", "float_confidence_pct"} & set(metrics)


def test_the_file_finds_what_the_trained_network_finds(static: dict[str, Path], trained_detector: TrainedDetector):
    paths = sorted((trained_detector.data.path / "images").glob("val-*.png"))
    images_NCHW = preprocess_files(paths, trained_detector.artifact.spec.preprocess)
    before, after = (
        open_detector(path).answers(images_NCHW)
        for path in (trained_detector.artifact.path, static["calibrated"] / "model.onnx")
    )
    for wanted, found in zip(before, after, strict=True):
        assert 0 < np.abs(wanted - found).max() < np.abs(wanted).max()
        assert np.corrcoef(wanted.ravel(), found.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("name", ["calibrated", "reconstructed"])
def test_boxes_and_logits_have_grids_of_their_own(static: dict[str, Path], name: str):
    model = onnx.load(static[name] / "model.onnx")
    assert [value.name for value in model.graph.output] == ["boxes", "logits"]
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    assert (makers["boxes"], makers["logits"]) == ("DequantizeLinear", "DequantizeLinear")
    boxes, logits = (scales_behind(model, output) for output in ("boxes", "logits"))
    assert (len(boxes), len(logits)) == (1, 1)
    assert boxes.isdisjoint(logits)


def test_each_head_shares_its_range_with_its_own_output(trained_detector: TrainedDetector):
    model, _ = float_graph(trained_detector.artifact)
    group_of = {tensor: group for group in range_groups(model) for tensor in group.tensors}
    assert group_of["boxes"] != group_of["logits"]
    for output, other, head in (("boxes", "logits", "box_heads"), ("logits", "boxes", "score_heads")):
        ends = [f"{head}.{index}.1" for index in range(6)]
        assert set(ends) <= set(group_of[output].tensors)
        assert not set(ends) & set(group_of[other].tensors)


def test_reconstruction_moves_the_weights_and_the_ranges(static: dict[str, Path]):
    before, after = (constants_of(onnx.load(static[name] / "model.onnx")) for name in ("calibrated", "reconstructed"))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {"box_heads.0.1.weight_quantized", "score_heads.0.1.weight_quantized"} <= moved
    assert {name for name in moved if name.endswith("_scale")}


def test_reconstruction_is_told_what_the_numbers_mean(trained_detector: TrainedDetector, tmp_path, monkeypatch):
    meant, told = [], []

    def of_boxes(coding: BoxCoding) -> Divergence:
        meant.append(coding)
        return lambda found, wanted: told.append((found, wanted)) or divergence.of_boxes(coding)(found, wanted)

    monkeypatch.setattr("compress.quantize.ptq.static.of_boxes", of_boxes)
    few = {"calibration_count": 12, "reconstruct": {"steps": 2, "batch_size": 4}}
    quantized(trained_detector.artifact, trained_detector.data, tmp_path, **few)
    assert meant == [trained_detector.artifact.spec.boxes]
    shapes = [tuple(part.shape[1:] for part in answers) for pair in told for answers in pair]
    assert shapes == [((522, 4), (522, 3))] * 4


def test_training_starts_from_there_and_learns(static: dict[str, Path], trained_detector: TrainedDetector, tmp_path):
    fit = QatOptions(epochs=1, batch_size=4, keep="last")
    output = quantized(trained_detector.artifact, trained_detector.data, tmp_path, **QUICK, scheme="int8_qat", fit=fit)
    assert output.metrics["scheme"] == "int8_qat"
    assert output.metrics["map_pct"] == pytest.approx(output.metrics["float_map_pct"], abs=15)
    before, after = (constants_of(onnx.load(path / "model.onnx")) for path in (static["calibrated"], tmp_path))
    assert set(before) == set(after)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {"boxes_float_scale", "logits_float_scale", "box_heads.0.1.weight_quantized"} <= moved
    assert not list(tmp_path.rglob("checkpoint*")), "a finished stage keeps no checkpoint"


def test_sensitivity_is_told_in_map(trained_detector: TrainedDetector, tmp_path: Path):
    output = quantized(trained_detector.artifact, trained_detector.data, tmp_path, **QUICK, sensitivity=True)
    found = json.loads((tmp_path / "sensitivity.json").read_text())
    assert (found["images"], found["judged_on"]) == (12, "validation images")
    assert found["float_map_pct"] == pytest.approx(output.metrics["float_map_pct"], abs=0.5)
    rows = found["layers"]
    assert rows[0]["layer"] == output.metrics["worst_layer"]
    assert all(0 <= row["map_pct"] <= 100 and row["kl"] >= 0 and "top1_pct" not in row for row in rows)
    assert {"box_heads.0.1", "score_heads.0.1"} <= {row["layer"] for row in rows}
    boxes, scores = (
        next(row for row in rows if row["layer"] == f"{head}.0.1") for head in ("box_heads", "score_heads")
    )
    assert boxes["kl"] == 0 < scores["kl"], "no score depends on where the box is"


def test_a_bound_that_does_not_hold_leaves_layers_float(trained_detector: TrainedDetector, tmp_path: Path):
    plain = quantized(trained_detector.artifact, trained_detector.data, tmp_path / "plain", **ROUGH)
    wanted = plain.metrics["agreement_pct"] + 5
    assert wanted < 95
    output = quantized(
        trained_detector.artifact, trained_detector.data, tmp_path / "bound", **ROUGH, min_agreement_pct=wanted
    )
    assert output.metrics["agreement_pct"] >= wanted
    assert output.metrics["float_layers"] >= 1
    floats = {node.name for node in float_nodes(onnx.load(tmp_path / "bound/model.onnx"))}
    assert set(output.metrics["float_layer_names"].split(", ")) & floats
    assert output.metrics["mixed_p50_ms"] > 0 < output.metrics["full_int8_p50_ms"]


def test_a_bound_that_no_float_layer_keeps_is_an_error(trained_detector: TrainedDetector, tmp_path: Path):
    options = {**ROUGH, "percentile": 50.0, "min_agreement_pct": 99.0}
    with pytest.raises(StageError, match=r"agreement >= 99 %.*does not hold, not even with half of the layers float"):
        quantized(trained_detector.artifact, trained_detector.data, tmp_path, **options)
    assert not (tmp_path / "model.onnx").exists()


def test_a_drop_of_map_is_a_bound_too(trained_detector: TrainedDetector, tmp_path: Path):
    options = {**ROUGH, "percentile": 50.0, "max_drop_pp": 1.0, "target": "mcu", "reconstruct": {"steps": 0}}
    with pytest.raises(StageError, match=r"mAP drops by \d+\.\d+ pp, allowed 1; target mcu allows no float layer"):
        quantized(trained_detector.artifact, trained_detector.data, tmp_path, **options)


def test_a_folder_of_images_suffices_where_nobody_drew_boxes(trained_detector: TrainedDetector, tmp_path: Path):
    images = trained_detector.data.path / "images"
    output = quantized(trained_detector.artifact, None, tmp_path, **QUICK, calibration=images)
    assert output.metrics["judged_on"] == "held-out calibration images"
    assert output.metrics["agreement_pct"] > 80
    assert "map_pct" not in output.metrics


def test_the_int8_file_becomes_tflite_of_one_piece(
    static: dict[str, Path], trained_detector: TrainedDetector, tmp_path
):
    made = output_of(static["calibrated"])
    source = artifact_of(static["calibrated"] / "model.onnx", made.spec).model_copy(update={"format": Format.ONNX})
    ctx = RunContext(stage_dir=tmp_path, seed=0, device="cpu", reporter=SilentReporter(), data=trained_detector.data)
    metrics = export(ExportConfig(format="tflite"), {"from": source}, ctx).metrics
    assert metrics["precision"] == "int8"
    assert metrics["delegate_partitions"] == 1
    assert metrics["lossless_grids"] > 0 < metrics["lossless_integers"]
    assert metrics["parity_agreement_pct"] > 95
    assert (tmp_path / "model.tflite").stat().st_size < trained_detector.artifact.size_bytes / 2.5
    assert open_detector(tmp_path / "model.tflite").spec.precision is Precision.INT8
