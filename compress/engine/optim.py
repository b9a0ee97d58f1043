"""Optimizers: weight decay for weight matrices and kernels, none for biases, norms and other vectors."""

from __future__ import annotations

import torch
from torch import nn

from compress.engine.options import FitOptions


def build_optimizer(model: nn.Module, options: FitOptions) -> torch.optim.Optimizer:
    """Return the optimizer over all parameters of the model; frozen ones get no gradient, hence no step.

    Parameters with one dimension or none (biases, BatchNorm, learned scales) get no weight decay, as in
    He et al. 2019, Bag of Tricks, section 3.1.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.optimizer == "sgd":
        sgd = torch.optim.SGD(
            groups, lr=options.lr, momentum=options.momentum, nesterov=options.momentum > 0, fused=True
        )
        if options.momentum:
            # The fused kernel takes momenta of all parameters or of none, and frozen ones begin later than the head.
            # From 0 the first momentum is the gradient, as it is without.
            for parameter in parameters:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    return torch.optim.AdamW(groups, lr=options.lr, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
