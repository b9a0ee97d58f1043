"""Random small graphs of the op set: each layer within one unit of ONNX Runtime, the whole equal to its layers.

Errors would pile up over depth, so every layer is compared as a graph of its own, fed with the same integers in both
runtimes. The whole graph is then held against the chain of its layers in LiteRT, bit by bit: what the walk makes of
neighbours must not change a number. Layers with two inputs take the second from the first by a convolution that only
moves channels (integer weight 1, a power of two as scale), which is exact, so that one rounding a layer is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from compress.lower.walk import lower

UNIT = (np.float32(1 / 256), 0)  # scale and uint8 zero point of LOGISTIC and SOFTMAX
Grid = tuple[np.float32, int]


@dataclass
class Layer:
    """An operator with its attributes; `keeps` its input's grid, ends on the `unit` grid, or finds its own."""

    op: str
    attrs: dict[str, Any] = field(default_factory=dict)
    act: str = ""
    stretch: float = 1.0  # of the output's grid against the values seen
    grid: str = "own"
    seed: int = 0

    def __repr__(self) -> str:
        return f"{self.op}{self.attrs}{self.act} x{self.stretch} {self.grid}"


# ---- graphs


def quantize(b, name: str, grid: Grid) -> str:
    if not b.quantized:
        return name
    scale, zero = grid
    pair = [b.const(scale), b.const(np.uint8(zero) if b.unsigned else np.int8(zero - 128))]
    return b.node("DequantizeLinear", [b.node("QuantizeLinear", [name, *pair]), *pair])


def grid_of(values: np.ndarray, stretch: float) -> Grid:
    low, high = min(float(values.min()), 0.0) * stretch, max(float(values.max()), 0.0) * stretch
    scale = np.float32(max(high - low, 0.1) / 255)
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def moved(b, name: str, shape: tuple[int, ...], grid: Grid, factor: float) -> str:
    """Return the channels in reverse order, times a power of two: the same integers on another grid."""
    eye = np.eye(shape[0], dtype=np.int8)[::-1, :, None, None]
    if not b.quantized:
        return b.node("Conv", [name, b.const(np.float32(factor) * eye.astype(np.float32))])
    scale = [b.const(np.float32(factor)), b.const(np.int8(0))]
    made = b.node("Conv", [name, b.node("DequantizeLinear", [b.const(np.ascontiguousarray(eye)), *scale])])
    return quantize(b, made, (grid[0] * np.float32(factor), grid[1]))


