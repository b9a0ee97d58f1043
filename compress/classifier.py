"""`load` and `Model`: a model file as an object that classifies images. Light to import, as `compress.api` is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import UsageError
from compress.results import Classification, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from compress.core.preprocess import Preprocess
    from compress.runtime.predictor import Predictor

    Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]

_BATCH = 32  # images in one call, so that memory stays bounded


class Model:
    """A model file, open and ready to classify images. Made by `load`. Not for several threads at once."""

    def __init__(self, predictor: Predictor) -> None:
        """Classify with a predictor."""
        self._predictor = predictor

    def __repr__(self) -> str:
        """Return the file and what runs it."""
        return f"<compress.Model {self.path} ({self.runtime}, {len(self.labels)} classes)>"

    @property
    def path(self) -> Path:
        """Return the file."""
        return self._predictor.path

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the names of the classes, in index order."""
        return self._predictor.spec.labels

    @property
    def input_chw(self) -> tuple[int, int, int]:
        """Return channels, height and width in pixels of what the network takes; any image is brought to that size."""
        return self._predictor.spec.input_chw

    @property
    def runtime(self) -> str:
        """Return library and version that computes, such as "onnxruntime 1.32.0"."""
        return self._predictor.runtime

    def predict(self, image: Image, *, top_k: int = 5) -> Classification:
        """Return the best classes of one image, as `imgc predict` does.

        Args:
            image: a file's path, a file's bytes, or RGB pixels, uint8 [height, width, 3], of any size.
            top_k: how many classes to return, best first; all, where there are fewer.

        Raises:
            DataError: the file is no usable image.
            UsageError: the array is no RGB image, or `top_k` is below 1.
            StageError: the model answers NaN or infinity.
        """
        return self.predict_batch([image], top_k=top_k)[0]

    def predict_batch(self, images: Iterable[Image], *, top_k: int = 5) -> list[Classification]:
        """Return the best classes of each image, in their order; up to 32 images go through the model together.

        The last digits of a score may differ from `predict`: a batch is summed in another order.

        Args:
            images: each as for `predict`; read as they are needed, so any number may come.
            top_k: as for `predict`.

        Raises:
            DataError: a file is no usable image.
            UsageError: an array is no RGB image, or `top_k` is below 1.
            StageError: the model answers NaN or infinity.
        """
        if top_k < 1:
            raise UsageError(f"top_k must be at least 1, found {top_k}")
        found: list[Classification] = []
        pixels: list[NDArray[np.uint8]] = []
        for image in images:
            pixels.append(_pixels(image, self._predictor.spec.preprocess))
            if len(pixels) == _BATCH:
                found += self._classified(pixels, top_k)
                pixels = []
        return found + (self._classified(pixels, top_k) if pixels else [])

    def _classified(self, pixels: Sequence[NDArray[np.uint8]], top_k: int) -> list[Classification]:
        import numpy as np

        from compress.serve.core.work import predictions

        answers = []
        for logits_K in self._predictor.predict_pixels(np.stack(pixels)):
            best = predictions(logits_K, self._predictor.spec, top_k)
            answers.append(Classification(tuple(Prediction(one.index, one.label, one.score) for one in best)))
        return answers


def load(
    file: str | os.PathLike[str],
    *,
    threads: int = 1,
    device: str = "cpu",
    preprocess: Mapping[str, Any] | None = None,
) -> Model:
    """Return a model file, opened.

    Args:
        file: an .onnx or .tflite file, or a .safetensors file made by `imgc`.
        threads: threads of one call, at least 1.
        device: where a .safetensors file computes: "cpu", "cuda" or "cuda:N"; the others always run on the CPU.
        preprocess: how images are prepared, for a file of another tool: `{"resize_px": 256, "crop_px": 224}` and
            where they are not ImageNet's `mean` and `std`. Ignored where the file says it.

    Raises:
        ModelFileError: the file is missing, damaged, of an unknown format, or does not say how images are prepared.
        BackendMissingError: the library for this format is not installed.
        UsageError: `threads` is below 1, or `preprocess` is none.
        StageError: the file lies in a run and is not what was sealed there.
    """
    from compress.pipeline.given import vouch
    from compress.runtime.open import open_predictor

    vouch(Path(file))
    return Model(open_predictor(Path(file), threads=threads, device=device, preprocess=as_preprocess(preprocess)))


def as_preprocess(given: Mapping[str, Any] | None) -> Preprocess | None:
    """Return how images are prepared, None where it is not said.

    Raises:
        UsageError: it is no preprocessing.
    """
    from pydantic import ValidationError

    from compress.core.fact import first_fault
    from compress.core.preprocess import Preprocess

    try:
        return None if given is None else Preprocess.model_validate(given)
    except ValidationError as error:
        hint = 'for example: preprocess={"resize_px": 256, "crop_px": 224}'
        raise UsageError(f"preprocess: {first_fault(error)}", hint=hint) from None


def _pixels(image: Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return an image at the model's size, u8 [crop_px, crop_px, 3]."""
    from compress.data.transforms import read_pixels, to_pixels

    if isinstance(image, bytes):
        return read_pixels(image, preprocess)
    if isinstance(image, str | os.PathLike):
        return read_pixels(Path(image), preprocess)
    from PIL.Image import fromarray

    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if dtype != "uint8" or shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        found = f"{dtype} {list(shape)}" if shape is not None else type(image).__name__
        raise UsageError(f"an image is a path, bytes, or uint8 pixels of shape [height, width, 3]; found {found}")
    return to_pixels(fromarray(image), preprocess)
