"""Detectors of other tools, described once and then read by every verb."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from compress.core.box_outputs import BoxOutputs
from compress.core.preprocess import preset
from compress.core.stage import RunContext, SilentReporter
from compress.errors import ModelFileError, UsageError
from compress.export.config import ExportConfig
from compress.export.stage import run as export
from compress.graph.proto import rename
from compress.graph.versions import to_half
from compress.models.weights import load_model
from compress.runtime.describe import described
from compress.runtime.detector import open_detector, spec_in_file
from compress.runtime.open import open_predictor
from compress.runtime.tflite_meta import pack, text_of, unpack
from tests.detector_files import LABELS, SIDE, DetectorFiles, artifact_of

HALVES = preset("tf", SIDE)
NOISE = np.random.default_rng(0).random((2, 3, SIDE, SIDE), dtype=np.float32)


class Elsewhere(nn.Module):
    """A detector as another framework has it: channels last, scores in place of logits, and an output too many."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NHWC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw_NA4, logits_NAK = self.network(images_NHWC.permute(0, 3, 1, 2))
        return raw_NA4, logits_NAK.softmax(dim=-1), logits_NAK.argmax(dim=-1)


@pytest.fixture(scope="module")
def foreign_onnx(detector_files: DetectorFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("foreign") / "ssd.onnx"
    network = Elsewhere(load_model(detector_files.torch)[0].eval())
    image = torch.rand(1, SIDE, SIDE, 3)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old exporter is what the world's files come from
        names = {"input_names": ["image"], "output_names": ["raw", "scores", "best"]}
        torch.onnx.export(network, (image,), path, **names, dynamo=False, opset_version=17)
    return path


def outputs_of(files: DetectorFiles, boxes: str, logits: str, **coding: object) -> BoxOutputs:
    known = open_detector(files.torch).coding
    return BoxOutputs(boxes=boxes, logits=logits, coding=known.model_copy(update=coding))


def test_a_foreign_onnx_detector_answers_as_it_did(
    foreign_onnx: Path, detector_files: DetectorFiles, tmp_path: Path
) -> None:
    content, spec = described(
        foreign_onnx, HALVES, LABELS, outputs_of(detector_files, "raw", "scores", activation="none")
    )
    assert (spec.arch, spec.labels, spec.task, spec.preprocess.fit) == ("foreign", LABELS, "detect", "stretch")
    (tmp_path / "d.onnx").write_bytes(content)
    raw, scores = open_detector(tmp_path / "d.onnx").answers(NOISE)
    raw_before, logits_before = open_detector(detector_files.torch).answers(NOISE)
    np.testing.assert_allclose(raw, raw_before, atol=1e-4)
    np.testing.assert_allclose(scores, torch.from_numpy(logits_before).softmax(-1).numpy(), atol=1e-5)
    model = onnx.ModelProto.FromString(content)
    assert [value.name for value in model.graph.output] == ["boxes", "logits"]
    assert "ArgMax" not in {node.op_type for node in model.graph.node}


def test_scores_of_a_described_file_are_not_taken_for_logits(
    foreign_onnx: Path, detector_files: DetectorFiles, tmp_path: Path
) -> None:
    content, _ = described(foreign_onnx, HALVES, LABELS, outputs_of(detector_files, "raw", "scores", activation="none"))
    (tmp_path / "d.onnx").write_bytes(content)
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    from compress.data.transforms import placement

    place = [placement((SIDE, SIDE), HALVES)]
    (after,) = open_detector(tmp_path / "d.onnx").detect(pixels, place, score_threshold=0.2)
    (before,) = open_detector(detector_files.onnx).detect(pixels, place, score_threshold=0.2)
    assert len(after) == len(before) > 0
    np.testing.assert_allclose(after.scores_B, before.scores_B, atol=1e-4)
    np.testing.assert_allclose(after.corners_B4, before.corners_B4, atol=1e-2)


def test_a_foreign_tflite_detector_is_cut_before_its_post_processing(
    detector_files: DetectorFiles, tmp_path: Path
) -> None:
    ctx = RunContext(stage_dir=tmp_path, seed=0, device="cpu", reporter=SilentReporter(), data=None)
    artifact = artifact_of(detector_files.torch, spec_in_file(detector_files.torch))
    export(ExportConfig(format="tflite", postprocess=True), {"from": artifact}, ctx)
    model = unpack((tmp_path / "model.tflite").read_bytes())
    model.metadata = []
    (graph,) = model.subgraphs
    raw = {text_of(graph.tensors[index].name): index for index in graph.outputs}
    graph.outputs = [index for name, index in raw.items() if name not in ("boxes", "logits")]
    graph.tensors[raw["boxes"]].name, graph.tensors[raw["logits"]].name = "offsets", "classes"
    (tmp_path / "ssd.tflite").write_bytes(pack(model))
    content, spec = described(tmp_path / "ssd.tflite", HALVES, None, outputs_of(detector_files, "offsets", "classes"))
    (after,) = unpack(content).subgraphs
    assert len(after.operators) < len(graph.operators)
    assert [text_of(after.tensors[index].name) for index in after.outputs] == ["boxes", "logits"]
    assert (spec.labels, spec.layout) == (("0", "1"), "NHWC")
    (tmp_path / "d.tflite").write_bytes(content)
    for after, before in zip(
        open_detector(tmp_path / "d.tflite").answers(NOISE),
        open_detector(detector_files.tflite).answers(NOISE),
        strict=True,
    ):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("names", [("logits", "boxes"), ("inner", "boxes"), ("logits", "inner"), ("boxes", "logits")])
def test_tensors_that_bear_each_others_names_are_not_mixed_up(
    detector_files: DetectorFiles, tmp_path: Path, names: tuple[str, str]
) -> None:
    model = onnx.load(detector_files.onnx)
    del model.metadata_props[:]
    for old, new in (("boxes", "first"), ("logits", "second"), ("first", names[0]), ("second", names[1])):
        rename(model.graph, old, new)
    for value, name in zip(model.graph.output, names, strict=True):
        value.name = name
    onnx.save(model, tmp_path / "ssd.onnx")
    content, _ = described(tmp_path / "ssd.onnx", HALVES, LABELS, outputs_of(detector_files, *names))
    (tmp_path / "d.onnx").write_bytes(content)
    pairs = (open_detector(path).answers(NOISE) for path in (tmp_path / "d.onnx", detector_files.onnx))
    for after, before in zip(*pairs, strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_float16_file_is_widened(foreign_onnx: Path, detector_files: DetectorFiles, tmp_path: Path) -> None:
    onnx.save(to_half(onnx.load(foreign_onnx)), tmp_path / "half.onnx")
    outputs = outputs_of(detector_files, "raw", "scores", activation="none")
    content, spec = described(tmp_path / "half.onnx", HALVES, LABELS, outputs)
    assert spec.precision == "fp32"
    (tmp_path / "d.onnx").write_bytes(content)
    raw, _ = open_detector(tmp_path / "d.onnx").answers(NOISE)
    np.testing.assert_allclose(raw, open_detector(detector_files.torch).answers(NOISE)[0], atol=0.05)


def test_operators_after_the_named_tensors_go(
    foreign_onnx: Path, detector_files: DetectorFiles, tmp_path: Path
) -> None:
    model = onnx.load(foreign_onnx)
    model.graph.node.append(helper.make_node("Exp", ["raw"], ["decoded"]))
    model.graph.output.append(helper.make_tensor_value_info("decoded", onnx.TensorProto.FLOAT, None))
    del model.graph.output[0]  # raw boxes are within the graph now
    onnx.save(model, tmp_path / "more.onnx")
    content, _ = described(tmp_path / "more.onnx", HALVES, LABELS, outputs_of(detector_files, "raw", "scores"))
    assert "Exp" not in {node.op_type for node in onnx.ModelProto.FromString(content).graph.node}


@pytest.mark.parametrize(
    ("boxes", "logits", "said"),
    [
        ("raw", "raw", "are one tensor"),
        ("raw", "nowhere", "no tensor 'nowhere' is made in it; its outputs are raw, scores, best"),
        ("scores", "raw", r"'scores' is \[1, \d+, 3\] and 'raw' \[1, \d+, 4\]; by `coding` there are \d+ anchors"),
    ],
)
def test_what_does_not_fit_is_said(
    boxes: str, logits: str, said: str, foreign_onnx: Path, detector_files: DetectorFiles
) -> None:
    with pytest.raises(UsageError, match=said):
        described(foreign_onnx, HALVES, None, outputs_of(detector_files, boxes, logits))


def test_another_number_of_labels_or_another_side_is_refused(foreign_onnx: Path, detector_files: DetectorFiles) -> None:
    outputs = outputs_of(detector_files, "raw", "scores")
    with pytest.raises(UsageError, match="answers for 2 classes, the labels name 1"):
        described(foreign_onnx, HALVES, ("one",), outputs)
    with pytest.raises(ModelFileError, match=r"wanted is one input of images \[N, 3, 96, 96\]"):
        described(foreign_onnx, preset("tf", 96), None, outputs)


def test_what_says_itself_what_it_is_is_not_described(detector_files: DetectorFiles) -> None:
    outputs = outputs_of(detector_files, "boxes", "logits")
    for file in (detector_files.onnx, detector_files.tflite, detector_files.torch):
        with pytest.raises(UsageError, match="says itself what it is"):
            described(file, HALVES, LABELS, outputs)


def test_a_classifier_is_described_as_it_is(tmp_path: Path) -> None:
    weight = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2, 3, 16, 16], np.linspace(-1, 1, 1536))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["map"]), helper.make_node("Flatten", ["map"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2])],
        [weight],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "c.onnx")
    content, spec = described(tmp_path / "c.onnx", preset("unit", 16), ("cat", "dog"), None)
    (tmp_path / "d.onnx").write_bytes(content)
    opened = open_predictor(tmp_path / "d.onnx")
    assert opened.spec == spec
    assert (opened.spec.labels, opened.spec.preprocess.crop_px) == (("cat", "dog"), 16)
    images = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32)
    before = open_predictor(tmp_path / "c.onnx", preprocess=preset("unit", 16)).predict(images)
    np.testing.assert_array_equal(opened.predict(images), before)
