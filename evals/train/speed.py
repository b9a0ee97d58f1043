"""The training table: `python -m evals.train.speed IMAGES WEIGHTS [EPOCHS]` writes docs/results/training.

Four things by turns in one run, epoch by epoch, so that whatever else the machine does falls on all of them: the loops
of `plain_loop`, plain and careful, each in a process of its own; `fit` end to end; and the bare model step (one fixed
batch, forwards, backwards and optimizer, in `fit`'s layout), which no loop can beat.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.core.dataset import FolderData
from compress.core.stage import Advance, SilentReporter
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
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.train.block import ARCH, BARE, CAREFUL, INPUT_PX, OURS, PLAIN, Speeds, TrainingResults, training_block
from evals.train.plain_loop import CAREFULLY

EPOCHS, BARE_STEPS = 6, 20
_SPIN, _SPIN_COUNT = "GOMP_SPINCOUNT", "2000"  # our command line sets it (see cli.main), a careful user may


class PlainLoop:
    """The plain loop in its own process, idle between epochs."""

    def __init__(self, *arguments: str, careful: bool) -> None:
        """Start it, as it stands or with every setting that ours has."""
        command = [sys.executable, "-m", "evals.train.plain_loop", *arguments, *([CAREFULLY] if careful else [])]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(careful=careful)
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


def environment(*, careful: bool) -> dict[str, str]:
    """Return the environment of a loop: without the variable that our command line sets, or with it."""
    as_anybody = {name: value for name, value in os.environ.items() if name != _SPIN}
    return as_anybody | {_SPIN: os.environ.get(_SPIN, _SPIN_COUNT)} if careful else as_anybody


def compare(images: Path, weights: Path, options: FitOptions) -> TrainingResults:
    """Train with all loops, by turns."""
    dataset = load_dataset(FolderData(path=images.absolute()), seed=0)
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
    given = (ARCH, str(weights), str(images), spec.preprocess.model_dump_json(), options.model_dump_json())
    loops = {PLAIN: PlainLoop(*given, careful=False), CAREFUL: PlainLoop(*given, careful=True)}
    speeds, losses, stopwatch = Speeds(), dict[str, float](), _Stopwatch()

    def by_turns(epoch: int, model: nn.Module) -> None:
        for name, loop in loops.items():
            row = loop.epoch()
            speeds.add(name, row["images"], row["seconds"], row["processor_s"])
            losses[name] = row["loss"]
        speeds.add(BARE, *bare.measure())
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
    for row, processor_s in zip(result.history, stopwatch.processor_s, strict=True):
        speeds.add(OURS, len(train.labels_N), len(train.labels_N) / row["images_per_s"], processor_s)
    losses[OURS] = result.history[-1]["train_loss"]
    labels_N = np.asarray(dataset.splits["test"].labels_N)
    pixels = evaluation_pixels(dataset.splits["test"], spec.preprocess, SilentReporter())
    right_N = {name: loop.predicted() == _in_folder_order(dataset) for name, loop in loops.items()}
    right_N[OURS] = torch_logits(model, pixels, spec.preprocess).argmax(axis=1) == labels_N
    return TrainingResults(speeds, decoding_s, losses, right_N, torch.get_num_threads())


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

    def measure(self) -> tuple[float, float, float]:
        """Return images, seconds and processor seconds of BARE_STEPS steps, after one to warm up."""
        self._step()
        began, used = time.perf_counter(), time.process_time()
        for _ in range(BARE_STEPS):
            self._step()
        images = BARE_STEPS * len(self._batch.index_N)
        return images, time.perf_counter() - began, time.process_time() - used

    def _step(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(self._model(self._batch.images_NCHW), self._batch.targets_NK, self._smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()


def main(arguments: list[str]) -> None:
    """Compare, and write docs/results/training."""
    images, weights = (Path(text) for text in arguments[:2])
    options = FitOptions(epochs=int(arguments[2]) if len(arguments) > 2 else EPOCHS, keep="last")
    measured = measured_now()
    with tempfile.TemporaryDirectory() as cache:  # an empty one, so that decoding is part of what is measured
        os.environ["IMGC_CACHE"] = cache
        block = training_block(compare(images, weights, options), options, measured)
    publish("training", (block,))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
