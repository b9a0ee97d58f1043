from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from compress.graph import from_torch as exporter
from compress.models.build import build_model, new_spec
from tests import exports
from tests.exports import REAL, REGISTRY, SharedExports, shared_exports, what_exports

CHW = (3, 8, 8)


class Fake:
    """An exporter that writes the weights, and one more number if it is told to."""

    def __init__(self, more: int = 0) -> None:
        self.count, self.more = 0, more

    def __call__(self, model: nn.Module, input_chw: tuple[int, int, int], *, dynamic_batch: bool) -> ModelProto:
        self.count += 1
        weights = {name: value.numpy() for name, value in model.state_dict().items()}
        if self.more:
            weights["more"] = np.full(self.more, self.count, np.float32)
        constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
        return helper.make_model(helper.make_graph([], "fake", [], [], constants))


def _network(width: int = 8, seed: int = 0, activation: type[nn.Module] = nn.ReLU6) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 1), activation(), nn.Conv2d(width, width, 1)).eval()


@pytest.mark.slow
def test_a_shared_export_is_byte_for_byte_what_the_exporter_would_have_written(tmp_path: Path):
    spec = new_spec("squeezenet1_1", ("a", "b", "c"), 32)
    first, second = build_model(spec), build_model(spec)
    with shared_exports(tmp_path):
        exporter.to_onnx(first, spec)
        found = exporter.to_onnx(second, spec).SerializeToString()
    assert len(list(tmp_path.glob("*.onnx"))) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "_export", REAL)
        assert found == exporter.to_onnx(second, spec).SerializeToString(), "with a table used before"
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(REGISTRY.__wrapped__))
        assert found == exporter.to_onnx(second, spec).SerializeToString()


def test_a_structure_is_exported_once_and_another_one_anew(tmp_path: Path):
    fake = Fake()
    shared = SharedExports(fake, tmp_path)
    for seed in (0, 1):
        model = _network(seed=seed)
        found = shared(model, CHW, dynamic_batch=True)
        arrays = {constant.name: numpy_helper.to_array(constant) for constant in found.graph.initializer}
        assert all(np.array_equal(arrays[name], value.numpy()) for name, value in model.state_dict().items())
    assert fake.count == 1
    shared(_network(16), CHW, dynamic_batch=True)
    shared(_network(activation=nn.ReLU), CHW, dynamic_batch=True)
    shared(_network(), (3, 9, 9), dynamic_batch=True)
    shared(_network(), CHW, dynamic_batch=False)
    assert fake.count == 5


def test_which_weights_are_equal_is_part_of_the_structure(tmp_path: Path):
    fake = Fake()
    shared = SharedExports(fake, tmp_path)
    equal = _network(3)
    equal[2].load_state_dict(equal[0].state_dict())
    for model in (_network(3), equal, _network(3, seed=1)):
        shared(model, CHW, dynamic_batch=True)
    assert fake.count == 2


@pytest.mark.parametrize(("more", "count"), [(1, 1), (17, 2)])
def test_a_graph_that_holds_more_than_weights_and_small_constants_is_never_shared(tmp_path: Path, more, count):
    fake = Fake(more)
    shared = SharedExports(fake, tmp_path)
    for seed in (0, 1):
        shared(_network(seed=seed), CHW, dynamic_batch=True)
    assert fake.count == count


def test_graphs_are_kept_under_a_name_that_changes_with_what_exports(monkeypatch: pytest.MonkeyPatch):
    before = what_exports()
    assert what_exports() == before
    monkeypatch.setattr(exports, "version", lambda name: "0" if name == "onnxscript" else "1")
    assert what_exports() != before
