"""README's table of pruned networks: `python -m evals.shrink.table README.md runs`.

Each run's pruned and distilled networks beside the float network they came from, their stock narrower siblings, what
torch-pruning's defaults leave at the same MACs, and the int8 files that are made of them; all judged on the same
images (validation and test) and timed in turns with the float network in torch.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.core.storage import write_text
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.distill.config import DistillConfig
from compress.engine.fit import fit
from compress.engine.losses import label_loss
from compress.engine.options import FitOptions
from compress.engine.setup import fit_setup
from compress.errors import ImgcError, StageError, UsageError
from compress.models.build import arch_info, describe
from compress.models.weights import load_model, save_model
from compress.pipeline.current import load_run
from compress.pipeline.lock import artifact_at, read_lock
from compress.prune.config import PruneConfig
from compress.recipe.load import LoadedRecipe
from compress.report.table import host_text, markdown_table, size_text
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.host import host
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats
from evals.int8.compare import latency_ratio
from evals.int8.files import ratio_text
from evals.results_table import replace_block
from evals.shrink.baselines import torch_pruning_default

BEGIN = "<!-- shrink:begin -->"
END = "<!-- shrink:end -->"
RUNS = "clothing_shrink_*"
_COLUMNS = ("model", "MACs", "of fp32", "params", "file", "of fp32", "top-1 %", "drop pp", "agree %", "ms", "of fp32")
_TEXT = 1  # the first column is text


@dataclass(frozen=True)
class Reference:
    """The float network of a run, and the images that all are judged on.

    Attributes:
        artifact: of the train stage.
        spec: what it is.
        pixels_NHWC: validation and test images.
        labels_N: their class indices.
        logits_NK: its answers to them.
        top1_pct: 0..100.
    """

    artifact: Artifact
    spec: ModelSpec
    pixels_NHWC: NDArray[np.uint8]
    labels_N: Sequence[int]
    logits_NK: Floats
    top1_pct: float


def shrink_markdown(run_dirs: Sequence[Path]) -> str:
    """Return the generated block, markers included.

    Raises:
        StageError: a folder holds no run with a train and a prune stage.
    """
    parts = ["_Written by `make results-shrink` from the runs; no number is typed by hand._"]
    for run_dir in run_dirs:
        with tempfile.TemporaryDirectory() as folder:
            parts += _run_table(run_dir, Path(folder))
    return "\n\n".join([BEGIN, *parts, END])


def _run_table(run_dir: Path, folder: Path) -> list[str]:
    lock = read_lock(run_dir)
    artifacts = {stage.id: artifact_at(run_dir, stage) for stage in lock.stages} if lock else {}
    pruned = [artifact for artifact in artifacts.values() if artifact.kind == "prune"]
    if lock is None or "train" not in artifacts or not pruned:
        raise StageError(f"{run_dir}: has no train and prune stage", hint="`make results-shrink` makes the runs")
    recipe = load_run(run_dir)
    dataset = _dataset(run_dir, recipe)
    reference = _reference(artifacts["train"], dataset)
    judged = [
        (artifact.stage_id, artifact.path) for artifact in artifacts.values() if artifact.format is not Format.BENCH
    ]
    rows = [_row(title, path, reference) for title, path in judged]
    rows += [
        _row(title, path, reference) for title, path in _baseline_files(recipe, reference, dataset, artifacts, folder)
    ]
    side, n = reference.spec.preprocess.crop_px, len(reference.labels_N)
    setting = f"n = {n} (validation and test), {side} px, 1 thread, batch 1, seed {recipe.recipe.seed}"
    return [f"**`{run_dir.name}`**: {setting}. Machine: {host_text(host())}.", markdown_table(_COLUMNS, rows, _TEXT)]


def _dataset(run_dir: Path, loaded: LoadedRecipe) -> Dataset:
    if loaded.recipe.data is None:
        raise StageError(f"{run_dir}: the run has no images", hint="add a `data:` block")
    return load_dataset(loaded.recipe.data, seed=loaded.recipe.seed)


def _reference(artifact: Artifact, dataset: Dataset) -> Reference:
    predictor = open_predictor(artifact.path)
    both = [dataset.splits["val"], dataset.splits["test"]]
    preprocess = predictor.spec.preprocess
    pixels_NHWC = np.concatenate([evaluation_pixels(split, preprocess, SilentReporter()) for split in both])
    labels_N = [label for split in both for label in split.labels_N]
    judged = evaluate(predictor, pixels_NHWC, labels_N)
    return Reference(artifact, predictor.spec, pixels_NHWC, labels_N, judged.logits_NK, judged.top1_pct)


def _baseline_files(
    loaded: LoadedRecipe, reference: Reference, dataset: Dataset, artifacts: dict[str, Artifact], folder: Path
) -> Iterator[tuple[str, Path]]:
    """Yield torch-pruning's networks at the MACs of each of ours: as it leaves them, and fine-tuned as long as ours."""
    model, spec = load_model(reference.artifact.path)
    for stage in loaded.recipe.stages:
        if not isinstance(stage, PruneConfig) or stage.like is not None:
            continue
        ours = artifacts[stage.id].spec
        assert ours is not None, "a pruned model has a spec"
        narrow = torch_pruning_default(model, spec, ours.macs)
        path = folder / f"{stage.id}.safetensors"
        save_model(path, narrow, describe(narrow, spec))
        yield f"torch-pruning, uniform, at {stage.id}", path
        options = next(
            (s.fit for s in loaded.recipe.stages if isinstance(s, DistillConfig) and s.from_ == stage.id), None
        )
        if options is not None:
            tuned = folder / f"{stage.id}-tuned.safetensors"
            _fine_tuned(narrow, spec, dataset, options, folder, loaded.recipe.seed)
            save_model(tuned, narrow, describe(narrow, spec))
            yield f"the same, {options.epochs} epochs of cross entropy", tuned


