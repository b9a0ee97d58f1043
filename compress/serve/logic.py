"""`Classifier`: the bytes of one picture in, its best classes out. Knows no HTTP; runs in a worker thread.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from compress.data.decode import BadImageError
from compress.data.transforms import normalize, read_pixels
from compress.errors import StageError
from compress.serve.deadline import Deadline
from compress.serve.errors import bad_model_output, undecodable, unsupported_type
from compress.serve.inference import Inference

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")


@dataclass(frozen=True)
class Prediction:
    """One class and the softmax share it got, 0..1."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Answer:
    """The best classes, best first, and what the two halves of the work took."""

    predictions: tuple[Prediction, ...]
    decode_ms: float
    infer_ms: float


class Classifier:
    """Decodes and preprocesses exactly as evaluation does, then asks the model."""

    def __init__(self, inference: Inference) -> None:
        self.inference = inference

    def classify(self, body: bytes, top_k: int, deadline: Deadline) -> Answer:
        """Return the `top_k` best classes (all, when the model has fewer).

        Raises:
            RequestError: 415 no image, 422 an image that does not decode, 504 too late, 500 logits not finite.
        """
        spec = self.inference.spec
        deadline.check("decoding")
        begun = perf_counter()
        images_NCHW = self._pixels(body)
        decoded = perf_counter()
        deadline.check("inference")
        logits_K = self.inference.predict(images_NCHW)[0]
        inferred = perf_counter()
        try:
            predictions = tuple(Prediction(i, spec.labels[i], score) for i, score in best(logits_K, top_k))
        except StageError as error:
            raise bad_model_output(error.message) from error
        return Answer(predictions, decode_ms=(decoded - begun) * 1000, infer_ms=(inferred - decoded) * 1000)

    def _pixels(self, body: bytes) -> NDArray[np.float32]:
        if not looks_like_an_image(body):
            raise unsupported_type(f"the first bytes {body[:8].hex(' ')}")
        preprocess = self.inference.spec.preprocess
        try:
            pixels_HWC = read_pixels(body, preprocess)
        except BadImageError as error:
            raise undecodable(error.reason) from error
        return normalize(pixels_HWC[None], preprocess)


def looks_like_an_image(body: bytes) -> bool:
    """Return whether the first bytes are those of a format that is read here."""
    return body.startswith(_SIGNATURES) or (body[:4] == b"RIFF" and body[8:12] == b"WEBP")


def best(logits_K: NDArray[np.float32], top_k: int) -> list[tuple[int, float]]:
    """Return (index, softmax share 0..1) of the `top_k` greatest logits, greatest first; of equals the first.

    Raises:
        StageError: a logit is not finite, so that no order would be true.
    """
    if not np.isfinite(logits_K).all():
        raise StageError("the model answered with numbers that are not finite", hint="export the model again")
    shifted_K = logits_K.astype(np.float64) - logits_K.max()
    scores_K = np.exp(shifted_K) / np.exp(shifted_K).sum()
    order = np.argsort(-logits_K, kind="stable")[:top_k]
    return [(int(i), float(scores_K[i])) for i in order]
