import math

import pytest
import torch

from compress.quantize.qdq.fake_quant import ActivationQuantizer, Grid, quantize_weight, weight_scales


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 3.0), (-4.0, -1.0), (0.0, 0.0), (-0.1, 30.0)])
def test_a_grid_holds_zero_exactly_and_covers_the_range(low, high):
    grid = Grid.of_range(low, high)
    assert 0 <= grid.zero_point <= 255
    assert grid.scale > 0
    assert (0 - grid.zero_point) * grid.scale <= min(low, 0.0) + grid.scale
    assert (255 - grid.zero_point) * grid.scale >= max(high, 0.0) - grid.scale


def test_activations_land_on_the_grid():
    quantizer = ActivationQuantizer(Grid(0.1, 100), learned=True)
    y = quantizer(torch.linspace(-30, 30, 1001)).detach()
    steps = y / 0.1 + 100
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert float(y.min()) == pytest.approx(-10.0)
    assert float(y.max()) == pytest.approx(15.5)


def test_the_gradient_of_the_input_stops_outside_the_range():
    x = torch.tensor([-20.0, -3.0, 0.0, 5.0, 20.0], requires_grad=True)
    ActivationQuantizer(Grid(0.1, 100), learned=True)(x).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_the_gradient_of_the_scale_is_that_of_the_rounding_with_straight_through():
    quantizer = ActivationQuantizer(Grid(0.1, 100), learned=True)
    x = torch.tensor([-20.0, 0.234, 7.77, 20.0])
    weights = torch.tensor([1.0, 2.0, -3.0, 0.5])
    (quantizer(x) * weights).sum().backward()
    scale = torch.tensor(0.1, requires_grad=True)
    steps = x / scale
    rounded = (steps + (steps.round() - steps).detach()).clamp(-100, 155)
    (rounded * scale * weights).sum().backward()
    # the learned parameter is log s, so that dL/dlog s = s * dL/ds
    assert float(quantizer.log_scale.grad) == pytest.approx(0.1 * float(scale.grad), rel=1e-4)


def test_training_finds_a_better_scale():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    quantizer = ActivationQuantizer(Grid(0.2, 128), learned=True)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.02)
    before = float(((quantizer(x) - x) ** 2).mean().detach())
    for _ in range(200):
        optimizer.zero_grad()
        ((quantizer(x) - x) ** 2).mean().backward()
        optimizer.step()
    assert quantizer.grid().zero_point == 128
    assert float(((quantizer(x) - x) ** 2).mean().detach()) < before / 20


def test_a_fixed_grid_has_no_parameters_and_keeps_its_scale():
    quantizer = ActivationQuantizer(Grid(1 / 256, 0), learned=False)
    assert list(quantizer.parameters()) == []
    assert quantizer.grid().scale == 1 / 256
    assert math.log2(quantizer.grid().scale) == -8


def test_weights_are_symmetric_narrow_and_per_channel():
    weight = torch.randn(6, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 2, 6).reshape(
        -1, 1, 1, 1
    )
    scales = weight_scales(weight)
    steps = quantize_weight(weight) / scales.reshape(-1, 1, 1, 1)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert steps.abs().amax(dim=(1, 2, 3)).round().tolist() == [127.0] * 6
    assert torch.all((quantize_weight(weight) - weight).abs() <= scales.reshape(-1, 1, 1, 1) * 0.501)


def test_a_dead_channel_stays_zero():
    weight = torch.zeros(2, 3, 1, 1)
    assert torch.equal(quantize_weight(weight), weight)
