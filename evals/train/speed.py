"""README's training table: `python -m evals.train.speed README.md IMAGES WEIGHTS [EPOCHS]`.

Three things by turns in one run, epoch by epoch, so that whatever else the machine does falls on all of them: the plain
loop of `train_plain` in a process of its own, `fit` end to end, and the bare model step (one fixed batch, forwards,
backwards and optimizer, in `fit`'s layout), which no loop can beat.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.core.dataset import FolderData
from compress.core.stage import Advance, SilentReporter
from compress.core.storage import write_text
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.batches import Batch, train_batches
from compress.engine.evaluate import torch_logits
from compress.engine.fit import fit
from compress.engine.losses import cross_entropy, label_loss
from compress.engine.optim import build_optimizer
from compress.engine.options import FitOptions
from compress.engine.sets import training_sets
from compress.engine.setup import FitSetup
from compress.errors import ImgcError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_pretrained
from compress.report.table import host_text, markdown_table
from compress.runtime.evaluate import mcnemar_p, wilson_ci95_pct
from compress.runtime.host import host
from evals.results_table import replace_block

BEGIN, END = "<!-- training:begin -->", "<!-- training:end -->"
ARCH, INPUT_PX, EPOCHS, BARE_STEPS = "tf_mobilenetv3_small_100", 160, 6, 20
_OURS = "GOMP_SPINCOUNT"  # set by our command line (see cli.main), by nobody who writes a plain loop
_COLUMNS = (
    "loop",
    "images/s",
    "of the plain loop",
    "of the bare step",
    "images/processor s",
    "of the plain loop",
    "of the bare step",
    "last loss",
    "test top-1 %",
    "95 % interval",
)


@dataclass
class Speeds:
    """Images a second, one value a round: of the clock, and of processor time, which other programs disturb less."""

    plain: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    plain_cpu: list[float] = field(default_factory=list)
    ours_cpu: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingResults:
    """What a comparison found: speeds, last training losses, and right answers on the test images."""

    speeds: Speeds
    first_decoding_s: float
    losses: tuple[float, float]
    right_plain_N: np.ndarray
    right_ours_N: np.ndarray


class PlainLoop:
    """The plain loop in its own process, idle between epochs."""

    def __init__(self, *arguments: str) -> None:
        """Start it."""
        command = [sys.executable, "-m", "evals.train.plain_loop", *arguments]
        as_anybody = {name: value for name, value in os.environ.items() if name != _OURS}
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=as_anybody
        )

    def epoch(self) -> dict[str, float]:
        """Train one epoch; return images, seconds, loss."""
        assert self._process.stdin is not None
        self._process.stdin.write("epoch\n")
        self._process.stdin.flush()
        answer: dict[str, float] = self._answer()
        return answer

    def predicted(self) -> np.ndarray:
        """End it; return the classes it finds on the test images."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        classes = np.array(self._answer()["predicted"])
        self._process.wait()
        return classes

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise UsageError(f"the plain loop ended with exit code {self._process.wait()}; its own words are above")
        return json.loads(line)


def compare(photos: Path, weights: Path, options: FitOptions) -> TrainingResults:
    """Train with both loops, by turns."""
    dataset = load_dataset(FolderData(path=photos.absolute()), seed=0)
    spec = new_spec(ARCH, dataset.labels, INPUT_PX)
    model = build_model(spec, seed=0)
    load_pretrained(model, spec, weights)
    began = time.perf_counter()
    train, val = training_sets(dataset, spec.preprocess, SilentReporter())
    decoding_s = time.perf_counter() - began
    batch = next(
        train_batches(train, spec.num_classes, spec.preprocess, options, seed=1, epoch=0, device=torch.device("cpu"))
    )
    bare = _BareStep(build_model(spec, seed=0), batch, options)
    given = (ARCH, str(weights), str(photos), spec.preprocess.model_dump_json(), options.model_dump_json())
    plain, speeds, losses, stopwatch = PlainLoop(*given), Speeds(), [0.0], _Stopwatch()

    def by_turns(epoch: int, model: nn.Module) -> None:
        row = plain.epoch()
        speeds.plain.append(row["images"] / row["seconds"])
        speeds.plain_cpu.append(row["images"] / row["processor_s"])
        of_clock, of_processor = bare.images_per_s()
        speeds.bare.append(of_clock)
        speeds.bare_cpu.append(of_processor)
        losses[0] = row["loss"]
        stopwatch.start()

    with tempfile.TemporaryDirectory() as folder:
        result = fit(
            model,
            FitSetup(
                train=train,
                val=val,
                num_classes=spec.num_classes,
                preprocess=spec.preprocess,
                options=options,
                work_dir=Path(folder),
                seed=0,
                reporter=stopwatch,
            ),
            label_loss(options.label_smoothing),
            on_epoch=by_turns,
        )
    speeds.ours = [row["images_per_s"] for row in result.history]
    speeds.ours_cpu = [len(train.labels_N) / seconds for seconds in stopwatch.processor_s]
    labels_N = np.asarray(dataset.splits["test"].labels_N)
    pixels = evaluation_pixels(dataset.splits["test"], spec.preprocess, SilentReporter())
    right_ours_N = torch_logits(model, pixels, spec.preprocess).argmax(axis=1) == labels_N
    right_plain_N = plain.predicted() == _in_folder_order(dataset)
    return TrainingResults(
        speeds, decoding_s, (losses[0], result.history[-1]["train_loss"]), right_plain_N, right_ours_N
    )


