"""Learning rate and image size as pure functions of step and epoch: a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from compress.engine.options import FitOptions

_GROWN_AT = 0.7  # of the epochs; the rest is trained at the size that is validated and shipped
_SIDE_STEP = 32  # the stride of the networks


def learning_rate(step: int, steps_per_epoch: int, options: FitOptions) -> float:
    """Return the learning rate of an optimizer step.

    `lr` while the backbone is frozen; then linear from 0 to `lr`; then a cosine down to `lr * lr_final`
    (Loshchilov & Hutter 2017, SGDR, eq. 5 with one period) or constant.

    Args:
        step: number of optimizer steps done before this one.
        steps_per_epoch: optimizer steps in an epoch.
        options: epochs, freeze_epochs, warmup_epochs, lr, lr_final, schedule.
    """
    frozen = options.freeze_epochs * steps_per_epoch
    if step < frozen:
        return options.lr
    done = step - frozen
    total = options.epochs * steps_per_epoch - frozen
    warmup = min(round(options.warmup_epochs * steps_per_epoch), total // 2)
    if done < warmup:
        return options.lr * (done + 1) / (warmup + 1)
    if options.schedule == "constant":
        return options.lr
    progress = (done - warmup) / max(1, total - warmup - 1)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return options.lr * (options.lr_final + (1.0 - options.lr_final) * cosine)


def training_side(epoch: int, crop_px: int, options: FitOptions) -> int:
    """Return the side of the training images of an epoch (from 0): a multiple of 32, or the full crop."""
    start = options.progressive_px
    grown = int(_GROWN_AT * options.epochs)
    if start is None or start >= crop_px or epoch >= grown:
        return crop_px
    return (start + (crop_px - start) * epoch // grown) // _SIDE_STEP * _SIDE_STEP
