"""Freezing the backbone: for some epochs only the head learns, and frozen BatchNorm keeps its statistics."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from compress.errors import StageError


def freeze_all_but(model: nn.Module, head: Sequence[str]) -> None:
    """Leave gradients and training mode to the modules named in `head` only; the rest is as in evaluation.

    Raises:
        StageError: `head` is empty or names no module with parameters.
    """
    modules = [module for name, module in model.named_modules() if name in head]
    if not any(True for module in modules for _ in module.parameters()):
        raise StageError(
            f"freeze_epochs needs a head that stays trainable; none of the modules {list(head)} has parameters",
            hint="set fit.freeze_epochs to 0",
        )
    model.requires_grad_(False).eval()
    for module in modules:
        module.requires_grad_(True).train()


def trainable_names(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that take gradients."""
    return frozenset(name for name, parameter in model.named_parameters() if parameter.requires_grad)


def unfreeze(model: nn.Module, names: frozenset[str]) -> None:
    """Put the whole model in training mode and give gradients to exactly the parameters in `names`."""
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