def _fine_tuned(
    model: nn.Module, spec: ModelSpec, dataset: Dataset, options: FitOptions, folder: Path, seed: int
) -> nn.Module:
    """Train in place on the labels alone, as a user of a pruning library would, and return the network."""
    setup = fit_setup(dataset, spec, options, RunContext(folder, seed, data=None))
    fit(model, setup, label_loss(options.label_smoothing), head=(arch_info(spec.arch).head,))
    return model


def _row(title: str, path: Path, reference: Reference) -> tuple[str, ...]:
    predictor = open_predictor(path)
    judged = evaluate(predictor, reference.pixels_NHWC, reference.labels_N)
    image_NCHW = normalize(reference.pixels_NHWC[:1], reference.spec.preprocess)
    time = latency_ratio(predictor, open_predictor(reference.artifact.path), image_NCHW)
    spec, size = predictor.spec, path.stat().st_size
    return (
        title,
        f"{spec.macs / 1e6:.2f} M",
        f"{100 * spec.macs / reference.spec.macs:.1f} %",
        f"{spec.params / 1e3:.0f} k",
        size_text(size),
        f"1/{reference.artifact.size_bytes / size:.1f}",
        f"{judged.top1_pct:.2f}",
        f"{reference.top1_pct - judged.top1_pct:.2f}",
        f"{agreement_pct(reference.logits_NK, judged.logits_NK):.2f}",
        f"{time.p50_ms:.2f}",
        ratio_text(time),
    )


def _main(readme: Path, runs_dir: Path) -> None:
    found = sorted(path for path in runs_dir.glob(RUNS) if path.is_dir())
    if not found:
        raise UsageError(f"{runs_dir}: holds no run {RUNS}", hint="`make results-shrink` makes them")
    block = shrink_markdown(found)
    write_text(readme, replace_block(readme.read_text(encoding="utf-8"), block, BEGIN, END))


if __name__ == "__main__":
    try:
        _main(Path(sys.argv[1]), Path(sys.argv[2]))
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
