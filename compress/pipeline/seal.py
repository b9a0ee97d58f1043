"""Sealing: a stage's claim is checked, hashed and moved into place, and found again by its key.

Every sealed folder holds `seal.json`, the same facts that the lock records, written before the folder gets its
final name. So a folder with a seal whose file still has its hash is whole, even where a kill came before the lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from compress.core.artifact import Artifact, StageOutput
from compress.core.digest import sha256_file
from compress.core.formats import SUFFIX, Format
from compress.core.regular_file import MAX_JSON_BYTES, read_regular
from compress.core.stage import Reporter
from compress.core.storage import sync, write_json
from compress.errors import StageError
from compress.pipeline.lock import LockedStage, check_digest
from compress.pipeline.run_dir import ASIDE_NAME, PARTIAL_NAME

SEAL_NAME = "seal.json"
SPEC_NAME = "spec.json"
METRICS_NAME = "metrics.json"


def claimed_artifact(output: StageOutput, stage_dir: Path, stage_id: str, kind: str, produces: Format) -> Artifact:
    """Check what a stage says it made, hash it, and return it with a path relative to the stage's folder.

    Raises:
        StageError: the file is not there, empty, outside the stage's folder, or of another format than planned.
    """
    path = stage_dir / output.file_name
    if Path(output.file_name).name != output.file_name or path.is_symlink() or not path.is_file():
        raise StageError(f"stage '{stage_id}' says it made '{output.file_name}', which is not in {stage_dir}")
    if output.format is not produces or path.suffix != SUFFIX[produces]:
        raise StageError(
            f"stage '{stage_id}' made '{output.file_name}' of format {output.format}, planned was {produces}"
        )
    if path.stat().st_size == 0:
        raise StageError(f"stage '{stage_id}' made an empty file '{output.file_name}'")
    return Artifact(
        stage_id=stage_id,
        kind=kind,
        format=produces,
        path=Path(output.file_name),
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        spec=output.spec,
        metrics=output.metrics,
    )


def write_seal(stage_dir: Path, stage: LockedStage) -> None:
    """Write spec.json, metrics.json and, last, seal.json; then wait until all of the folder is on the disk.

    Raises:
        StageError: a metric is not a finite number.
    """
    artifact = stage.artifact
    try:
        write_json(stage_dir / METRICS_NAME, artifact.metrics)
    except ValueError:
        raise StageError(f"stage '{stage.id}' reports a metric that is not a number: {artifact.metrics}") from None
    if artifact.spec is not None:
        write_json(stage_dir / SPEC_NAME, artifact.spec.model_dump(mode="json"))
    for path in stage_dir.rglob("*"):
        if path.is_file() and not path.is_symlink():
            sync(path)
    write_json(stage_dir / SEAL_NAME, stage.model_dump(mode="json"))


def read_seal(stage_dir: Path) -> LockedStage | None:
    """Return a folder's seal, or None when it has none that can be read."""
    try:
        return LockedStage.model_validate_json(read_regular(stage_dir / SEAL_NAME, MAX_JSON_BYTES))
    except (OSError, ValidationError):
        return None


def is_whole(stage_dir: Path, seal: LockedStage) -> bool:
    """Return whether the sealed file is there and still has its hash."""
    path = stage_dir / seal.artifact.path.name
    return path.is_file() and not path.is_symlink() and sha256_file(path) == seal.artifact.sha256


def check_sealed(path: Path) -> bool:
    """Compare a file with the seal beside it, if it is what that seals; return whether it is.

    Raises:
        StageError: it is not what was sealed, or its seal is damaged.
    """
    path = path.resolve()
    seal = read_seal(path.parent)
    if seal is None and (path.parent / SEAL_NAME).exists() and path.name == f"model{path.suffix}":
        raise StageError(
            f"{path.parent / SEAL_NAME}: damaged, so that nobody can tell whether {path.name} is what was sealed",
            hint=f"run the recipe again, or copy {path.name} out of the run's folder to use it as it is",
        )
    if seal is None or seal.artifact.path.name != path.name:
        return False
    check_digest(path, seal)
    return True


def find_sealed(run_dir: Path, key: str, reporter: Reporter, *, first: Path) -> Path | None:
    """Return a whole sealed folder with this key: `first`, else of this run, else of its siblings.

    Damaged ones are told to the reporter and passed over.
    """
    for folder in dict.fromkeys((first, *_sealed_folders(run_dir))):
        seal = read_seal(folder)
        if seal is None or seal.key != key:
            continue
        if is_whole(folder, seal):
            return folder
        reporter.warn(
            f"{folder / seal.artifact.path.name}: damaged (its SHA-256 changed since it was sealed), not used"
        )
    return None


def copy_sealed(source: Path, target: Path) -> None:
    """Fill the empty folder `target` with the files of a sealed folder but for the seal: hard links, else copies."""
    shutil.copytree(
        source, target, copy_function=_link_or_copy, ignore=shutil.ignore_patterns(SEAL_NAME), dirs_exist_ok=True
    )


def _sealed_folders(run_dir: Path) -> Iterator[Path]:
    """Yield this run's sealed folders, then those finished but not moved, those put aside, and the sibling runs'."""
    for within in ("", f"{PARTIAL_NAME}/", f"{ASIDE_NAME}/"):
        yield from sorted(path.parent for path in run_dir.glob(f"{within}[0-9]*-*/{SEAL_NAME}"))
    siblings = sorted(run_dir.parent.iterdir()) if run_dir.parent.is_dir() else []
    for sibling in siblings:
        if sibling != run_dir and not sibling.is_symlink() and sibling.is_dir():
            yield from sorted(path.parent for path in sibling.glob(f"[0-9]*-*/{SEAL_NAME}"))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
