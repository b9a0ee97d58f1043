from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from compress.measure.latency import Latency
from compress.models.build import arch_info
from compress.prune import latency
from compress.prune.latency import exported_latency_ms
from compress.prune.prunable_network import PrunableNetwork

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(latency, "_TIMING", latency.Timing(warmup=1, repeats=5, budget_s=0.1))


def _pair(lively):
    model, spec = lively("tiny", 48)
    network = PrunableNetwork(model, spec.input_chw, heads=[arch_info("tiny").head])
    halves = {root: torch.arange(width // 2) for root, width in network.widths().items()}
    return {"before": model, "after": network.cut(halves)}, spec


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_the_files_of_both_networks_are_timed_and_give_their_logits(lively, monkeypatch, runtime):
    models, spec = _pair(lively)
    seen = {}

    def judged(predictors, images, timing, reporter):
        for name, predictor in predictors.items():
            assert images[name].shape == (1, *spec.input_chw)
            with torch.no_grad():
                wanted_NK = models[name](torch.from_numpy(images[name])).numpy()
            np.testing.assert_allclose(predictor.predict(images[name]), wanted_NK, atol=5e-4)
            seen[name] = type(predictor).__name__
        return measure(predictors, images, timing, reporter)

    measure = latency.measure_latency
    monkeypatch.setattr(latency, "measure_latency", judged)
    found = exported_latency_ms(models, spec, runtime)
    assert list(found) == ["before", "after"]
    assert all(math.isfinite(value) and value > 0 for value in found.values())
    assert {name.lower().removesuffix("predictor") for name in seen.values()} == {runtime}


@pytest.mark.slow
def test_the_median_is_returned_and_no_file_stays(lively, monkeypatch):
    models, spec = _pair(lively)
    folders = []

    def judged(predictors, images, timing, reporter):
        return {
            name: Latency(5, {50: 10.0 * number}, {}, (10.0 * number,), 1.0, 1.0)
            for number, name in enumerate(predictors, 1)
        }

    class Folder(latency.tempfile.TemporaryDirectory):
        def __enter__(self):
            folders.append(super().__enter__())
            return folders[-1]

    monkeypatch.setattr(latency, "measure_latency", judged)
    monkeypatch.setattr(latency.tempfile, "TemporaryDirectory", Folder)
    assert exported_latency_ms(models, spec, "onnx") == {"before": 10.0, "after": 20.0}
    assert len(folders) == 1
    assert not latency.Path(folders[0]).exists()


def test_a_network_in_channels_last_and_training_mode_is_left_so(lively):
    models, spec = _pair(lively)
    model = copy.deepcopy(models["after"]).train().to(memory_format=torch.channels_last)
    exported_latency_ms({"one": model}, spec, "onnx")
    assert model.conv_head.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.training
