"""Which files of a run a command means when it is told none."""

from __future__ import annotations

from pathlib import Path

from compress.core.artifact import Artifact
from compress.core.formats import MODEL_FORMATS, SUFFIX, Format, Precision
from compress.errors import UsageError
from compress.pipeline.current import current_run, find_artifact
from compress.pipeline.given import vouch
from compress.pipeline.lock import artifact_at, read_lock
from compress.runtime.trial import Purpose


def given_model(path: Path, purpose: Purpose = "run") -> Path:
    """Return the path of a model file that was named on the command line; see `vouch`.

    Raises:
        UsageError: it is not a model file by its name, or there is no such file.
        StageError: it lies in a run and is not what was sealed there.
        ModelFileError: its trial failed.
    """
    allowed = tuple(SUFFIX[fmt] for fmt in MODEL_FORMATS)
    if path.suffix.lower() not in allowed:
        raise UsageError(f"{path}: not a model file by its name", hint=f"model files end in {', '.join(allowed)}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="the files of a run are listed by: imgc report")
    vouch(path, purpose)
    return path


def newest_model(run: str | None, runs_dir: Path) -> Path:
    """Return the model file of a run that would be served, else its newest.

    Raises:
        UsageError: there is no run, or no model in it.
    """
    run_dir = current_run(runs_dir, run)
    return short_path(_servable(run_dir) or find_artifact(run_dir, formats=MODEL_FORMATS).path)


def servable_model(run: str | None, runs_dir: Path) -> Path:
    """Return the run's model to serve: int8 TFLite before other TFLite before ONNX, the newest of equals.

    Raises:
        UsageError: there is no run, or neither ONNX nor TFLite in it.
    """
    run_dir = current_run(runs_dir, run)
    found = _servable(run_dir)
    if found is None:
        raise UsageError(
            f"{short_path(run_dir)} has no .tflite or .onnx file", hint="make one: imgc export --format tflite"
        )
    return short_path(found)


def _servable(run_dir: Path) -> Path | None:
    lock = read_lock(run_dir)
    newest_first = reversed(lock.stages if lock else ())
    models = [stage for stage in newest_first if stage.artifact.format in (Format.TFLITE, Format.ONNX)]
    if not models:
        return None
    best = max(models, key=lambda stage: _rank(stage.artifact))  # max keeps the first of equals
    return artifact_at(run_dir, best).path


def short_path(path: Path) -> Path:
    """Return a path relative to the working folder where it lies below it: what a person wants to read and paste."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _rank(model: Artifact) -> tuple[bool, bool]:
    return model.format is Format.TFLITE, model.spec is not None and model.spec.precision is Precision.INT8
