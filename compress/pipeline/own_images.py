"""The test images that a run set apart, for who evaluates its files on the whole folder it was trained on."""

from __future__ import annotations

from pathlib import Path

from compress.core.dataset import CsvData, FolderData
from compress.core.digest import sha256_file
from compress.core.stage import Reporter, SilentReporter
from compress.data.dataset import Split, load_dataset
from compress.pipeline.current import load_run
from compress.pipeline.lock import read_lock
from compress.pipeline.run_dir import LATEST, RESOLVED_NAME

_RUNS = Path("runs")


def own_test_split(file: Path, data: Path, reporter: Reporter) -> Split | None:
    """Return the run's test images where a model file is of a run and the images are those it was trained on.

    A copy of a file is known by its content, if the newest run under ./runs made it.

    Args:
        file: the model file.
        data: images that somebody wants to evaluate it on.
        reporter: is told which images are asked, and why.

    Raises:
        StageError: the run's lock is damaged.
        DataError: the images cannot be used.
    """
    run_dir = _run_of(file.resolve()) if file.is_file() else None
    if run_dir is None:
        return None
    recipe = load_run(run_dir).recipe
    if not isinstance(recipe.data, FolderData | CsvData) or recipe.data.path.resolve() != data.resolve():
        return None
    split = load_dataset(recipe.data, seed=recipe.seed, reporter=SilentReporter()).splits["test"]
    if not split.paths:
        return None
    others = "it was trained on the others, or chosen by them"
    reporter.info(f"{data}: the {len(split)} test images of run {run_dir.name}; {others}")
    return split


def _run_of(file: Path) -> Path | None:
    run_dir = file.parent.parent
    if (run_dir / RESOLVED_NAME).is_file():
        return run_dir
    latest = (_RUNS / LATEST).resolve()
    lock = read_lock(latest) if (latest / RESOLVED_NAME).is_file() else None
    made = {stage.artifact.sha256 for stage in lock.stages} if lock else set()
    return latest if made and sha256_file(file) in made else None
