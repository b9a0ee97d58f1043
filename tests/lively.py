"""Networks with lively statistics: a fresh batch norm and a zero bias would hide mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from compress.core.spec import ModelSpec
from compress.models.build import build_model, new_spec

LABELS = ("a", "b", "c", "d", "e")


def liven(model: nn.Module, input_chw: tuple[int, int, int], seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0.0, 0.3, generator=generator)
        model.train()(torch.randn(8, *input_chw, generator=generator))
    return model.eval()


@pytest.fixture
def lively() -> Callable[..., tuple[nn.Module, ModelSpec]]:
    def make(arch: str, input_px: int = 64, labels: tuple[str, ...] = LABELS) -> tuple[nn.Module, ModelSpec]:
        spec = new_spec(arch, labels, input_px)
        return liven(build_model(spec), spec.input_chw), spec

    return make
