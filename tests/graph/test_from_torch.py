from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from compress.core.digest import sha256_bytes
from compress.errors import UsageError
from compress.graph import from_torch
from compress.graph.from_torch import to_onnx
from compress.graph.metadata import spec_of
from compress.models.weights import save_model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_exporter")]
PLAIN = {"Conv", "Clip", "Relu", "HardSwish", "HardSigmoid", "Mul", "Add", "Concat", "MaxPool", "Gemm"}
PLAIN |= {"GlobalAveragePool", "Flatten"}


def _run(proto, images_NCHW):
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    return session.run(["logits"], {"images": images_NCHW.numpy()})[0]


@pytest.mark.parametrize("arch", ["tiny", "tf_mobilenetv3_small_100", "squeezenet1_1", "mobilenet_v3_small"])
def test_the_graph_is_plain_and_agrees_with_torch_at_every_batch(lively, arch):
    model, spec = lively(arch)
    proto = to_onnx(model, spec)
    for batch in (1, 2, 7):
        images_NCHW = torch.randn(batch, *spec.input_chw, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected_NK = model(images_NCHW).numpy()
        found_NK = _run(proto, images_NCHW)
        assert found_NK.shape == (batch, 5)
        np.testing.assert_allclose(found_NK, expected_NK, atol=5e-4, rtol=1e-4)
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert set(kinds) <= PLAIN
    hard_swishes = sum(isinstance(module, torch.nn.Hardswish) for module in model.modules())
    assert kinds["HardSwish"] == hard_swishes
    assert [len(node.input) for node in proto.graph.node if node.op_type in ("Conv", "Gemm")] == [3] * (
        kinds["Conv"] + kinds["Gemm"]
    )
    assert {node.name for node in proto.graph.node} >= {
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    }
    _says_nothing_of_this_machine(proto)
    stored = spec_of(proto, None)
    assert (stored.labels, stored.layers, stored.rewrites) == (spec.labels, (), ("fold_bn",))
    assert stored.macs > 0


def test_an_activation_in_place_gives_the_same_graph_and_stays_in_the_network(lively, monkeypatch):
    nn = torch.nn
    layers = [nn.Conv2d(3, 4, 3), nn.Hardswish(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)]
    model, spec = nn.Sequential(*layers).eval(), lively("tiny")[1]
    given = []
    real = from_torch._export
    monkeypatch.setattr(from_torch, "_export", lambda net, *size, **how: given.append(net) or real(net, *size, **how))
    found = to_onnx(model, spec)
    assert model[1].inplace
    assert not given[0][1].inplace, "torch's exporter would trace it through its decomposition"
    model[1].inplace = False
    assert to_onnx(model, spec).SerializeToString() == found.SerializeToString()


def _says_nothing_of_this_machine(proto):
    data = proto.SerializeToString()
    assert not any(word in data for word in (b"site-packages", b".py", str(Path.cwd()).encode()))
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    assert [entry.domain for entry in proto.opset_import] == [""]


_SCRIPT = """
import sys
from compress.core.digest import sha256_bytes
from compress.graph import from_torch
from compress.graph.from_torch import to_onnx
from compress.models.weights import load_model
model, spec = load_model(__import__("pathlib").Path(sys.argv[1]))
print(sha256_bytes(to_onnx(model, spec).SerializeToString()))
"""


def test_equal_weights_give_equal_bytes_in_another_process_and_no_chatter(lively, tmp_path, capfd):
    model, spec = lively("tiny", 32)
    spec = save_model(tmp_path / "model.safetensors", model, spec)
    model.train()
    first = sha256_bytes(to_onnx(model, spec).SerializeToString())
    assert model.training
    assert capfd.readouterr() == ("", "")
    command = [sys.executable, "-c", _SCRIPT, str(tmp_path / "model.safetensors")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == first


def test_other_opsets_and_a_fixed_batch(lively):
    model, spec = lively("tiny", 32)
    images_NCHW = torch.randn(1, *spec.input_chw)
    with torch.no_grad():
        expected_NK = model(images_NCHW).numpy()
    for opset in (14, 21):
        proto = to_onnx(model, spec, opset=opset, dynamic_batch=False)
        assert [entry.version for entry in proto.opset_import] == [opset]
        assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
        np.testing.assert_allclose(_run(proto, images_NCHW), expected_NK, atol=5e-4)
        assert spec_of(proto, None) is not None
        onnx.checker.check_model(proto, full_check=True)


@pytest.mark.parametrize("opset", [13, 99])
def test_an_opset_we_cannot_write_is_refused(lively, opset):
    model, spec = lively("tiny", 32)
    with pytest.raises(UsageError, match=f"opset {opset}"):
        to_onnx(model, spec, opset=opset)
