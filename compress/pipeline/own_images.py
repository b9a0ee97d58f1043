"""The test images that a run set apart, for who evaluates its files on the whole folder it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from compress.core.dataset import CsvData, FolderData
from compress.core.digest import sha256_file
from compress.core.stage import Reporter, SilentReporter
from compress.data.dataset import Split, load_dataset
from compress.pipeline.current import load_run
from compress.pipeline.lock import read_lock
from compress.pipeline.run_dir import LATEST, RESOLVED_NAME

_RUNS = Path("runs")


class OwnTest(NamedTuple):
    """A run's test images, and the names of the classes that their labels count."""

    split: Split
    labels: tuple[str, ...]


def own_test_split(file: Path, data: Path, reporter: Reporter) -> OwnTest | None:
    """Return the run's test images where a model file is of a run and the images are those it was made from.

    A copy of a file is known by its content, if the newest run under ./runs made it. Where images or classes are others
    than the run's, nobody knows which were trained on: None.

    Args:
        file: the model file.
        data: images that somebody wants to evaluate it on.
        reporter: is told which images are asked, and why.

    Raises:
        StageError: the run's lock is damaged.
        DataError: the images cannot be used.
    """
    run_dir = _run_of(file.resolve()) if file.is_file() else None
    lock = read_lock(run_dir) if run_dir else None
    if run_dir is None or lock is None:
        return None
    recipe = load_run(run_dir).recipe
    if not isinstance(recipe.data, FolderData | CsvData) or recipe.data.path.resolve() != data.resolve():
        return None
    dataset = load_dataset(recipe.data, seed=recipe.seed, reporter=SilentReporter())
    split, digest = dataset.splits["test"], sha256_file(file)
    same_images = any(stage.key_parts.get("data") == dataset.fingerprint for stage in lock.stages)
    specs = [stage.artifact.spec for stage in lock.stages if stage.artifact.sha256 == digest]
    same_classes = any(spec is not None and spec.labels == dataset.labels for spec in specs)
    if not split.paths or not same_images or not same_classes:
        return None
    others = "it was trained on the others, or chosen by them"
    reporter.info(f"{data}: the {len(split)} test images of run {run_dir.name}; {others}")
    return OwnTest(split, dataset.labels)


def _run_of(file: Path) -> Path | None:
    """Return the run that a file lies in, else the newest run, which may have made it."""
    run_dir = file.parent.parent
    if (run_dir / RESOLVED_NAME).is_file():
        return run_dir
    latest = (_RUNS / LATEST).resolve()
    return latest if (latest / RESOLVED_NAME).is_file() else None