def _in_folder_order(dataset: Dataset) -> np.ndarray:
    """Return the test labels in ImageFolder's order, by class and then by name, which is also ours."""
    split = dataset.splits["test"]
    assert list(split.paths) == sorted(split.paths)
    return np.asarray(split.labels_N)


class _Stopwatch(SilentReporter):
    """Takes the processor time of each epoch of `fit`: from `start` to the last batch, without the validation."""

    def __init__(self) -> None:
        self.processor_s: list[float] = []
        self._began = 0.0

    def start(self) -> None:
        """Begin an epoch."""
        self._began = time.process_time()
        self.processor_s.append(0.0)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Return what `fit` calls after each batch."""
        return nullcontext(self._advance)

    def _advance(self, done: int = 1, note: str = "") -> None:
        if self.processor_s:
            self.processor_s[-1] = time.process_time() - self._began


class _BareStep:
    """The model alone: one batch that is there already, the layout and the optimizer of `fit`."""

    def __init__(self, model: nn.Module, batch: Batch, options: FitOptions) -> None:
        self._model = model.to(memory_format=torch.channels_last).train()
        self._optimizer = build_optimizer(self._model, options)
        self._batch, self._smoothing = batch, options.label_smoothing

    def images_per_s(self) -> tuple[float, float]:
        """Return the speed of BARE_STEPS steps after one to warm up, by the clock and by processor time."""
        self._step()
        began, used = time.perf_counter(), time.process_time()
        for _ in range(BARE_STEPS):
            self._step()
        images = BARE_STEPS * len(self._batch.index_N)
        return images / (time.perf_counter() - began), images / (time.process_time() - used)

    def _step(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self._model(self._batch.images_NCHW), self._batch.targets_NK, self._smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()


def only_right(right_a_N: np.ndarray, right_b_N: np.ndarray) -> tuple[int, int]:
    """Return how often only a and only b is right."""
    return int((right_a_N & ~right_b_N).sum()), int((~right_a_N & right_b_N).sum())


def as_markdown(found: TrainingResults, options: FitOptions) -> str:
    """Return what README shows."""
    speeds, n = found.speeds, len(found.right_ours_N)
    losses = [f"{loss:.3f}" for loss in found.losses]
    rows: list[tuple[str, ...]] = [
        ("plain loop", *_speed(speeds, "plain"), losses[0], *_top1(found.right_plain_N)),
        ("imgc", *_speed(speeds, "ours"), losses[1], *_top1(found.right_ours_N)),
        ("bare model step", *_speed(speeds, "bare"), "", "", ""),
    ]
    only_plain, only_ours = only_right(found.right_plain_N, found.right_ours_N)
    text = (
        f"{ARCH}, {INPUT_PX} px, batch {options.batch_size}, {options.epochs} epochs by turns, "
        f"{torch.get_num_threads()} threads, n = {n} test images; medians over epochs, least and greatest in "
        f"brackets. Only the plain loop is right on {only_plain} of them, only imgc on {only_ours} (exact McNemar p "
        f"{mcnemar_p(only_plain, only_ours):.2f}). "
        f"Once, before imgc's first epoch: decoding in {found.first_decoding_s:.1f} s. "
        f"Machine: {host_text(host())}."
    )
    head = "_Written by `make results-train`; no number is typed by hand._"
    return "\n\n".join((BEGIN, head, text, markdown_table(_COLUMNS, rows, 1), END))


def _speed(speeds: Speeds, loop: str) -> tuple[str, ...]:
    """Return images/s, the ratios to the plain loop and the bare step of the same rounds, and the same by processor."""
    cells: list[str] = []
    for suffix in ("", "_cpu"):
        own, plain, bare = (getattr(speeds, f"{name}{suffix}") for name in (loop, "plain", "bare"))
        cells.append(f"{median(own):.0f}")
        cells += [_range([a / b for a, b in zip(own, other, strict=True)]) for other in (plain, bare)]
    return tuple(cells)


def _range(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _top1(right_N: np.ndarray) -> tuple[str, str]:
    low, high = wilson_ci95_pct(int(right_N.sum()), len(right_N))
    return f"{100 * right_N.mean():.2f}", f"{low:.1f}-{high:.1f}"


def main(arguments: list[str]) -> None:
    """Compare and write README's block; print it too."""
    readme, photos, weights = (Path(text) for text in arguments[:3])
    options = FitOptions(epochs=int(arguments[3]) if len(arguments) > 3 else EPOCHS, keep="last")
    text = readme.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as cache:  # an empty one, so that decoding is part of what is measured
        os.environ["IMGC_CACHE"] = cache
        block = as_markdown(compare(photos, weights, options), options)
    sys.stdout.write(block + "\n")
    write_text(readme, replace_block(text, block, BEGIN, END))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
