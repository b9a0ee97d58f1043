from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.engine.ema import Ema


def test_is_the_weighted_mean_of_what_it_saw_with_a_warm_decay():
    model = nn.BatchNorm1d(1)
    ema = Ema(model, decay=0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(10.0)
        model.num_batches_tracked.fill_(7)
    ema.update(model, step=0)
    assert float(ema.model.weight.detach()) == pytest.approx(0.1 * 1.0 + 0.9 * 3.0)
    assert float(ema.model.running_mean) == pytest.approx(9.0)
    assert int(ema.model.num_batches_tracked) == 7
    ema.update(model, step=1000)
    assert float(ema.model.weight.detach()) == pytest.approx(0.5 * 2.8 + 0.5 * 3.0)


def test_is_a_copy_without_gradients():
    model = nn.Linear(2, 2)
    ema = Ema(model, decay=0.9)
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
