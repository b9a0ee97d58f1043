from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.core.stage import SilentReporter
from compress.quantize.accuracy.float_reference import FloatReference, softmax_kl
from compress.quantize.accuracy.reference import MAX_SQNR_DB
from compress.quantize.accuracy.sensitivity import measure_sensitivity
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.ptq.static import rewritten
from compress.quantize.qdq.layers import layers_of
from compress.quantize.qdq.quantizer_setup import range_groups
from compress.quantize.qdq.torch_graph import TorchGraph


def _measured(model, images_NCHW, labels_N=None, spoil=None):
    model, _ = rewritten(original := model, "gate")
    groups, images = range_groups(model), torch.from_numpy(images_NCHW)
    grids = calibrate(model, groups, lambda: [images])
    if spoil:
        group = next(group for group in groups if spoil in group.tensors)
        grids[group] = type(grids[group])(grids[group].scale * 30, grids[group].zero_point)
    pixels_NHWC, float_NK = np.zeros((len(images), 1, 1, 3), np.uint8), np.zeros((len(images), 5), np.float32)
    reference = FloatReference(pixels_NHWC, float_NK, None if labels_N is None else tuple(labels_N), "noise")
    return measure_sensitivity(model, grids, layers_of(original), [images[:8], images[8:]], reference, SilentReporter())


@pytest.mark.parametrize(
    ("tensor", "layer"), [("h0", "stem"), ("cp", "project"), ("rd", "depthwise"), ("clip", "residual")]
)
def test_a_bad_grid_is_laid_at_the_door_of_its_layer_alone(float_model, images_NCHW, tensor, layer):
    before = {one.layer.name: one.loss for one in _measured(float_model, images_NCHW).ranked}
    after = {one.layer.name: one.loss for one in _measured(float_model, images_NCHW, spoil=tensor).ranked}
    assert after[layer].kl > 30 * before[layer].kl
    assert after[layer].sqnr_db < before[layer].sqnr_db - 10
    assert all(after[name] == before[name] for name in before if name != layer)


@pytest.mark.parametrize(("tensor", "layer"), [("h0", "stem"), ("clip", "residual")])
def test_the_layer_that_costs_most_is_ranked_first(float_model, images_NCHW, tensor, layer):
    found = _measured(float_model, images_NCHW, spoil=tensor)
    worst, *others = found.ranked
    assert worst.layer.name == layer
    assert worst.loss.sqnr_db < min(one.loss.sqnr_db for one in others)
    assert [one.loss.kl for one in found.ranked] == sorted((one.loss.kl for one in found.ranked), reverse=True)
    assert found.images == 16
    assert worst.loss.accuracy_pct is found.float_pct is None


def test_each_layer_costs_something_and_labels_are_counted(float_model, images_NCHW):
    labels = list(range(5)) * 3 + [0]
    found = _measured(float_model, images_NCHW, labels)
    assert all(10 < one.loss.sqnr_db < MAX_SQNR_DB for one in found.ranked), (
        "no layer is left out, none destroys the net"
    )
    answers = TorchGraph(float_model)(torch.from_numpy(images_NCHW)).argmax(1).tolist()
    right = 100 * np.mean(np.array(answers) == labels)
    assert found.float_pct == pytest.approx(right)
    assert all(abs(one.loss.accuracy_pct - right) < 50 for one in found.ranked)


def test_json_names_what_exclude_takes(float_model, images_NCHW):
    rows = _measured(float_model, images_NCHW).as_json()["layers"]
    stem = next(row for row in rows if row["layer"] == "stem")
    assert stem["nodes"] == ["stem", "swish"]
    assert stem["ops"] == "Conv+HardSwish"


def test_softmax_kl():
    logits_NK = np.array([[0.0, 0.0]], np.float32)
    other_NK = np.log(np.array([[0.75, 0.25]], np.float32))
    assert softmax_kl(logits_NK, logits_NK) == 0
    assert softmax_kl(logits_NK, other_NK) == pytest.approx(0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))
    assert np.isfinite(softmax_kl(logits_NK, np.array([[1e4, -1e4]], np.float32)))
