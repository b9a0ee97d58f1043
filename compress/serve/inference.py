"""`Inference`: one model, opened, warmed and shared by a fixed number of threads.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from compress.core.digest import sha256_file
from compress.core.formats import Format, format_of
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.runtime.predictor import Predictor, open_predictor

_WARM_UP_RUNS = 2  # the first allocates, the second shows that it can be repeated


class Inference:
    """Predictors lent out one call at a time.

    An ONNX Runtime session is safe to share, so it is lent to all threads at once; a LiteRT interpreter is not, so
    each thread's worth has its own. Every predictor runs single-threaded: N callers of one thread beat one of N.

    Attributes:
        spec: what the model is and expects.
        name: the architecture, or the file's name where another tool made the file.
        version: first 12 hex digits of the file's SHA-256.
        runtime: name and version of what runs the model.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Open and warm the model for `threads` callers at once.

        Raises:
            UsageError: there is no such file, or it is a torch file, which is for training and not for serving.
            ModelFileError: the file is damaged, or its answers do not have the shape its labels ask for.
        """
        fmt = check_servable(path)
        self.version = sha256_file(path)[:12]
        first = open_predictor(path, threads=1)
        self.spec: ModelSpec = first.spec
        self.runtime: str = first.runtime
        self.name = path.stem if self.spec.arch == "foreign" else self.spec.arch
        shared = fmt is Format.ONNX
        rest = [first if shared else open_predictor(path, threads=1) for _ in range(threads - 1)]
        self._idle: SimpleQueue[Predictor] = SimpleQueue()
        for predictor in [first] if shared else [first, *rest]:
            self._warm_up(predictor, path)
        for predictor in [first, *rest]:
            self._idle.put(predictor)

    def predict(self, images_NCHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits_NK of images_NCHW f32; blocks while all predictors are lent. Safe from any thread."""
        predictor = self._idle.get()
        try:
            return predictor.predict(images_NCHW)
        finally:
            self._idle.put(predictor)

    def _warm_up(self, predictor: Predictor, path: Path) -> None:
        blank_NCHW = np.zeros((1, *self.spec.input_chw), dtype=np.float32)
        for _ in range(_WARM_UP_RUNS):
            logits_NK = predictor.predict(blank_NCHW)
        if logits_NK.shape != (1, self.spec.num_classes):
            raise ModelFileError(
                f"{path}: answers one image with the shape {logits_NK.shape}, "
                f"but it names {self.spec.num_classes} labels (allowed: (1, {self.spec.num_classes}))"
            )


def check_servable(path: Path) -> Format:
    """Return the format of a file that can be served.

    Raises:
        UsageError: there is no such file, or it is a torch file.
        ModelFileError: no model file by its name.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such model file", hint="imgc serve takes an .onnx or .tflite file, or a run")
    fmt = format_of(path)
    if fmt is Format.TORCH:
        raise UsageError(
            f"{path}: a torch file is for training; serving takes .onnx or .tflite",
            hint=f"imgc export --from {path} --format onnx",
        )
    return fmt
