"""The training loop that everybody writes first, as a process of its own: what `speed` compares ours with.

timm's model in torch's default layout, torchvision's ImageFolder and transforms, a DataLoader with two workers, AdamW.
With `--careful` it has the settings that ours has: the layout channels_last, workers that stay between epochs, and in
its environment OpenMP's threads that spin shortly (`GOMP_SPINCOUNT`, which `speed` sets).
It trains one epoch for each line on its standard input and answers with one line of JSON: images, seconds,
processor seconds (its workers' too), mean loss;
where the input ends, with the classes it finds on the test images.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from compress.core.preprocess import Preprocess
from compress.engine.options import FitOptions
from compress.engine.schedule import learning_rate

CAREFULLY = "--careful"
_WORKERS = 2


def main(arch: str, weights: str, data: str, preprocess_json: str, options_json: str, *flags: str) -> None:
    """Answer each line with an epoch, then predict."""
    careful = CAREFULLY in flags
    layout = torch.channels_last if careful else torch.contiguous_format
    options = FitOptions.model_validate_json(options_json)
    preprocess = Preprocess.model_validate_json(preprocess_json)
    torch.manual_seed(0)
    side, normalize = preprocess.crop_px, transforms.Normalize(preprocess.mean, preprocess.std)
    augment = transforms.Compose([
        transforms.RandomResizedCrop(side, scale=(options.crop_scale_min, 1.0), ratio=(3 / 4, 4 / 3)),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        normalize,
    ])  # fmt: skip
    train = datasets.ImageFolder(Path(data) / "train", augment)
    loader = DataLoader(train, options.batch_size, shuffle=True, num_workers=_WORKERS, persistent_workers=careful)
    model = timm.create_model(arch, num_classes=len(train.classes))
    state = load_file(weights)
    own = model.state_dict()
    model.load_state_dict({n: t for n, t in state.items() if t.shape == own[n].shape}, strict=False)
    model = model.to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    criterion = nn.CrossEntropyLoss(label_smoothing=options.label_smoothing)
    step = 0
    for _ in sys.stdin:
        started, used, seen, total = time.perf_counter(), _processor_s(), 0, 0.0
        model.train()
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = learning_rate(step, len(loader), options)
            optimizer.zero_grad()
            loss = criterion(model(images.to(memory_format=layout)), labels)
            loss.backward()
            optimizer.step()
            step += 1
            seen += len(labels)
            total += loss.item() * len(labels)
        seconds, processor_s = time.perf_counter() - started, _processor_s() - used
        _answer({"images": seen, "seconds": seconds, "processor_s": processor_s, "loss": total / seen})
    scale = transforms.Compose(
        [transforms.Resize(preprocess.resize_px), transforms.CenterCrop(side), transforms.ToTensor(), normalize]
    )
    _answer({"predicted": _predict(model, datasets.ImageFolder(Path(data) / "test", scale))})


def _predict(model: nn.Module, test: datasets.ImageFolder) -> list[int]:
    model.eval()
    with torch.inference_mode():
        return [int(k) for images, _ in DataLoader(test, 64) for k in model(images).argmax(1)]


def _processor_s() -> float:
    """Return the processor time of this process and of its workers: those that ended, and those that live."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return ended + sum(_processor_s_of(worker.pid) for worker in multiprocessing.active_children())


def _processor_s_of(pid: int | None) -> float:
    """Return the processor time of a process that lives (proc(5): the fields after the name in parentheses)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
