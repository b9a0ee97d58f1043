"""Clips that a grid makes needless, and hard-swish as two int8 operators with no Clip at all."""

from __future__ import annotations

import numpy as np
import pytest

from compress.graph.grids import Quant

ROOT6 = 6**0.5
ODD = [(0.0, 1.0), (0.0, ROOT6), (-0.75, 2.0)]  # bounds that no fused activation has


def _clip(b, name, low, high):
    return b.node("Clip", [name, b.const(np.float32(low)), b.const(np.float32(high))])


def _constant(b, number, unsigned, *, scale=ROOT6 / 2 / 200):
    """Return a scalar as integer initializer behind a DequantizeLinear; `number` lies off its grid's zero point."""
    steps = round(number / scale)
    stored = np.uint8(steps + 10) if unsigned else np.int8(steps - 118)
    zero = np.uint8(10) if unsigned else np.int8(-118)
    return b.node("DequantizeLinear", [b.const(stored), b.const(np.float32(scale)), b.const(zero)])


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize(("low", "high"), ODD)
@pytest.mark.parametrize("op", ["Conv", "Add", "Mul", "GlobalAveragePool", "MaxPool", "Concat"])
def test_clip_that_the_grid_implies_is_free(build, images, same, ops, op, low, high, unsigned):
    b = build(quantized=True, unsigned=unsigned)
    x = b.q("images")
    made = {
        "Conv": lambda: b.conv(x, 4),
        "Add": lambda: b.node("Add", [x, x]),
        "Mul": lambda: b.node("Mul", [x, x]),
        "GlobalAveragePool": lambda: b.node("GlobalAveragePool", [x]),
        "MaxPool": lambda: b.node("MaxPool", [x], kernel_shape=[2, 2]),
        "Concat": lambda: b.node("Concat", [x, x], axis=1),
    }[op]()
    lowered = same(b.model(b.q(_clip(b, made, low, high), low, high)), images(), int8=True)
    assert lowered.float_nodes == ()
    assert not {"DEQUANTIZE", "MAXIMUM", "MINIMUM"} & set(ops(lowered.data))


def test_clip_of_the_images_that_the_grid_implies(build, images, same, ops):
    b = build(quantized=True)
    lowered = same(b.model(b.q(b.conv(b.q(_clip(b, "images", 0, 1), 0, 1), 4))), images(), int8=True)
    assert ops(lowered.data) == ["CONV_2D"]


def test_clip_behind_a_float_island_that_the_grid_implies(build, images, same, ops):
    b = build(quantized=True)
    gate = b.node("HardSigmoid", [b.q("images")], alpha=1 / 6, beta=0.5)
    lowered = same(b.model(b.q(_clip(b, gate, 0, 1), 0, 255 / 256)), images(), int8=True)
    assert not {"MAXIMUM", "MINIMUM"} & set(ops(lowered.data))


@pytest.mark.parametrize("grid", [(-4.0, 4.0), (0.0, 4.0), (-4.0, 1.0)])
def test_clip_within_the_grid_is_kept(build, images, same, grid):
    b = build(quantized=True)
    lowered = same(b.model(b.q(_clip(b, b.conv(b.q("images"), 4), 0, 1), *grid)), images(), int8=True)
    assert any(name.startswith("clip") for name in lowered.float_nodes)


@pytest.mark.parametrize("bounds", [(0.0, None), (0.0, ROOT6), (None, ROOT6)])
def test_implied_bounds_are_exact(bounds):
    """A bound half a step within the grid's end is already lost, one a hair inside the last half step is not."""
    scale = np.float32(ROOT6 / 255)
    grid = Quant(np.array([scale], np.float32), np.array([-128]))
    assert grid.implies_clip(*bounds)
    assert not grid.implies_clip(0.0, float(scale) * 254.4)
    assert grid.implies_clip(0.0, float(scale) * 254.6)
    assert not grid.implies_clip(float(scale) * 0.6, None)


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize("clip", [True, False], ids=["clip", "no clip"])
def test_hard_swish_as_add_and_mul(build, images, same, ops, unsigned, clip):
    """x * clip(x + 3, 0, 6) / 6 with x stored times 1/sqrt(6): gate = x + sqrt(6)/2 on [0, sqrt(6)], y = x * gate."""
    b = build(quantized=True, unsigned=unsigned)
    x = b.q(b.conv(b.q("images"), 4), -1.5, 3)
    gate = b.node("Add", [x, _constant(b, ROOT6 / 2, unsigned)])
    gate = b.q(_clip(b, gate, 0, ROOT6) if clip else gate, 0, ROOT6)
    lowered = same(b.model(b.q(b.node("Mul", [x, gate]), -0.375, 6)), images(spread=2.5), int8=True)
    assert ops(lowered.data) == ["CONV_2D", "ADD", "MUL"]
    assert lowered.float_nodes == ()


@pytest.mark.parametrize("unsigned", [True, False])
def test_gate_alone_saturates_on_its_grid(build, images, same, ops, unsigned):
    b = build(quantized=True, unsigned=unsigned)
    gate = b.node("Add", [b.q("images", -1.5, 3), _constant(b, ROOT6 / 2, unsigned)])
    lowered = same(b.model(b.q(gate, 0, ROOT6)), images(spread=2.5), int8=True)
    assert ops(lowered.data) == ["ADD"]
    assert lowered.integers  # the scalar's integer is among those that the lossless check compares