def weighted(b, layer: Layer, shape: tuple[int, ...], grid: Grid) -> tuple[list[str], dict[str, Any]]:
    """Return weight and bias of a Conv or Gemm, and the attributes that are left for the node."""
    attrs = dict(layer.attrs)
    outputs, groups = attrs.pop("outputs"), attrs.get("group", 1)
    if layer.op == "Gemm":
        weight_shape: tuple[int, ...] = (outputs, int(np.prod(shape)))
    else:
        weight_shape = (outputs, shape[0] // groups, *attrs["kernel_shape"])
    weight, scale = b.weight(weight_shape, size=float(np.prod(weight_shape[1:])) ** -0.5)
    steps = np.rint(b.rng.normal(0, 20, outputs)).astype(np.int32)
    if scale is None:
        return [weight, b.const(np.float32(0.1) * steps.astype(np.float32))], attrs
    own = [b.const(np.float32(grid[0]) * scale), b.const(np.zeros(outputs, np.int32))]
    return [weight, b.node("DequantizeLinear", [b.const(steps), *own], axis=0)], attrs


def add(b, layer: Layer, name: str, shape: tuple[int, ...], grid: Grid) -> str:
    """Add a layer, all but the grid of its output."""
    b.rng = np.random.default_rng(layer.seed)
    if layer.op in ("Conv", "Gemm"):
        constants, attrs = weighted(b, layer, shape, grid)
        if layer.op == "Gemm":
            name, attrs = quantize(b, b.node("Flatten", [name]), grid), {"transB": 1}
        made = b.node(layer.op, [name, *constants], **attrs)
    elif layer.op in ("Add", "Mul", "Sub", "Concat"):
        attrs = dict(layer.attrs)
        other = moved(b, name, shape, grid, attrs.pop("factor"))
        made = b.node(layer.op, [other, name] if layer.seed % 2 else [name, other], **attrs)
    elif layer.op == "Softmax":
        made = b.node("Softmax", [quantize(b, b.node("Flatten", [name]), grid)], axis=1)
    elif layer.op == "Clip":
        made = b.node("Clip", [name, *(b.const(np.float32(layer.attrs[key])) for key in ("low", "high"))])
    else:
        made = b.node(layer.op, [name], **layer.attrs)
    bounds = {"Relu6": (0.0, 6.0), "Clip1": (0.0, 1.0)}.get(layer.act)
    if bounds:
        return b.node("Clip", [made, *(b.const(np.float32(x)) for x in bounds)])
    return b.node("Relu", [made]) if layer.act else made


# ---- what to draw

SMALL = st.integers(0, 2)
STRETCH = st.sampled_from([0.5, 1.0, 1.5])
ACT = st.sampled_from(["", "", "Relu", "Relu6", "Clip1"])


@st.composite
def conv(draw, shape: tuple[int, ...]) -> Layer:
    channels, *size = shape
    kernel = [min(draw(st.integers(1, 3)), side) for side in size]
    group = draw(st.sampled_from(sorted({1, 2 if channels % 2 == 0 else 1, channels})))
    attrs = {
        "outputs": draw(st.sampled_from([1, 2])) * channels if group > 1 else draw(st.integers(1, 6)),
        "kernel_shape": kernel,
        "group": group,
        "strides": [draw(st.integers(1, 2)), draw(st.integers(1, 2))],
        "pads": [min(draw(SMALL), kernel[i % 2] - 1) for i in range(4)],
    }
    return Layer("Conv", attrs, draw(ACT), draw(STRETCH))


@st.composite
def pool(draw, size: tuple[int, ...]) -> Layer:
    op = draw(st.sampled_from(["MaxPool", "AveragePool", "GlobalAveragePool"]))
    grid = draw(st.sampled_from(["keeps", "own"]))
    if op == "GlobalAveragePool":
        return Layer(op, {}, draw(ACT), draw(STRETCH), grid)
    kernel = [min(draw(st.integers(2, 3)), side) for side in size]
    attrs: dict[str, Any] = {"kernel_shape": kernel, "strides": [draw(st.integers(1, 2)), draw(st.integers(1, 2))]}
    if draw(st.booleans()):
        attrs["pads"] = [min(draw(SMALL), kernel[i % 2] - 1) for i in range(4)]
        if op == "AveragePool":
            attrs["count_include_pad"] = 1
    if op == "MaxPool" and "pads" not in attrs:  # with pads, ONNX and its runtimes disagree about the last window
        attrs["ceil_mode"] = draw(st.integers(0, 1))
    return Layer(op, attrs, "", draw(STRETCH), grid)


def binary(op: str) -> st.SearchStrategy[Layer]:
    factor = {"factor": st.sampled_from([0.5, 1.0, 2.0])}
    if op == "Concat":
        attrs, grids = st.fixed_dictionaries(factor | {"axis": st.just(1)}), st.sampled_from(["keeps", "own"])
        return st.builds(Layer, st.just(op), attrs, st.just(""), STRETCH, grids)
    return st.builds(Layer, st.just(op), st.fixed_dictionaries(factor), ACT, STRETCH)


CLIPS = st.sampled_from([{"low": 0.0, "high": 6.0}, {"low": -1.0, "high": 1.0}, {"low": -0.3, "high": 2.0}])
UNARY = st.one_of(
    st.builds(Layer, st.just("Relu"), st.just({}), st.just(""), STRETCH, st.sampled_from(["keeps", "own"])),
    st.builds(Layer, st.just("Clip"), CLIPS, st.just(""), STRETCH, st.sampled_from(["keeps", "own"])),
    st.builds(Layer, st.just("HardSwish"), st.just({}), st.just(""), STRETCH),
    st.builds(
        Layer, st.just("HardSigmoid"), st.sampled_from([{"alpha": 1 / 6, "beta": 0.5}, {}]), st.just(""), STRETCH
    ),
    st.builds(Layer, st.just("Sigmoid"), st.just({}), st.just(""), STRETCH, st.sampled_from(["unit", "own"])),
)


@st.composite
def layer_for(draw, shape: tuple[int, ...], number: int) -> Layer:
    """Return a layer that an image of this shape [C,H,W] allows."""
    kinds = [conv(shape), conv(shape), pool(shape[1:]), UNARY, UNARY, *map(binary, ("Add", "Mul", "Sub", "Concat"))]
    layer = draw(draw(st.sampled_from(kinds)))
    layer.seed = 10 * number + draw(st.integers(0, 9))
    return layer


HEADS = st.lists(
    st.sampled_from([Layer("Gemm", {"outputs": 5}, seed=1), Layer("Softmax", grid="unit")]), max_size=2, unique_by=id
)


# ---- what to hold


def as_images(values: np.ndarray) -> np.ndarray:
    return values if values.ndim == 4 else values[..., None, None]


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
)  # fmt: skip
@given(data=st.data())
def test_random_graphs(build: Callable, runs: tuple[Callable, Callable], data: st.DataObject):
    run_onnx, run_tflite = runs
    unsigned = data.draw(st.booleans(), "unsigned")
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(3, 8), st.integers(3, 8)), "shape")
    grid: Grid = (np.float32(8 / 255), data.draw(st.sampled_from([0, 100, 128]), "zero point"))
    steps = np.random.default_rng(1).integers(0, 256, (2, *shape))
    images = start = (steps - grid[1]).astype(np.float32) * grid[0]
    chain, depth, heads = images, data.draw(st.integers(1, 3), "depth"), data.draw(HEADS, "heads")
    whole, plain = (build((1, *shape), quantized=quantized, unsigned=unsigned) for quantized in (True, False))
    name, plain_name = quantize(whole, "images", grid), "images"
    for number in range(depth + len(heads)):
        seen = images.shape[1:]
        layer = data.draw(layer_for(seen, number)) if number < depth else heads[number - depth]

        def alone(behind: Grid | None, layer=layer, seen=seen, grid=grid):
            b = build((1, *seen), quantized=True, unsigned=unsigned)
            made = add(b, layer, quantize(b, "images", grid), seen, grid)
            return b.model(made if behind is None else quantize(b, made, behind))

        behind = {"keeps": grid, "unit": UNIT}.get(layer.grid) or grid_of(run_onnx(alone(None), images), layer.stretch)
        model = alone(behind)
        wanted, both = run_onnx(model, images), np.concatenate([images, chain])
        assume(not np.array_equal(wanted, images))  # a Relu on a grid that begins at zero: nothing is left to lower
        found, scale = run_tflite(lower(model).data, both)
        assert scale == behind[0], "the layer stayed float"
        assert np.abs(found[: len(wanted)] - wanted).max() <= 1.001 * scale
        name = quantize(whole, add(whole, layer, name, seen, grid), behind)
        plain_name = add(plain, layer, plain_name, seen, grid)
        images, chain, grid = as_images(wanted), as_images(found[len(wanted) :]), behind
    assert np.array_equal(as_images(run_tflite(lower(whole.model(name)).data, start)[0]), chain)
    model = plain.model(plain_name)
    wanted = run_onnx(model, start)
    assert np.abs(run_tflite(lower(model).data, start)[0] - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())
