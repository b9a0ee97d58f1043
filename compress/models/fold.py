"""Batch normalisation folded into the convolution before it: fewer layers, equal outputs in eval mode."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from compress.models.build import pass_blank_image


def fold_batch_norm(model: nn.Module, input_chw: tuple[int, int, int]) -> nn.Module:
    """Return an eval-mode copy in which every BatchNorm2d fed by a Conv2d is folded into it.

    Convolutions keep their names and gain a bias; a folded batch norm becomes Identity, or its activation where
    it carries one (timm's BatchNormAct2d). Which convolution feeds which norm is observed on one forward pass, so
    that module nesting does not matter. Outputs agree to float rounding.
    """
    folded = copy.deepcopy(model).eval()
    for conv_name, norm_name in _pairs(folded, input_chw):
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            raise TypeError(f"{conv_name} and {norm_name} are no convolution and batch norm")
        folded.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        folded.set_submodule(norm_name, _without_norm(norm))
    return folded.eval()


def _pairs(model: nn.Module, input_chw: tuple[int, int, int]) -> list[tuple[str, str]]:
    """Return (convolution, batch norm) names where the norm's input is the convolution's output."""
    outputs: list[tuple[str, Tensor]] = []  # holds the tensors, so that no identity is used twice
    pairs: list[tuple[str, str]] = []

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def after_conv(_: nn.Module, __: object, output: Tensor) -> None:
            outputs.append((name, output))

        def before_norm(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            pairs.extend((conv, name) for conv, output in outputs if output is inputs[0])

        if isinstance(module, nn.Conv2d):
            return module.register_forward_hook(after_conv)
        return module.register_forward_pre_hook(before_norm)

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [watch(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    pass_blank_image(model, input_chw, hooks)
    return pairs


def _without_norm(norm: nn.Module) -> nn.Module:
    act = getattr(norm, "act", None)
    return act if isinstance(act, nn.Module) else nn.Identity()
