"""Models named on the command line: files of any tool, and architectures of timm and torchvision, opened to measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.benchmark.measure import OpenedModel
from compress.benchmark.schema import Failure
from compress.core.onnx_file import sha256_model
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.storage import write_bytes
from compress.errors import ImgcError, ModelFileError, UndescribedModelError
from compress.models.arch_names import ARCH_NAMES, LIBRARY_PREFIXES
from compress.models.imagenet_labels import classes_of, is_named, labels_for
from compress.runtime.detector import Detector, is_detector, open_detector
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor
from compress.runtime.trial import try_out

Vouch = Callable[[Path], None]
_CLASSES = 1000  # of an architecture without weights: ImageNet's, as its published numbers are
_RANDOM = "has random weights, so its answers mean nothing; give a file to have its accuracy"
_UNDESCRIBED = "does not say how its images are prepared; give --preprocess to have its accuracy"
_ANY_PX = 224  # for a graph that leaves the size of its image open


@dataclass(frozen=True)
class Opened:
    """The models that can be measured, in the order given, and the others with the reason."""

    candidates: tuple[OpenedModel, ...]
    failed: tuple[Failure, ...]


def open_models(
    models: Sequence[str],
    folder: Path,
    *,
    threads: int,
    preprocess: Preprocess | None,
    labels: tuple[str, ...] | None = None,
    vouch: Vouch = try_out,
) -> Opened:
    """Return the models, opened. One that cannot be opened is told among `failed`; the others still come.

    Args:
        models: files, and names such as `timm:NAME`, `torchvision:NAME` or one of our architectures. A name is built
            with random weights and written as float32 ONNX: its size, speed and memory hardly depend on the weights.
        folder: receives these files; it must live as long as the candidates.
        threads: threads one call may use.
        preprocess: how images are prepared for the files that do not say so.
        labels: class names for these files.
        vouch: raises where a file must not be opened in this process.
    """
    candidates, failed = [], []
    for index, (model, name) in enumerate(zip(models, short_names(models), strict=True)):
        try:
            if is_architecture(model):
                candidates.append(_untrained(model, folder / f"{index}.onnx", threads))
            else:
                vouch(Path(model))
                candidates.append(_from_file(model, name, threads, preprocess, labels))
        except ImgcError as error:
            failed.append(Failure(name=name, path=model, error=error.message))
        except Exception as error:
            failed.append(Failure(name=name, path=model, error=f"{type(error).__name__}: {error}"))
    return Opened(tuple(candidates), tuple(failed))


def is_architecture(model: str) -> bool:
    """Return whether this names an architecture, not a file; a file of that name comes first."""
    return (model in ARCH_NAMES or model.startswith(LIBRARY_PREFIXES)) and not Path(model).exists()


def short_names(models: Sequence[str]) -> list[str]:
    """Return a name for each row: the shortest end of its path that no other has; equal paths are numbered."""
    parts = [(model,) if is_architecture(model) else Path(model).parts for model in models]
    names = []
    for index, own in enumerate(parts):
        others = [other for other in parts if other != own]
        count = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        earlier = parts[:index].count(own)
        names.append("/".join(own[-count:]) + (f" ({earlier + 1})" if earlier else ""))
    return names


def labels_of(candidates: Sequence[OpenedModel], baseline: str) -> tuple[tuple[str, ...], bool]:
    """Return the classes that the models know, and whether they are names.

    They are the baseline's; where nobody named those, another's of as many classes that have names.
    """
    ordered = sorted(candidates, key=lambda one: one.name != baseline)
    count = ordered[0].predictor.spec.num_classes
    specs = [one.predictor.spec for one in ordered if one.predictor.spec.num_classes == count]
    return classes_of(next((spec for spec in specs if is_named(spec)), specs[0]))


def _untrained(arch: str, path: Path, threads: int) -> OpenedModel:
    from compress.graph.from_torch import to_onnx
    from compress.models.build import build_model, new_spec
    from compress.models.library_archs import untrained_library_model

    labels = labels_for(_CLASSES)
    if arch in ARCH_NAMES:
        spec = new_spec(arch, labels)
        model = build_model(spec)
    else:
        model, spec = untrained_library_model(arch, labels)
    write_bytes(path, to_onnx(model.eval(), spec, dynamic_batch=False).SerializeToString())
    return _candidate(arch, arch, open_predictor(path, threads=threads), _RANDOM)


def _from_file(
    model: str, name: str, threads: int, preprocess: Preprocess | None, labels: tuple[str, ...] | None
) -> OpenedModel:
    path = Path(model)
    if is_detector(path):
        return _candidate(name, model, open_detector(path, threads=threads), None)
    try:
        predictor = open_predictor(path, threads=threads, preprocess=preprocess, labels=labels)
        return _candidate(name, model, predictor, None)
    except UndescribedModelError:
        spec = _guessed(path, Preprocess(resize_px=_ANY_PX, crop_px=_ANY_PX))
    predictor = open_predictor(path, threads=threads, preprocess=spec.preprocess)
    return _candidate(name, model, predictor, f"{name} {_UNDESCRIBED}")


def _guessed(path: Path, preprocess: Preprocess) -> ModelSpec:
    """Return the spec of a file of which the graph alone is known: images of its size, to be timed on noise."""
    spec = open_predictor(path, preprocess=preprocess).spec
    _, height, width = spec.input_chw
    if height != width:
        raise ModelFileError(
            f"{path}: takes images of {height} x {width}, only square ones are measured",
            hint="export it for a square image",
        )
    return spec.model_copy(update={"preprocess": Preprocess(resize_px=height, crop_px=height)})


def _candidate(name: str, path: str, predictor: Predictor | Detector, unasked: str | None) -> OpenedModel:
    file = Path(predictor.path)
    return OpenedModel(
        name=name,
        path=path,
        sha256=sha256_model(file),
        size_bytes=file.stat().st_size,
        predictor=predictor,
        unasked=unasked,
    )
