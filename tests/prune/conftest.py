"""Networks with lively batch-norm statistics, so that importance and folding have something to see."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import nn

from compress.core.spec import ModelSpec
from compress.models.build import build_model, new_spec

LABELS = ("blue", "green", "red")


@cache
def _lively(arch: str, input_px: int) -> tuple[nn.Module, ModelSpec]:
    spec = new_spec(arch, LABELS, input_px)
    model = build_model(spec)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0.0, 0.3, generator=generator)
        model.train()(torch.randn(8, *spec.input_chw, generator=generator))
    return model.eval(), spec


@pytest.fixture(scope="session")
def lively() -> Callable[[str, int], tuple[nn.Module, ModelSpec]]:
    """Return a function (arch, input_px) -> network, spec; nobody may change the network."""
    return _lively
