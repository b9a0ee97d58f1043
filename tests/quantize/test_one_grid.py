"""The classic fault of detectors in int8: boxes in pixels and scores in one tensor, and so on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compress.core.artifact import Metrics
from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.graph.metadata import embed_spec
from compress.graph.proto import copy_of
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.accuracy.box_reference import BoxReference, box_reference_of
from compress.quantize.ptq.reconstruct import Reconstruction
from compress.quantize.ptq.static import CalibrationImages, StaticGraph, StaticOptions, quantize_statically
from compress.quantize.qdq.quantizer_setup import range_groups
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.quantize.source import float_graph
from tests.detector_files import TrainedDetector

pytestmark = pytest.mark.slow

GATE = AccuracyConstraint(None, 95.0)
PIXELS = 320.0


@dataclass(frozen=True)
class Case:
    """A trained detector as a float graph, and what its int8 files are calibrated on and judged by."""

    model: onnx.ModelProto
    spec: ModelSpec
    images: CalibrationImages
    reference: BoxReference

    def quantized(self, model: onnx.ModelProto, rule: str) -> StaticGraph:
        options = StaticOptions(
            rule=rule,
            percentile=99.99,
            hard_swish="float",
            floats=(),
            correct_biases=False,
            reconstruction=Reconstruction(steps=0, batch_size=4, lr=0.02, lr_scale=1e-3),
            coding=self.spec.boxes,
        )
        return quantize_statically(model, self.images, options, seed=0, reporter=SilentReporter())

    def judged(self, model: onnx.ModelProto, path: Path) -> Metrics:
        embed_spec(model, self.spec)
        onnx.save(model, path)
        return self.reference.measure(path, SilentReporter())


@pytest.fixture(scope="module")
def case(trained_detector: TrainedDetector) -> Case:
    model, spec = float_graph(trained_detector.artifact)
    dataset = load_dataset(trained_detector.data, seed=0, task="detect")
    pixels_NHWC = evaluation_pixels(dataset.splits["train"], spec.preprocess, SilentReporter())
    reference = box_reference_of(
        TorchGraph(model), dataset.splits["val"], spec, "images", SilentReporter(), labelled=True
    )
    return Case(model, spec, CalibrationImages(pixels_NHWC, spec.preprocess), reference)


def in_one_tensor(model: onnx.ModelProto, pixels: float) -> onnx.ModelProto:
    """Return the network with boxes, times `pixels`, beside logits in one tensor [N, A, 4 + K], and cut out of it."""
    joined, node = copy_of(model), helper.make_node
    for one in joined.graph.node:
        if one.output[0] in ("boxes", "logits"):
            one.output[0] += "_alone"
    constants = {"pixels": np.float32(pixels), "shares": np.float32(1 / pixels)}
    constants |= {name: np.array([value]) for name, value in {"start": 0, "four": 4, "end": 99, "last": 2}.items()}
    joined.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    joined.graph.node.extend(
        [
            node("Mul", ["boxes_alone", "pixels"], ["boxes_px"], "to_pixels"),
            node("Concat", ["boxes_px", "logits_alone"], ["both"], "join", axis=2),
            node("Slice", ["both", "start", "four", "last"], ["boxes_cut"], "cut_boxes"),
            node("Mul", ["boxes_cut", "shares"], ["boxes"], "from_pixels"),
            node("Slice", ["both", "four", "end", "last"], ["logits"], "cut_logits"),
        ]
    )
    onnx.checker.check_model(joined, full_check=True)
    return joined


def test_the_float_network_in_one_tensor_answers_as_it_did(case: Case, tmp_path: Path):
    metrics = case.judged(in_one_tensor(case.model, PIXELS), tmp_path / "float.onnx")
    assert metrics["agreement_pct"] == 100
    assert metrics["map_pct"] == pytest.approx(metrics["float_map_pct"], abs=0.01)
    assert not GATE.broken_by(metrics)


def test_one_tensor_is_one_grid_for_boxes_and_logits(case: Case):
    (shared,) = [g for g in range_groups(in_one_tensor(case.model, PIXELS)) if "both" in g.tensors]
    assert {"boxes_px", "boxes_cut", "logits_alone", "logits", "score_heads.0.1"} <= set(shared.tensors)


@pytest.mark.parametrize("rule", ["mse", "minmax", "percentile"])
def test_boxes_in_pixels_and_scores_on_one_grid_break_the_gate(case: Case, tmp_path: Path, rule: str):
    own = case.quantized(case.model, rule)
    shared = case.quantized(in_one_tensor(case.model, PIXELS), rule)
    assert shared.quantized.grids()["logits"].scale > 20 * own.quantized.grids()["logits"].scale
    good = case.judged(own.to_qdq("uint8"), tmp_path / "own.onnx")
    bad = case.judged(shared.to_qdq("uint8"), tmp_path / "shared.onnx")
    assert bad["agreement_pct"] < 40 < 85 < good["agreement_pct"]
    assert bad["map_pct"] < good["map_pct"] - 20
    assert GATE.broken_by(bad) == f"agreement is {bad['agreement_pct']:.2f} %, at least 95 is wanted"


def test_it_is_the_pixels_that_do_the_harm(case: Case, tmp_path: Path):
    metrics = case.judged(case.quantized(in_one_tensor(case.model, 1.0), "mse").to_qdq("uint8"), tmp_path / "one.onnx")
    assert metrics["agreement_pct"] > 85
