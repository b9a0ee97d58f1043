"""Pruning as torch-pruning does it by its defaults, from our float model, at the same MACs."""

from __future__ import annotations

import copy

import torch
import torch_pruning
from torch import nn

from compress.core.spec import ModelSpec
from compress.models.build import arch_info, count_macs

_HALVINGS = 8  # the ratio is then known to 0.4 %


def torch_pruning_default(model: nn.Module, spec: ModelSpec, macs: int) -> nn.Module:
    """Return a copy pruned by torch-pruning's uniform default to at most these MACs.

    One ratio for every layer, groups ranked by their weights' l2 norm, no rounding, the classifier left whole: the
    first example of its guide. The ratio is found by bisection, which the library leaves to its user.

    Args:
        model: on the CPU; not changed.
        spec: gives the image's size and the classifier.
        macs: of one image, at most.
    """
    low, high = 0.0, 1.0  # share taken out: too many MACs, few enough
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = count_macs(_pruned(model, spec, middle), spec.input_chw) <= macs
        low, high = (low, middle) if fits else (middle, high)
    return _pruned(model, spec, high)


def _pruned(model: nn.Module, spec: ModelSpec, ratio: float) -> nn.Module:
    narrow = copy.deepcopy(model).eval()
    pruner = torch_pruning.pruner.BasePruner(
        narrow,
        torch.zeros(1, *spec.input_chw),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=[narrow.get_submodule(arch_info(spec.arch).head)],
    )
    pruner.step()
    return narrow
