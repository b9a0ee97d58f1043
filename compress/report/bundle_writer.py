"""Packs a run's ONNX and TFLite files with a sample of its images, to be measured on a machine without torch.

This package goes along as a wheel, beside the versions and hashes of what it needs there: what measures on the other
machine is what packed, and no index is asked for it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.benchmark.bundle_file import MANIFEST_NAME, BundledImage, BundledModel, Manifest
from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format, Precision
from compress.core.stage import Reporter
from compress.core.storage import temporary_folder, write_json, write_text
from compress.core.wheel import SERVE_LOCK, write_wheel
from compress.data.dataset import Dataset, Split, evenly_spread, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import StageError, UsageError
from compress.pipeline.current import load_run
from compress.pipeline.lock import artifact_at, read_lock
from compress.report.rows import read_run
from compress.runtime.evaluate import predict_pixels
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor

MAX_IMAGES_BYTES = 64 * 1024**2
REQUIREMENTS_NAME = "requirements.txt"
_LIGHT = (Format.ONNX, Format.TFLITE)  # what the extra `serve` can run
_README = """# Files of the imgc run `{run}`, to be measured here

In this folder, with Python 3.11 or later:

```
python3 -m venv .venv
.venv/bin/pip install --require-hashes --requirement {requirements}
.venv/bin/pip install --no-deps --no-index ./{wheel}
.venv/bin/imgc benchmark bundle . --out bench.json
```

The first installation brings the libraries from the package index, each of the version and with the hash that
`{requirements}` says; the second brings `imgc` from this folder. No torch and no data set is needed. The last command
checks every file against `{manifest}`, measures {models} on {images} images, and says where this machine answers other
classes than the one that packed them.

