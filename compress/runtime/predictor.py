"""`Predictor`: what every opened model file can do, and the checks that all kinds of it share; `open` makes one.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from compress.core.formats import Format, Precision, format_of
from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.errors import ModelFileError, StageError, UndescribedModelError, UsageError

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Call = Callable[[], object]


class Predictor(Protocol):
    """A model file, loaded and ready.

    Attributes:
        path: the file.
        format: its format.
        spec: what the model is and expects.
        runtime: library and version that computes, such as "onnxruntime 1.32.0".
        threads: number of threads one `predict` uses.
    """

    @property
    def path(self) -> Path:
        """Return the file."""

    @property
    def format(self) -> Format:
        """Return the file's format."""

    @property
    def spec(self) -> ModelSpec:
        """Return what the model is and expects."""

    @property
    def runtime(self) -> str:
        """Return library and version that computes."""

    @property
    def threads(self) -> int:
        """Return the number of threads."""

    def predict(self, images_NCHW: Floats) -> Floats:
        """Return logits_NK, float32, for preprocessed images, float32, whatever layout and numbers the file works in.

        Raises:
            StageError: the images have not the shape or type that the model takes.
        """

    def predict_pixels(self, pixels_NHWC: Pixels) -> Floats:
        """Return logits_NK for images as `read_pixels` leaves them: `predict` of `normalize`, bit for bit.

        Raises:
            StageError: the pixels have not the shape or type that the model takes.
        """

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return what runs the model on these images, which lie ready in the file's layout and numbers.

        It is what latency means: the runtime's own call. To bring images into that form is part of preparing them, as
        in MLPerf's rules (Reddi et al. 2020), and a program that ships the file does it once, with the pixels.

        Raises:
            StageError: the images have not the shape or type that the model takes.
        """


def damaged(path: Path, kind: str, error: BaseException, content: bytes | None = None) -> ModelFileError:
    """Return the error for a file that its own runtime cannot load; the library's first line says why."""
    size_bytes = path.stat().st_size if content is None else len(content)
    lines = str(error).strip().splitlines()
    reason = lines[0][:300] if lines else type(error).__name__
    return ModelFileError(
        f"{path}: not a readable {kind} model ({size_bytes} bytes): {reason}",
        hint="export or copy the file again; a broken download or a foreign format looks like this",
    )


def cannot_run(path: Path, runtime: str, shape: Sequence[int], error: BaseException) -> ModelFileError:
    """Return the error for a file that was loaded, and whose runtime cannot run it on values of this shape."""
    lines = str(error).strip().splitlines()
    return ModelFileError(
        f"{path}: {runtime} cannot run it on {list(shape)}: {lines[0][:300] if lines else type(error).__name__}",
        hint="its graph contradicts its shapes; export it again",
    )


def check_images(images_NCHW: Floats, spec: ModelSpec, path: Path) -> None:
    """Raise StageError unless the images are float32 [N, C, H, W] with N >= 1 and C, H, W as the spec says."""
    shape = images_NCHW.shape
    if images_NCHW.dtype != np.float32 or len(shape) != 4 or shape[1:] != spec.input_chw or shape[0] < 1:
        raise StageError(
            f"{path}: takes float32 images of shape [N, {', '.join(map(str, spec.input_chw))}],"
            f" found {images_NCHW.dtype} {list(shape)}",
            hint="prepare the images with the model's own preprocessing",
        )


def check_pixels(pixels_NHWC: Pixels, spec: ModelSpec, path: Path) -> None:
    """Raise StageError unless the pixels are uint8 [N, H, W, C] with N >= 1 and C, H, W as the spec says."""
    shape = pixels_NHWC.shape
    channels, height, width = spec.input_chw
    if pixels_NHWC.dtype != np.uint8 or len(shape) != 4 or shape[1:] != (height, width, channels) or shape[0] < 1:
        raise StageError(
            f"{path}: takes uint8 pixels of shape [N, {height}, {width}, {channels}],"
            f" found {pixels_NHWC.dtype} {list(shape)}",
            hint="prepare the images with the model's own preprocessing",
        )


def fixed_batches(images: NDArray[np.generic], batch: int) -> list[NDArray[np.generic]]:
    """Return the images in chunks of exactly `batch`; missing ones at the end are zeros, whose answers are dropped."""
    missing = -len(images) % batch
    padded = np.pad(images, ((0, missing), *[(0, 0)] * (images.ndim - 1))) if missing else images
    return [padded[at : at + batch] for at in range(0, len(padded), batch)]


def foreign_spec(
    path: Path, chw: Sequence[int], classes: int, precision: Precision, preprocess: Preprocess
) -> ModelSpec:
    """Return the spec of a file made by another tool: what its graph says, and the preprocessing that was given."""
    return ModelSpec(
        arch="foreign",
        labels=tuple(str(index) for index in range(classes)),
        input_chw=(chw[0], chw[1], chw[2]),
        preprocess=preprocess,
        layout="NHWC" if format_of(path) is Format.TFLITE else "NCHW",
        precision=precision,
    )


def no_preprocess(path: Path) -> UndescribedModelError:
    """Return the error for a file that does not say how its images are prepared."""
    return UndescribedModelError(
        f"{path}: made by another tool; it does not say how images are to be prepared (no 'imgc.spec' in its metadata)",
        hint="say how it was trained: --preprocess imagenet (or tf, unit, JSON), or export it with imgc",
    )


def spec_of_text(text: str | None, path: Path) -> ModelSpec | None:
    """Return the spec in a file's metadata, None where there is none.

    Raises:
        ModelFileError: it is of another version.
    """
    if text is None:
        return None
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as error:
        raise ModelFileError(
            f"{path}: its metadata '{SPEC_KEY}' is not a spec we know: {error.errors()[0]['msg']}",
            hint="the file was made by another version of imgc; export it again",
        ) from error


def check_spec(path: Path, spec: ModelSpec, chw: Sequence[int | None], classes: int | None) -> None:
    """Raise ModelFileError when the graph contradicts the spec; None stands for a size the graph leaves open."""
    wrong_size = any(found is not None and found != want for found, want in zip(chw, spec.input_chw, strict=True))
    wrong_classes = classes is not None and classes != spec.num_classes
    if wrong_size or wrong_classes:
        raise ModelFileError(
            f"{path}: the graph takes [C, H, W] = {list(chw)} and gives {classes} classes,"
            f" its spec says {list(spec.input_chw)} and {spec.num_classes}",
            hint="the file was changed after it was exported, or another model's spec was given; export it again",
        )


def require_classifier(spec: ModelSpec, path: Path) -> None:
    """Raise UsageError for a detector's file."""
    if spec.boxes is not None:
        raise UsageError(
            f"{path}: finds boxes and names no image",
            hint="`imgc predict` and `imgc evaluate` take it; this does not yet",
        )


def with_labels(spec: ModelSpec, labels: tuple[str, ...], path: Path) -> ModelSpec:
    """Return the spec of another tool's file with class names in the order of its answers.

    Raises:
        UsageError: there is another number of them than of classes.
    """
    if len(labels) != spec.num_classes:
        raise UsageError(
            f"{path}: answers for {spec.num_classes} classes, the labels name {len(labels)}",
            hint="one class name a line, in the order of the model's answers",
        )
    return spec.model_copy(update={"labels": labels})
