"""`open_predictor`: any model file, one interface. Accuracy, parity, latency and serving all go through it.

A kind is imported when a file of it is opened, so that this module is light.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.formats import Format, format_of
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.runtime.predictor import Predictor, require_classifier, with_labels

if TYPE_CHECKING:
    from compress.runtime.detector import Detector
    from compress.runtime.onnx_predictor import OnnxPredictor
    from compress.runtime.tflite_predictor import TflitePredictor

_SIDES = (16, 32)  # any two: what the file leaves open differs between them


def open_predictor(
    path: Path,
    *,
    threads: int = 1,
    device: str = "cpu",
    spec: ModelSpec | None = None,
    preprocess: Preprocess | None = None,
    labels: tuple[str, ...] | None = None,
    content: bytes | None = None,
) -> Predictor:
    """Open a model file of any format and return it ready to predict.

    Args:
        path: a .safetensors file made by imgc, an .onnx or a .tflite file.
        threads: threads for one call, at least 1.
        device: where a torch model computes; ONNX and TFLite files always run on the CPU.
        spec: what the model is, for a file that does not say so itself; it wins over the file's own.
        preprocess: how images are prepared, for a file of another tool; the rest of the spec (arch "foreign", labels
            "0".."K-1") is then read from the graph. Ignored when the file or `spec` says it.
        labels: class names for such a file, in the order of its answers.
        content: the bytes of an ONNX or TFLite file that was read already: no later change of the file can reach this
            predictor (a runtime that maps the file would crash when it is overwritten in place).

    Raises:
        UsageError: `threads` is below 1, or there is another number of labels than of classes.
        ModelFileError: the file is missing, empty, damaged, of an unknown format, or (UndescribedModelError) says
            nothing of its preprocessing.
        BackendMissingError: the library for this format is not installed.
    """
    if threads < 1:
        raise UsageError(f"threads must be at least 1, found {threads}")
    path = Path(path)
    fmt = format_of(path)
    if content is None:
        _check_file(path)
    if fmt is Format.TORCH:
        from compress.runtime.torch_predictor import TorchPredictor

        return TorchPredictor(path, threads=threads, device=device)
    try:
        predictor = _by_runtime(fmt)(path, threads=threads, spec=spec, preprocess=preprocess, content=content)
    except ModelFileError:
        _require_no_detector(path, content)
        raise
    return _named(predictor, labels)


def open_model(path: Path, *, threads: int = 1, preprocess: Preprocess | None = None) -> Predictor | Detector:
    """Return a file of either task, ready; errors as `open_predictor` and `open_detector` raise them.

    Args:
        path: the file.
        threads: threads for one call, at least 1.
        preprocess: how images are prepared, for a classifier's file of another tool.
    """
    from compress.runtime.detector import is_detector, open_detector

    if is_detector(path):
        return open_detector(path, threads=threads)
    return open_predictor(path, threads=threads, preprocess=preprocess)


def _by_runtime(fmt: Format) -> type[OnnxPredictor] | type[TflitePredictor]:
    if fmt is Format.ONNX:
        from compress.runtime.onnx_predictor import OnnxPredictor

        return OnnxPredictor
    from compress.runtime.tflite_predictor import TflitePredictor

    return TflitePredictor


def _require_no_detector(path: Path, content: bytes | None) -> None:
    """Raise UsageError where a file that is no classifier's says that it is a detector's."""
    from compress.runtime.detector import spec_in_file

    with suppress(ModelFileError):
        if spec := spec_in_file(path, content):
            require_classifier(spec, path)


def open_side_px(path: Path) -> int | None:
    """Return the side of the images that a file takes, None where it leaves it open; errors as `open_predictor`."""
    sides = {open_predictor(path, preprocess=Preprocess(resize_px=px, crop_px=px)).spec.input_chw[1] for px in _SIDES}
    return sides.pop() if len(sides) == 1 else None


def _named(predictor: OnnxPredictor | TflitePredictor, labels: tuple[str, ...] | None) -> Predictor:
    """Return the predictor with these class names, where its own are numbers only."""
    if labels is not None and predictor.spec.arch == "foreign":
        predictor.spec = with_labels(predictor.spec, labels, predictor.path)
    return predictor


def _check_file(path: Path) -> None:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ModelFileError(f"{path}: no such model file (found {found})", hint="give the path of a model file")
    if path.stat().st_size == 0:
        raise ModelFileError(f"{path}: the file is empty (0 bytes)", hint="make it again: the writer was interrupted")
