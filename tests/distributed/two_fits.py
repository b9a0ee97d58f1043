"""What each of several processes runs in test_collectives.py: the fits of CASES one after the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.distributed import collectives, fit_orders
from compress.distributed.process_rank import process_rank
from compress.engine.batches import Batch, TrainSet, ValSet
from compress.engine.fit import FitResult, fit
from compress.engine.losses import cross_entropy
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup

PREPROCESS = Preprocess(resize_px=16, crop_px=16)
# 42 images in batches of 9: shares of 5 and 4, and 3 and 3 at the end; of 8: 1 and 1 at the end
CASES = {
    "uneven": FitOptions(epochs=3, batch_size=9, lr=0.02, ema_decay=0.9, mixup=0.3, cutmix=0.3, color_jitter=0.2),
    "rest of two": FitOptions(epochs=2, batch_size=8, lr=0.02, randaugment=5, clip_norm=0.5),
    "sgd, frozen": FitOptions(epochs=3, batch_size=16, lr=0.02, optimizer="sgd", freeze_epochs=1, keep="last"),
    "statistics": FitOptions(epochs=3, batch_size=9, lr=0.01, keep="last", ema_decay=0.5, freeze_epochs=1),
}


def net(case: str) -> nn.Module:
    """Return a small net; one case has dropout and batch norms, one of these without weights."""
    torch.manual_seed(0)
    with_norms = case == "statistics"
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8) if with_norms else nn.Identity(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.BatchNorm1d(8, affine=False, momentum=0.3) if with_norms else nn.Identity(),
        nn.Dropout(0.3) if with_norms else nn.Identity(),
        nn.Linear(8, 3),
    )
    model.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))
    model.register_parameter("wide", nn.Parameter(torch.ones(1, dtype=torch.float64)))
    model[0].bias.requires_grad_(False)
    return model


def images(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose strongest channel is the class."""
    rng = np.random.default_rng(n)
    labels = np.arange(n, dtype=np.int64) % 3
    pixels = rng.integers(0, 120, (n, side, side, 3))
    pixels[np.arange(n), :, :, labels] += 60
    return pixels.astype(np.uint8), labels


def run(case: str, work_dir: Path) -> tuple[FitResult, nn.Module]:
    pixels, labels = images(42, 20)
    model = net(case)

    def loss(logits_NK: torch.Tensor, batch: Batch) -> torch.Tensor:
        return cross_entropy(logits_NK * model.wide.float(), batch.targets_NK, 0.1)

    setup = FitSetup(
        train=TrainSet(pixels, np.linspace(0.6, 1.6, 42), labels),
        val=ValSet(*images(13, 16)),
        num_classes=3,
        preprocess=PREPROCESS,
        options=CASES[case],
        work_dir=work_dir,
        seed=0,
    )
    return fit(model, setup, loss, head=("7",)), model


def main(folder: Path) -> None:
    collectives.join(process_rank())
    for number, case in enumerate(CASES):
        work_dir = folder / f"{number}-{collectives.rank()}"
        if collectives.rank() > 0:
            fit_orders.receive()
        try:
            result, model = run(case, work_dir)
        except fit_orders.StageOver:
            continue
        fit_orders.send(fit_orders.Order.OVER)
        weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
        (work_dir / "result.json").write_text(json.dumps({"history": result.history, "weights": weights}))
    collectives.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
