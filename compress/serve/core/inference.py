"""`Inference`: one model, opened, warmed and shared by a fixed number of threads.

Legend: N images, C channels, H height, W width, K classes, B boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from compress.core.boxes import BoxCoding
from compress.core.digest import sha256_bytes
from compress.core.formats import Format, format_of
from compress.core.names import few
from compress.core.onnx_file import onnx_bytes
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.data.transforms import Placement
from compress.detect.answers import Boxes, boxes_of
from compress.detect.geometry import in_image
from compress.errors import ModelFileError, UndescribedModelError, UsageError
from compress.runtime.detector import Detector, is_detector, open_detector
from compress.runtime.open import open_predictor, open_side_px
from compress.runtime.predictor import Predictor

_WARM_UP_RUNS = 2  # the first allocates, the second shows that it can be repeated
_TRIALS = 7
_SHOWN = 10  # classes in a message
_GAIN = 0.95  # a batch must take less than this share of the time that its images take one by one


class Inference:
    """Predictors lent out one call at a time.

    An ONNX Runtime session is safe to share, so it is lent to all threads at once; a LiteRT interpreter is not, so
    each thread's worth has its own. Every predictor runs single-threaded: N callers of one thread beat one of N.
    The file is read once: whatever happens to it later cannot reach the model (mapped into memory, a file that is
    overwritten in place would end the process with SIGBUS).

    Attributes:
        name: how requests call it.
        spec: what the model is and expects.
        format: of the file.
        size_bytes: of the file.
        sha256: of the file, 64 hex digits.
        runtime: name and version of what runs the model.
        max_batch: images that one call takes at most; 1 where a batch is no faster than its images one by one.
        takes_images: whether it is known how images are prepared for it; else it answers tensors alone.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        *,
        name: str | None = None,
        max_batch: int = 1,
        preprocess: Preprocess | None = None,
        labels: tuple[str, ...] | None = None,
        min_scores: Mapping[str, float] | None = None,
    ) -> None:
        """Open and warm the model for `threads` callers at once.

        Raises:
            UsageError: there is no such file, or it is a torch file, which is for training and not for serving.
            ModelFileError: the file is damaged, or its answers do not have the shape its labels ask for.
            UsageError: `min_scores` names a class that it has not, or it finds no boxes.
        """
        self.format = check_servable(path)
        self._path, self._preprocess, self._labels = path, preprocess, labels
        self._content = onnx_bytes(path) if self.format is Format.ONNX else path.read_bytes()
        self.size_bytes = len(self._content)
        self.sha256 = sha256_bytes(self._content)
        self.takes_images = True
        first = self._opened_at_all()
        self.spec: ModelSpec = first.spec
        self.runtime: str = first.runtime
        self.name = name or (path.stem if self.spec.arch == "foreign" else self.spec.arch)
        self._least = least_scores(self.spec, min_scores or {}, path)
        self._shared = first if self.format is Format.ONNX else None
        self._idle: SimpleQueue[Predictor | Detector] = SimpleQueue()
        self._warm_up(first)
        self._idle.put(first)
        for _ in range(threads - 1):
            self.add_predictor()
        self.max_batch = max_batch if max_batch > 1 and self._gains(max_batch) else 1

    @property
    def version(self) -> str:
        """Return the first 12 hex digits of the file's SHA-256."""
        return self.sha256[:12]

    def predict(self, images_NCHW: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Return the outputs for images_NCHW f32: logits_NK, or a detector's raw boxes [N, A, 4] and logits [N, A, K].

        Blocks while all predictors are lent. Safe from any thread.
        """
        with self._lent() as predictor:
            if isinstance(predictor, Detector):
                return predictor.answers(images_NCHW)
            return (predictor.predict(images_NCHW),)

    def answers(
        self, pixels_NHWC: NDArray[np.uint8], places_N: Sequence[Placement]
    ) -> list[NDArray[np.float32] | None]:
        """Return what is said of each image: logits_K, or the boxes that it finds, see `packed`.

        None where the model's numbers are not finite. Otherwise as `predict`.

        Args:
            pixels_NHWC: images as `read_placed` leaves them.
            places_N: where these lie in their images.
        """
        with self._lent() as predictor:
            if not isinstance(predictor, Detector):
                # copies: a row would keep the whole batch alive in the cache
                return [_finite(row_K.copy()) for row_K in predictor.predict_pixels(pixels_NHWC)]
            raw_NA4, logits_NAK = predictor.answers_to_pixels(pixels_NHWC)
            coding = predictor.coding.model_copy(update={"score_threshold": float(self._least.min())})
        return [
            self._found(raw_NA4[index : index + 1], logits_NAK[index : index + 1], coding, place)
            for index, place in enumerate(places_N)
        ]

    def _found(
        self, raw_1A4: NDArray[np.float32], logits_1AK: NDArray[np.float32], coding: BoxCoding, place: Placement
    ) -> NDArray[np.float32] | None:
        if not (np.isfinite(raw_1A4).all() and np.isfinite(logits_1AK).all()):
            return None
        (boxes,) = boxes_of(raw_1A4, logits_1AK, coding)
        numbers_B6 = packed(in_image(boxes, place))
        return numbers_B6[boxes.scores_B >= self._least[boxes.classes_B]]

    def add_predictor(self) -> None:
        """Make room for one caller more: at the start, or for one whose call never ends."""
        predictor = self._shared or self._open()
        if predictor is not self._shared:
            self._warm_up(predictor)
        self._idle.put(predictor)

    @contextmanager
    def _lent(self) -> Iterator[Predictor | Detector]:
        predictor = self._idle.get()
        try:
            yield predictor
        finally:
            self._idle.put(predictor)

    def _open(self) -> Predictor | Detector:
        if is_detector(self._path, self._content):
            return open_detector(self._path, content=self._content)
        return open_predictor(
            self._path, threads=1, content=self._content, preprocess=self._preprocess, labels=self._labels
        )

    def _opened_at_all(self) -> Predictor | Detector:
        """Return the predictor; of a file that does not say how images are prepared one that takes tensors alone."""
        try:
            return self._open()
        except UndescribedModelError:
            side_px = open_side_px(self._path)
            if side_px is None:
                raise
            self.takes_images = False
            self._preprocess = Preprocess(resize_px=side_px, crop_px=side_px)
            return self._open()

    def _warm_up(self, predictor: Predictor | Detector) -> None:
        for _ in range(_WARM_UP_RUNS):
            answer = predictor.predict(self._blank(1))
        if isinstance(answer, tuple):
            return  # a detector has looked at its shapes by itself
        logits_NK = answer
        if logits_NK.shape != (1, self.spec.num_classes):
            raise ModelFileError(
                f"{self._path}: answers one image with the shape {logits_NK.shape}, "
                f"but it names {self.spec.num_classes} labels (allowed: (1, {self.spec.num_classes}))"
            )

    def _gains(self, batch: int) -> bool:
        """Return whether a batch takes clearly less time than its images one by one, measured by turns."""
        one, many = self._blank(1), self._blank(batch)
        pairs = [(_seconds(self.predict, many), _seconds(self.predict, one)) for _ in range(_TRIALS)]
        return median(many_s for many_s, _ in pairs) < _GAIN * batch * median(one_s for _, one_s in pairs)

    def _blank(self, n: int) -> NDArray[np.float32]:
        return np.zeros((n, *self.spec.input_chw), dtype=np.float32)


def least_scores(spec: ModelSpec, given: Mapping[str, float], path: Path) -> NDArray[np.float32]:
    """Return the least score of a box of each class [C]: as given, else the file's own; empty for a classifier.

    Raises:
        UsageError: a class that the file has not, or a file that finds no boxes.
    """
    if spec.boxes is None:
        if given:
            raise UsageError(f"{path}: names images and finds no boxes", hint="leave `min_scores` out")
        return np.zeros(0, np.float32)
    if unknown := [label for label in given if label not in spec.labels]:
        raise UsageError(
            f"min_scores: {path} has no class '{unknown[0]}'", hint=f"its classes: {few(spec.labels, _SHOWN)}"
        )
    return np.array([given.get(label, spec.boxes.score_threshold) for label in spec.labels], dtype=np.float32)


def packed(boxes: Boxes) -> NDArray[np.float32]:
    """Return boxes as one array [B, 6]: corners x0, y0, x1, y1 in pixels, score, class index."""
    columns = (boxes.corners_B4, boxes.scores_B[:, None], boxes.classes_B[:, None].astype(np.float32))
    return np.concatenate(columns, axis=1)


def _finite(logits_K: NDArray[np.float32]) -> NDArray[np.float32] | None:
    return logits_K if np.isfinite(logits_K).all() else None


def _seconds(call: Callable[[NDArray[np.float32]], object], images_NCHW: NDArray[np.float32]) -> float:
    begun = perf_counter()
    call(images_NCHW)
    return perf_counter() - begun


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
