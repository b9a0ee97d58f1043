from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compress.core.dataset import BoxesData
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.graph.importer import import_detector
from compress.quantize.accuracy import box_reference as under_test
from compress.quantize.accuracy.box_reference import BoxReference, box_reference_of
from compress.quantize.accuracy.reference import MAX_SQNR_DB, Outputs
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.detector import open_detector
from tests.detector_files import DetectorFiles

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph(detector_files: DetectorFiles) -> TorchGraph:
    return TorchGraph(import_detector(detector_files.onnx)[0])


def made(files: DetectorFiles, graph: TorchGraph, *, labelled: bool) -> BoxReference:
    dataset = load_dataset(BoxesData(kind="coco", path=files.data), seed=0, task="detect")
    spec = open_detector(files.onnx).spec
    return box_reference_of(graph, dataset.splits["val"], spec, "images", SilentReporter(), labelled=labelled)


@pytest.fixture(scope="module")
def reference(detector_files: DetectorFiles, graph: TorchGraph) -> BoxReference:
    return made(detector_files, graph, labelled=True)


@pytest.fixture(scope="module")
def unlabelled(detector_files: DetectorFiles, graph: TorchGraph) -> BoxReference:
    return made(detector_files, graph, labelled=False)


def answers(reference: BoxReference, graph: TorchGraph) -> Outputs:
    images_NCHW = torch.from_numpy(under_test.normalize(reference.pixels_NHWC, reference.spec.preprocess))
    with torch.inference_mode():
        return tuple(part.numpy() for part in graph(images_NCHW))


def noisy(values: np.ndarray, spread: float) -> np.ndarray:
    return (values + np.random.default_rng(0).normal(0, spread, values.shape)).astype(np.float32)


@pytest.mark.parametrize("fmt", ["torch", "onnx", "tflite"])
def test_a_file_that_answers_as_the_float_network_agrees_in_full(detector_files, reference, fmt):
    metrics = reference.measure(getattr(detector_files, fmt), SilentReporter())
    assert metrics["agreement_pct"] == 100
    assert metrics["map_pct"] == pytest.approx(metrics["float_map_pct"], abs=1e-3)
    assert metrics["map_pct"] > 0
    assert (metrics["judged_images"], metrics["judged_on"]) == (4, "images")


def test_images_are_judged_batch_by_batch_alike(detector_files, reference, monkeypatch):
    whole = reference.measure(detector_files.onnx, SilentReporter())
    monkeypatch.setattr(under_test, "_BATCH", 3)
    assert reference.measure(detector_files.onnx, SilentReporter()) == pytest.approx(whole, abs=1e-3)


def test_boxes_are_judged_in_the_pixels_of_their_images(detector_files, reference):
    assert [known.size for known in reference.known_N] == [(160 + 20 * index, 120) for index in range(4)]
    known = tuple(
        replace(known, corners_B4=boxes.corners_B4 * np.float32(known.size * 2), classes_B=boxes.classes_B)
        for boxes, known in zip(reference.float_N, reference.known_N, strict=True)
    )
    metrics = replace(reference, known_N=known).measure(detector_files.onnx, SilentReporter())
    assert metrics["float_map_pct"] == pytest.approx(100)
    assert metrics["map_pct"] > 99


def test_some_of_the_images_are_judged_as_they_were(detector_files, reference, graph):
    part = reference.on([2, 0])
    np.testing.assert_array_equal(part.pixels_NHWC, reference.pixels_NHWC[[2, 0]])
    for name in ("float_N", "places_N", "known_N"):
        before, after = (getattr(one, name) for one in (reference, part))
        assert [id(one) for one in after] == [id(before[2]), id(before[0])]
    assert part.measure(detector_files.onnx, SilentReporter())["judged_images"] == 2
    assert part.measure(detector_files.onnx, SilentReporter())["agreement_pct"] == 100
    assert [len(one) for one in answers(part, graph)] == [2, 2]


def test_equal_answers_lose_nothing(reference, graph, detector_files):
    wanted = answers(reference, graph)
    loss = reference.compare(wanted, wanted)
    assert (loss.kl, loss.agreement_pct, loss.sqnr_db) == (0, 100, pytest.approx(MAX_SQNR_DB))
    float_pct = reference.measure(detector_files.onnx, SilentReporter())["float_map_pct"]
    assert loss.accuracy_pct == pytest.approx(float_pct, abs=1e-3)


def test_the_more_the_logits_are_spoiled_the_more_is_lost(reference, graph):
    raw, logits = wanted = answers(reference, graph)
    equal, little, much = (reference.compare(wanted, (raw, noisy(logits, spread))) for spread in (0, 0.1, 1))
    assert 0 == equal.kl < little.kl < much.kl
    assert 100 == equal.agreement_pct > little.agreement_pct > much.agreement_pct
    assert equal.sqnr_db > little.sqnr_db > much.sqnr_db


def test_the_divergence_is_for_each_anchor_that_sees_something(reference, graph):
    raw, logits = answers(reference, graph)
    spoiled = noisy(logits, 0.5)
    wanted, found = (np.exp(one.astype(np.float64)) for one in (logits, spoiled))
    wanted, found = (one / one.sum(axis=2, keepdims=True) for one in (wanted, found))
    expected = (wanted * np.log(wanted / found)).sum() / (1 - wanted[..., 0]).sum()
    assert reference.compare((raw, logits), (raw, spoiled)).kl == pytest.approx(expected, rel=1e-4)


def test_boxes_in_other_places_are_others_though_the_scores_are_equal(reference, graph):
    raw, logits = wanted = answers(reference, graph)
    loss = reference.compare(wanted, (noisy(raw, 5), logits))
    assert (loss.kl, loss.sqnr_db) == (0, pytest.approx(MAX_SQNR_DB))
    assert loss.agreement_pct < 90


def test_only_boxes_that_the_file_shows_are_compared(reference, graph):
    wanted = answers(reference, graph)
    strict = replace(reference, coding=reference.coding.model_copy(update={"score_threshold": 1.0}))
    found = strict.compare(wanted, (noisy(wanted[0], 5), noisy(wanted[1], 1)))
    assert (found.agreement_pct, found.accuracy_pct) == (100, 0)


def test_without_known_boxes_there_is_agreement_alone(detector_files, reference, unlabelled, graph):
    assert (reference.is_labelled, unlabelled.is_labelled) == (True, False)
    metrics = unlabelled.measure(detector_files.onnx, SilentReporter())
    assert metrics == {"agreement_pct": 100, "judged_images": 4, "judged_on": "images"}
    wanted = answers(unlabelled, graph)
    spoiled = wanted[0], noisy(wanted[1], 1)
    assert unlabelled.compare(wanted, spoiled) == replace(reference.compare(wanted, spoiled), accuracy_pct=None)
    assert unlabelled.on([1]).measure(detector_files.onnx, SilentReporter())["judged_images"] == 1
    assert unlabelled.told(metrics) == "100.00 % of the boxes as the float model's on 4 images (score 0.3 and more)"


def test_with_known_boxes_their_accuracy_is_told_first(reference):
    metrics = {
        "map_pct": 71.5,
        "float_map_pct": 72.25,
        "agreement_pct": 98.0,
        "judged_images": 4,
        "judged_on": "images",
    }
    assert reference.told(metrics).startswith("mAP 71.50 % (float 72.25 %), 98.00 % of the boxes")
