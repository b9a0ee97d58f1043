"""The table of pruned networks: `python -m evals.shrink.table RUNS [--choose]` writes docs/results/pruning.

Each run's pruned and distilled networks beside the float network they came from, their stock narrower siblings, what
torch-pruning's defaults leave at the same MACs, and the int8 files that are made of them; all timed in turns with the
float network in the same runtime. Validation judges them; the test images are asked once, for the page. `--choose`
prints the table without asking them, and writes nothing: settings are compared by it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.data.dataset import Dataset, Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.distill.config import DistillConfig
from compress.engine.fit import fit
from compress.engine.losses import label_loss
from compress.engine.options import FitOptions
from compress.engine.setup import fit_setup
from compress.errors import ImgcError, StageError, UsageError
from compress.graph.from_torch import to_onnx
from compress.models.build import arch_info, describe
from compress.models.weights import load_model, save_model
from compress.pipeline.current import load_run
from compress.pipeline.lock import artifact_at, read_lock
from compress.prune.config import PruneConfig
from compress.recipe.load import LoadedRecipe
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats, Predictor
from evals.int8.compare import latency_ratio
from evals.int8.files import ratio_cell, write_float_files
from evals.pages.pages import publish
from evals.results.markdown import block_table
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.pruning import TORCH_PRUNING, TUNED
from evals.shrink.baselines import torch_pruning_default

RUNS = "clothing_shrink_*"
COLUMNS = (
    Column(key="model", title="model", kind="text"),
    Column(key="runtime", title="runtime", kind="text"),
    Column(key="macs_m", title="MACs, M", digits=2),
    Column(key="macs_pct", title="of fp32 %", digits=1),
    Column(key="params", title="params", kind="count"),
    Column(key="size_bytes", title="file", kind="bytes"),
    Column(key="times_smaller", title="times smaller", digits=1),
    Column(key="val_top1_pct", title="validation top-1 %", digits=2),
    Column(key="val_drop_pp", title="drop pp", digits=2),
    Column(key="val_agree_pct", title="agree %", digits=2),
    Column(key="test_top1_pct", title="test top-1 %", digits=2),
    Column(key="ms", title="ms", digits=2),
    Column(key="of_fp32", title="of fp32 in the same runtime", digits=2),
)


@dataclass(frozen=True)
class Judged:
    """The images of a split, and what the float network answers to them.

    Attributes:
        pixels_NHWC: as its preprocessing has them.
        labels_N: their class indices.
        logits_NK: its answers.
        top1_pct: 0..100.
    """

    pixels_NHWC: NDArray[np.uint8]
    labels_N: tuple[int, ...]
    logits_NK: Floats
    top1_pct: float


@dataclass(frozen=True)
class Reference:
    """The float network of a run.

    Attributes:
        artifact: of the train stage.
        spec: what it is.
        files: the network in each format, so that every file is timed beside its own runtime's.
        val: judges.
        test: asked once; None while something is chosen.
    """

    artifact: Artifact
    spec: ModelSpec
    files: dict[Format, Path]
    val: Judged
    test: Judged | None


def shrink_block(run_dir: Path, measured: Measured, *, with_test: bool = True) -> Block:
    """Return a run's table.

    Args:
        run_dir: of a run with a train and a prune stage.
        measured: now.
        with_test: whether the test images are asked.

    Raises:
        StageError: the folder holds no such run.
    """
    lock = read_lock(run_dir)
    artifacts = {stage.id: artifact_at(run_dir, stage) for stage in lock.stages} if lock else {}
    pruned = [artifact for artifact in artifacts.values() if artifact.kind == "prune"]
    if lock is None or "train" not in artifacts or not pruned:
        raise StageError(f"{run_dir}: has no train and prune stage", hint="`make results-shrink` makes the runs")
    recipe = load_run(run_dir)
    dataset = _dataset(run_dir, recipe)
    files = [(one.stage_id, one.path) for one in artifacts.values() if one.format is not Format.BENCH]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = _reference(artifacts["train"], dataset, folder, with_test=with_test)
        rows = [_row(title, path, reference) for title, path in files]
        others = _baseline_files(recipe, reference, dataset, artifacts, folder)
        rows += [_row(title, path, reference) for title, path in others]
    counted = {"validation images": len(reference.val.labels_N)}
    if reference.test is not None:
        counted["test images"] = len(reference.test.labels_N)
    return Block(
        key=run_dir.name,
        title=f"`{run_dir.name}`",
        n=counted,
        setting=f"{reference.spec.preprocess.crop_px} px, 1 thread, batch 1, seed {recipe.recipe.seed}",
        measured=measured,
        columns=COLUMNS,
        rows=tuple(rows),
    )


def _dataset(run_dir: Path, loaded: LoadedRecipe) -> Dataset:
    if loaded.recipe.data is None:
        raise StageError(f"{run_dir}: the run has no images", hint="add a `data:` block")
    return load_dataset(loaded.recipe.data, seed=loaded.recipe.seed)


def _reference(artifact: Artifact, dataset: Dataset, folder: Path, *, with_test: bool) -> Reference:
    model, spec = load_model(artifact.path)
    files = {Format.TORCH: artifact.path, **write_float_files(to_onnx(model, spec), spec, folder)}
    predictor = open_predictor(artifact.path)
    test = _judged(predictor, dataset.splits["test"]) if with_test else None
    return Reference(artifact, spec, files, _judged(predictor, dataset.splits["val"]), test)


def _judged(predictor: Predictor, split: Split) -> Judged:
    pixels_NHWC = np.asarray(evaluation_pixels(split, predictor.spec.preprocess, SilentReporter()))
    found = evaluate(predictor, pixels_NHWC, split.labels_N)
    return Judged(pixels_NHWC, tuple(split.labels_N), found.logits_NK, found.top1_pct)


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
        yield f"{TORCH_PRUNING}{stage.id}", path
        options = next(
            (s.fit for s in loaded.recipe.stages if isinstance(s, DistillConfig) and s.from_ == stage.id), None
        )
        if options is not None:
            tuned = folder / f"{stage.id}-tuned.safetensors"
            _fine_tuned(narrow, spec, dataset, options, folder, loaded.recipe.seed)
            save_model(tuned, narrow, describe(narrow, spec))
            yield f"{TORCH_PRUNING}{stage.id}{TUNED}, {options.epochs} epochs of cross entropy", tuned


def _fine_tuned(
    model: nn.Module, spec: ModelSpec, dataset: Dataset, options: FitOptions, folder: Path, seed: int
) -> nn.Module:
    """Train in place on the labels alone, as a user of a pruning library would, and return the network."""
    setup = fit_setup(dataset, spec, options, RunContext(folder, seed, data=None))
    fit(model, setup, label_loss(options.label_smoothing), head=(arch_info(spec.arch).head,))
    return model


def _row(title: str, path: Path, reference: Reference) -> dict[str, Cell]:
    predictor = open_predictor(path)
    judged = evaluate(predictor, reference.val.pixels_NHWC, reference.val.labels_N)
    image_NCHW = normalize(reference.val.pixels_NHWC[:1], reference.spec.preprocess)
    time = latency_ratio(predictor, open_predictor(reference.files[predictor.format]), image_NCHW)
    test = reference.test
    spec, size = predictor.spec, path.stat().st_size
    return {
        "model": title,
        "runtime": predictor.runtime,
        "macs_m": spec.macs / 1e6,
        "macs_pct": 100 * spec.macs / reference.spec.macs,
        "params": spec.params,
        "size_bytes": size,
        "times_smaller": reference.artifact.size_bytes / size,
        "val_top1_pct": judged.top1_pct,
        "val_drop_pp": reference.val.top1_pct - judged.top1_pct,
        "val_agree_pct": agreement_pct(reference.val.logits_NK, judged.logits_NK),
        "test_top1_pct": evaluate(predictor, test.pixels_NHWC, test.labels_N).top1_pct if test else None,
        "ms": time.p50_ms,
        "of_fp32": ratio_cell(time),
    }


def main(runs_dir: Path, *, choose: bool) -> None:
    """Measure all runs; print their tables on validation, or write the page.

    Raises:
        UsageError: there is no run.
    """
    found = sorted(path for path in runs_dir.glob(RUNS) if path.is_dir())
    if not found:
        raise UsageError(f"{runs_dir}: holds no run {RUNS}", hint="`make results-shrink` makes them")
    measured = measured_now("call")
    blocks = tuple(shrink_block(folder, measured, with_test=not choose) for folder in found)
    if choose:
        sys.stdout.write("\n\n".join(f"{block.title}\n\n{block_table(block)}" for block in blocks) + "\n")
    else:
        publish("pruning", blocks)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), choose="--choose" in sys.argv[2:])
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
