"""Builders of small ONNX graphs, float and QDQ, and one way to run each runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.storage import write_bytes
from compress.lower.walk import Lowered, lower
from tests.exports import alone


class Build:
    """Collects nodes of one graph; `q` adds QuantizeLinear + DequantizeLinear behind a tensor."""

    def __init__(self, shape=(1, 4, 8, 8), *, quantized: bool = False, unsigned: bool = True):
        self.shape, self.quantized, self.unsigned = shape, quantized, unsigned
        self.nodes, self.constants, self.count = [], [], 0
        self.rng = np.random.default_rng(0)

    def const(self, array, name=None):
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op, inputs, **attrs):
        self.count += 1
        name = f"{op.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attrs))
        return name

    def q(self, name, low=-4.0, high=4.0):
        """Put a tensor on the grid of [low, high]; a no-op in float graphs."""
        if not self.quantized:
            return name
        scale = np.float32((high - low) / 255)
        zero = int(np.clip(round(-low / scale), 0, 255))
        point = np.uint8(zero) if self.unsigned else np.int8(zero - 128)
        grid = [self.const(scale), self.const(point)]
        return self.node("DequantizeLinear", [self.node("QuantizeLinear", [name, *grid]), *grid])

    def weight(self, shape, *, axis=0, per_channel=True, size=0.5):
        """Return weights: float, or int8 per channel behind a DequantizeLinear."""
        array = self.rng.normal(0, size, shape).astype(np.float32)
        if not self.quantized:
            return self.const(array), None
        other = tuple(i for i in range(len(shape)) if i != axis)
        peak = np.abs(array).max(axis=other if per_channel else None, keepdims=True)
        scale = (peak / 127).astype(np.float32)
        integers = np.clip(np.rint(array / scale), -127, 127).astype(np.int8)
        flat = scale.reshape(-1) if per_channel else scale.reshape(())
        zero = np.zeros(flat.shape, np.int8)
        inputs = [self.const(integers), self.const(flat), self.const(zero)]
        return self.node("DequantizeLinear", inputs, axis=axis), flat

    def bias(self, count, weight_scale, input_range=(-4.0, 4.0)):
        """Return a bias: float, or int32 on the grid input scale x weight scale."""
        array = self.rng.normal(0, 0.5, count).astype(np.float32)
        if not self.quantized:
            return self.const(array)
        scale = np.float32((input_range[1] - input_range[0]) / 255) * weight_scale
        integers = np.rint(array / scale).astype(np.int32)
        grid = [self.const(np.float32(scale)), self.const(np.zeros(np.shape(scale), np.int32))]
        return self.node("DequantizeLinear", [self.const(integers), *grid], axis=0)

    def conv(self, name, out_channels, kernel=3, *, in_channels=None, groups=1, per_channel=True, **attrs):
        in_channels = in_channels or self.shape[1]
        shape = (out_channels, in_channels // groups, kernel, kernel)
        weight, scale = self.weight(shape, per_channel=per_channel, size=1.0 / (shape[1] * kernel**2) ** 0.5)
        bias = self.bias(out_channels, scale if scale is None or scale.ndim else np.full(out_channels, scale))
        if self.quantized and not per_channel:
            bias = self._scalar_bias(out_channels, scale)
        return self.node("Conv", [name, weight, bias], group=groups, **attrs)

    def _scalar_bias(self, count, scale):
        grid = [self.const(np.float32(np.float32(8.0 / 255) * scale)), self.const(np.int32(0))]
        integers = np.rint(self.rng.normal(0, 0.5, count) / (8.0 / 255 * float(scale))).astype(np.int32)
        return self.node("DequantizeLinear", [self.const(integers), *grid])

    def model(self, output, opset=18):
        """Return the model whose output is the tensor `output`, as logits."""
        for node in self.nodes:
            names = ["logits" if name == output else name for name in node.output]
            del node.output[:]
            node.output.extend(names)
            inputs = ["logits" if name == output else name for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *self.shape[1:]])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "test", [images], [logits], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
        return inferred


def run_onnx(model: onnx.ModelProto, images_NCHW: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")  # U8S8 saturates without VNNI otherwise
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images_NCHW})[0]


def run_tflite(data: bytes, images_NCHW: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the output as float in ONNX's layout, and the output's scale (0 for a float output)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    results = []
    for image in images_NCHW:
        values = np.ascontiguousarray(image[None].transpose(0, 2, 3, 1))
        if source["dtype"] == np.int8:
            scale, zero = source["quantization"]
            values = np.clip(np.rint(values / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], values)
        interpreter.invoke()
        result = interpreter.get_tensor(target["index"])
        if target["dtype"] == np.int8:
            scale, zero = target["quantization"]
            result = (result.astype(np.float32) - zero) * np.float32(scale)
        results.append(result.transpose(0, 3, 1, 2) if result.ndim == 4 else result)
    scale = float(target["quantization"][0]) if target["dtype"] == np.int8 else 0.0
    return np.concatenate(results), scale


def operators(data: bytes) -> list[str]:
    """Return the operators of a file in order."""
    from compress.export.tflite_checks import operator_name
    from compress.runtime.tflite_meta import unpack

    model = unpack(data)
    return [operator_name(model, op) for op in model.subgraphs[0].operators]


@pytest.fixture
def images() -> Callable[..., np.ndarray]:
    def make(shape: Sequence[int] = (4, 8, 8), count: int = 5, spread: float = 1.5) -> np.ndarray:
        return np.random.default_rng(7).normal(0, spread, (count, *shape)).astype(np.float32)

    return make


@pytest.fixture
def same() -> Callable[..., Lowered]:
    """Lower a model and hold both runtimes together: 1e-4 in float, `lsb` units of the output scale in int8."""

    def check(
        model: onnx.ModelProto, images_NCHW: np.ndarray, *, lsb: float = 1.0, int8: bool | None = None
    ) -> Lowered:
        lowered = lower(model)
        wanted = run_onnx(model, images_NCHW)
        found, scale = run_tflite(lowered.data, images_NCHW)
        assert found.shape == wanted.shape
        bound = lsb * scale * 1.001 if scale else 1e-4 * max(1.0, float(np.abs(wanted).max()))
        assert np.abs(found - wanted).max() <= bound
        assert wanted.std() > 0
        if int8 is not None:
            assert (scale > 0) == int8
        return lowered

    return check


@pytest.fixture
def ops() -> Callable[[bytes], list[str]]:
    return operators


@pytest.fixture
def build() -> type[Build]:
    return Build


@pytest.fixture
def runs():
    return run_onnx, run_tflite


@pytest.fixture(scope="session")
def torch_first() -> None:
    """Import torch's part before tensorflow's: the process ends where triton is imported behind tensorflow."""
    import timm  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # noqa: F401


TORCHVISION = ("mobilenet_v3_small", "mobilenet_v3_large", "squeezenet1_1", "resnet18")


SMALLER = {  # less width, where the constructor can be told
    "mobilenet_v3_small": {"width_mult": 0.5},
    "mobilenet_v3_large": {"width_mult": 0.5},
}
TIMM = {  # what makes a family of any width, and what else the family's own function says
    "efficientnet_b0": ("_gen_efficientnet", {}),
    "tf_efficientnet_lite0": ("_gen_efficientnet_lite", {"pad_type": "same", "bn_eps": 1e-3}),
    "mobilenetv2_100": ("_gen_mobilenet_v2", {}),
}


def _network(name: str):
    """Return a network of the family with every kind of block, some of its repetitions left out, and narrower."""
    import torch
    import torchvision
    from timm.models import efficientnet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name in TORCHVISION:
            model = getattr(torchvision.models, name)(weights=None, num_classes=3, **SMALLER.get(name, {}))
        else:
            family, more = TIMM[name]
            model = getattr(efficientnet, family)(name, channel_multiplier=0.5, num_classes=3, **more)
        if name == "resnet18":  # its last stage has most of the weights, and nothing that the others lack
            model.layer4, model.fc = torch.nn.Identity(), torch.nn.Linear(256, 3)
        _leave_out_repetitions(model)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # the same graph, sooner
    return model.eval()


def _leave_out_repetitions(model) -> None:
    """Take blocks out that are like the one before them and the one before that: they add time and no kind of node."""
    from torch import nn

    for parent in list(model.modules()):
        if isinstance(parent, nn.Sequential):
            shown = [repr(child) for child in parent]
            for at in reversed(range(2, len(shown))):
                if shown[at] == shown[at - 1] == shown[at - 2] and next(parent[at].parameters(), None) is not None:
                    del parent[at]


@pytest.fixture(scope="session")
def float_network(exports_folder) -> Callable[[str], Path]:
    """Export a network like torchvision's or timm's of a name: random weights, 64 px, 3 classes, as torch writes it."""

    def export(name: str) -> Path:
        path = exports_folder / f"float_network_{name}.onnx"
        with alone(path.with_suffix(".lock")):
            if not path.exists():
                write_bytes(path, _exported(_network(name)).SerializeToString())
        return path

    return export


def _exported(model) -> onnx.ModelProto:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model, (torch.zeros(2, 3, 64, 64),), dynamo=True, opset_version=18,
            input_names=["images"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        )  # fmt: skip
    return program.model_proto
