"""A bundle: one folder with a run's files and a sample of its images, to be measured on another machine.

Reading one needs no torch, no onnx and no data set: what the bundle's `requirements.txt` installs (the extra `serve`)
is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from compress.benchmark.measure import OpenedModel
from compress.benchmark.schema import Answers
from compress.core.digest import sha256_file
from compress.core.fact import Fact, first_fault
from compress.core.names import few, is_inside
from compress.core.regular_file import MAX_JSON_BYTES, read_regular
from compress.data.dataset import Split
from compress.errors import UsageError
from compress.runtime.open import open_predictor

MANIFEST_NAME = "MANIFEST.json"
_HINT = "copy the bundle again, or make it anew: imgc bundle RUN"


class BundledModel(Fact):
    """One model: the stage that made it, its file in the bundle, and its class for each image where it was packed."""

    name: str
    path: str
    answers: tuple[int, ...]


class BundledImage(Fact):
    """One image and its class index."""

    path: str
    label: int


class Manifest(Fact):
    """What `MANIFEST.json` holds.

    Attributes:
        run: name of the run.
        baseline: name of the model that the others are compared with.
        labels: class names in index order.
        models: in run order.
        images: of the split `split`, in its order.
        sha256: of every other file in the bundle, by its path.
    """

    schema_version: Literal[1] = 1
    run: str
    baseline: str
    split: str
    labels: tuple[str, ...]
    models: tuple[BundledModel, ...]
    images: tuple[BundledImage, ...]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """A bundle, checked and ready for `compress.benchmark.measure.measure`."""

    manifest: Manifest
    candidates: tuple[OpenedModel, ...]
    split: Split


def open_bundle(folder: Path, *, threads: int = 1) -> Bundle:
    """Return a bundle's models, opened, and its images. Every file's SHA-256 is checked before any is opened.

    Raises:
        UsageError: no manifest, a path that leaves the folder, or a file that is missing or not as it was packed.
        ModelFileError: a model cannot be opened here.
    """
    manifest = _manifest(folder)
    _check_files(folder, manifest)
    candidates = tuple(_candidate(folder, one, manifest.sha256[one.path], threads) for one in manifest.models)
    paths = tuple(folder / image.path for image in manifest.images)
    split = Split(manifest.split, paths, tuple(image.label for image in manifest.images))
    return Bundle(manifest, candidates, split)


def other_answers(manifest: Manifest, answers: Answers) -> list[str]:
    """Return one line for each model that answers other classes here than where the bundle was packed.

    A few are rounding (another processor sums in another order); many mean that the runtime computes wrongly here.
    """
    lines = []
    for model in manifest.models:
        found = answers.top1.get(model.name, ())
        other = sum(here != there for here, there in zip(found, model.answers, strict=False))
        if other:
            lines.append(f"{model.name}: other answers than where the bundle was packed, {other} of {len(found)}")
    return lines


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST_NAME
    try:
        manifest = Manifest.model_validate_json(read_regular(path, MAX_JSON_BYTES))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}): {folder} is no bundle", hint=_HINT) from None
    except ValidationError as error:
        raise UsageError(f"{path}: no manifest of a bundle: {first_fault(error)}", hint=_HINT) from None
    named = [model.path for model in manifest.models] + [image.path for image in manifest.images]
    unlisted = [name for name in named if name not in manifest.sha256]
    if unlisted:
        raise UsageError(f"{path}: names '{unlisted[0]}' without its SHA-256", hint=_HINT)
    if not manifest.models or not manifest.images:
        raise UsageError(f"{path}: names no models or no images", hint=_HINT)
    _check_names(path, manifest)
    return manifest


def _check_names(path: Path, manifest: Manifest) -> None:
    names = [model.name for model in manifest.models]
    if manifest.baseline not in names:
        raise UsageError(f"{path}: its baseline '{manifest.baseline}' is none of {', '.join(names)}", hint=_HINT)
    for image in manifest.images:
        if not 0 <= image.label < len(manifest.labels):
            found = f"{image.path} has the label {image.label}, there are {len(manifest.labels)} classes"
            raise UsageError(f"{path}: {found}", hint=_HINT)


def _check_files(folder: Path, manifest: Manifest) -> None:
    root, wrong = folder.resolve(), []
    for name, sha256 in manifest.sha256.items():
        path = root / name
        if not is_inside(name) or not path.resolve().is_relative_to(root):
            raise UsageError(f"{folder / MANIFEST_NAME}: '{name}' leaves the folder; nothing was opened", hint=_HINT)
        if not path.is_file():
            wrong.append(f"{name} (missing)")
        elif (found := sha256_file(path)) != sha256:
            wrong.append(f"{name} (SHA-256 is {found[:12]}, packed was {sha256[:12]})")
    if wrong:
        raise UsageError(f"{folder}: not as it was packed: {few(wrong)}; nothing was measured", hint=_HINT)


def _candidate(folder: Path, model: BundledModel, sha256: str, threads: int) -> OpenedModel:
    path = folder / model.path
    predictor = open_predictor(path, threads=threads)
    return OpenedModel(model.name, model.path, sha256, path.stat().st_size, predictor)
