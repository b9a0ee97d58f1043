from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.engine.optim import build_optimizer, set_learning_rate
from compress.engine.options import FitOptions


def _net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 3))


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_norms_and_biases_are_not_decayed(name):
    model = _net()
    optimizer = build_optimizer(model, FitOptions(optimizer=name, weight_decay=0.5, lr=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer.step()
    shrunk = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert shrunk == {"0.weight", "3.weight"}


def test_the_fused_step_is_right_for_channels_last_weights():
    """The fused kernel walks flat memory, so weights, gradients and momenta must share one layout."""
    models = [nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 3)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    models[1].to(memory_format=torch.channels_last)
    plain = torch.optim.AdamW(models[0].parameters(), lr=0.01, weight_decay=0.0, fused=False)
    fused = build_optimizer(models[1], FitOptions(weight_decay=0.0, lr=0.01))
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        for model, optimizer in zip(models, (plain, fused), strict=True):
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
    for first, second in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-3)


def test_the_learning_rate_reaches_every_group():
    optimizer = build_optimizer(_net(), FitOptions(lr=1.0))
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