Back where the run is: `imgc report {run} --add bench.json` shows the numbers in its report.
"""


def write_bundle(run_dir: Path, out: Path, images: int, reporter: Reporter) -> Manifest:
    """Write a run's bundle into the new folder `out`, whole or not at all, and return its manifest.

    Args:
        run_dir: the run's folder.
        out: must not exist.
        images: test images to take, evenly spread; all when there are fewer.
        reporter: shows progress.

    Raises:
        UsageError: `out` exists, the run has no ONNX or TFLite file or no images, or the images are too large.
        StageError: a model does not fit the images, or the disk is full.
    """
    if out.exists():
        raise UsageError(f"{out}: exists already", hint="remove it, or give another folder with --out")
    models = _models(run_dir)
    dataset, split = _sample(run_dir, images, reporter)
    opened = {model.stage_id: _opened(model, dataset) for model in models}
    answers = {name: _answers(predictor, split, reporter) for name, predictor in opened.items()}
    try:
        temporary = temporary_folder(out.parent)
        try:
            manifest = _write(temporary, run_dir, models, dataset.labels, split, answers)
            specs = {name: predictor.spec.model_dump(mode="json") for name, predictor in opened.items()}
            manifest = _seal(temporary, manifest, specs)
            temporary.rename(out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StageError(
            f"{out}: cannot be written ({error.strerror})", hint="give another folder with --out"
        ) from error
    return manifest


def _models(run_dir: Path) -> list[Artifact]:
    lock = read_lock(run_dir)
    light = [stage for stage in (lock.stages if lock else ()) if stage.artifact.format in _LIGHT]
    if not light:
        raise UsageError(
            f"{run_dir}: has no .onnx or .tflite file, which is what runs without torch",
            hint="make one: imgc export --format tflite",
        )
    return [artifact_at(run_dir, stage) for stage in light]


def _sample(run_dir: Path, count: int, reporter: Reporter) -> tuple[Dataset, Split]:
    recipe = load_run(run_dir).recipe
    if recipe.data is None:
        raise UsageError(
            f"{run_dir}: the run has no images to take a sample of",
            hint="bundle a run whose recipe has a `data:` block",
        )
    dataset = load_dataset(recipe.data, seed=recipe.seed, reporter=reporter)
    split = evenly_spread(dataset.splits["test"], count)
    if not split.paths:
        raise UsageError(f"{run_dir}: its data has no test images", hint="add a test folder to the data")
    size = sum(path.stat().st_size for path in split.paths)
    if size > MAX_IMAGES_BYTES:
        raise UsageError(
            f"{len(split)} images take {size / 1024**2:.0f} MiB, allowed are {MAX_IMAGES_BYTES / 1024**2:.0f}",
            hint=f"--images {max(1, len(split) * MAX_IMAGES_BYTES // size)}",
        )
    return dataset, split


def _opened(model: Artifact, dataset: Dataset) -> Predictor:
    predictor = open_predictor(model.path)
    if predictor.spec.labels != dataset.labels:
        raise StageError(
            f"{model.path}: its classes are not those of the run's images",
            hint="make the run anew with the images it was trained on",
        )
    return predictor


def _answers(predictor: Predictor, split: Split, reporter: Reporter) -> tuple[int, ...]:
    pixels_NHWC = evaluation_pixels(split, predictor.spec.preprocess, reporter)
    return tuple(predict_pixels(predictor, pixels_NHWC, reporter).argmax(axis=1).tolist())


def _write(
    folder: Path,
    run_dir: Path,
    models: Sequence[Artifact],
    labels: tuple[str, ...],
    split: Split,
    answers: dict[str, tuple[int, ...]],
) -> Manifest:
    """Copy models and images; return the manifest without hashes."""
    run = read_run(run_dir)
    bundled = []
    for model in models:
        name = f"models/{model.stage_id}{model.path.suffix}"
        _copy(model.path, folder / name)
        bundled.append(BundledModel(name=model.stage_id, path=name, answers=answers[model.stage_id]))
    images = []
    for index, (path, label) in enumerate(zip(split.paths, split.labels_N, strict=True)):
        name = f"{split.name}/{_folder_name(labels[label], label)}/{index:04d}{path.suffix.lower()}"
        _copy(path, folder / name)
        images.append(BundledImage(path=name, label=label))
    return Manifest(
        run=run.name,
        baseline=_baseline(run.baseline, models),
        split=split.name,
        labels=labels,
        models=tuple(bundled),
        images=tuple(images),
        sha256={},
    )


def _seal(folder: Path, manifest: Manifest, specs: Mapping[str, object]) -> Manifest:
    """Write what is installed and what is read by people, then the manifest with the hash of everything."""
    wheel = write_wheel(folder)
    _copy(SERVE_LOCK, folder / REQUIREMENTS_NAME)
    write_text(folder / "labels.txt", "".join(f"{label}\n" for label in manifest.labels))
    write_json(folder / "spec.json", specs)
    models, images = ", ".join(model.name for model in manifest.models), len(manifest.images)
    text = _README.format(
        **{"run": manifest.run, "manifest": MANIFEST_NAME, "models": models, "images": images},
        **{"requirements": REQUIREMENTS_NAME, "wheel": wheel.name},
    )
    write_text(folder / "README.md", text)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): sha256_file(path) for path in files}
    sealed = manifest.model_copy(update={"sha256": hashes})
    write_json(folder / MANIFEST_NAME, sealed.model_dump(mode="json"))
    return sealed


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _folder_name(label: str, index: int) -> str:
    """Return a class as a folder's name; one that no file system takes as it is gets its index."""
    return label if re.fullmatch(r"[\w-][\w .-]*(?<![ .])", label) else f"class-{index}"


def _baseline(wanted: str | None, models: Sequence[Artifact]) -> str:
    """Return the run's baseline where it is in the bundle, else the first float model, else the first."""
    names = [model.stage_id for model in models]
    if wanted in names:
        return str(wanted)
    floats = [one.stage_id for one in models if one.spec is not None and one.spec.precision is Precision.FP32]
    return next(iter([*floats, *names]))
