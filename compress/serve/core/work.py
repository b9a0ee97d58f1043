"""What a worker thread does for a request: decode, preprocess, infer. And what an answer says. Knows no HTTP.

Legend: N images, C channels, H height, W width, K classes, B boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from compress.core.outputs import OutputKind, shares
from compress.core.spec import ModelSpec
from compress.data.decode import BadImageError
from compress.data.transforms import Placement, read_placed
from compress.errors import StageError
from compress.serve.core.deadline import Deadline
from compress.serve.core.decode_budget import DecodeBudget, LargeImage
from compress.serve.core.inference import Inference
from compress.serve.core.pool import QueuedJob
from compress.serve.errors import RequestError, bad_model_output, internal, undecodable, unsupported_type

_NOT_FINITE = "the model answered with numbers that are not finite: export it again"
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")


@dataclass(frozen=True, slots=True)
class ScoredLabel:
    """One class and the share it got, 0..1."""

    index: int
    label: str
    score: float

    def as_json(self) -> dict[str, int | str | float]:
        """Return the fields by name; `dataclasses.asdict` would add 20 us to the 120 of a request."""
        return {"index": self.index, "label": self.label, "score": self.score}


class BoxJson(TypedDict):
    """One box in a reply: its class, its score 0..1, and x0, y0, x1, y1 in pixels of the upright image."""

    index: int
    label: str
    score: float
    box: list[float]


@dataclass(slots=True, eq=False)
class InferenceJob(QueuedJob):
    """One image (its file's bytes) or one batch of tensors (f32 [N,C,H,W]) on its way through a thread.

    Attributes:
        model: what answers.
        deadline: checked before each step that would be in vain after it.
        input: bytes, or images_NCHW.
        large: whether the image is to be decoded where large ones are, before it can be answered here.
        pixels_HWC: of an image that was decoded, u8.
        place: where these lie in the image.
        answer: to an image: logits_K, or boxes [B, 6] (see `inference.packed`); None until there is one.
        outputs: for tensors: what the model gives; None until it has.
        fault: why there is none.
        error: a fault of ours, for the log.
        queue_ms: time from the hand-over to a thread.
        decode_ms: time of decoding and preprocessing.
        infer_ms: time of the model's call; of the whole batch, if it answered several.
        led: how many images were in the model's call; 0 for all of a batch but its first.
    """

    model: Inference
    deadline: Deadline
    input: bytes | NDArray[np.float32]
    large: bool = False
    pixels_HWC: NDArray[np.uint8] | None = None
    place: Placement | None = None
    answer: NDArray[np.float32] | None = None
    outputs: tuple[NDArray[np.float32], ...] | None = None
    fault: RequestError | None = None
    error: BaseException | None = None
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    infer_ms: float = 0.0
    led: int = 0

    @property
    def waits_for_pixels(self) -> bool:
        """Whether it is a large image that has not been decoded yet, and may be."""
        return self.large and self.pixels_HWC is None and self.fault is None


def max_batch(first: InferenceJob) -> int:
    """Return how many images may share one call of the model with this one."""
    return first.model.max_batch if isinstance(first.input, bytes) else 1


def can_batch(first: InferenceJob, other: InferenceJob) -> bool:
    """Return whether both are images for the same model."""
    return first.model is other.model and isinstance(other.input, bytes)


def run_jobs(jobs: Sequence[InferenceJob], budget: DecodeBudget) -> None:
    """Do images for one model together, or one batch of tensors; outcomes are left in the jobs.

    An image that fails, fails alone; one that is too large for the budget is left as `large`, without an answer.
    Nothing is raised, except what ends a thread.
    """
    _see_queue(jobs)
    if isinstance(jobs[0].input, bytes):
        _run_images(jobs, budget)
    else:
        _guarded(jobs, lambda: _infer_tensors(jobs[0]))


def decode_jobs(jobs: Sequence[InferenceJob], budget: DecodeBudget) -> None:
    """Decode images; the pixels, or why there are none, are left in the jobs. Nothing is raised, as in `run_jobs`."""
    _see_queue(jobs)
    for job in jobs:
        _find_pixels(job, budget)


def _see_queue(jobs: Sequence[InferenceJob]) -> None:
    now_s = monotonic()
    for job in jobs:
        job.queue_ms += (now_s - job.queued_s) * 1000


def _run_images(jobs: Sequence[InferenceJob], budget: DecodeBudget) -> None:
    for job in jobs:
        if job.pixels_HWC is None:
            _find_pixels(job, budget)
    ready = [(job, job.pixels_HWC) for job in jobs if job.pixels_HWC is not None]
    if ready:
        left = [job for job, _ in ready]
        _guarded(left, lambda: _infer_pixels(left, [one_HWC for _, one_HWC in ready]))


def _find_pixels(job: InferenceJob, budget: DecodeBudget) -> None:
    begun = perf_counter()
    _guarded([job], lambda: _decode(job, budget))
    job.decode_ms += (perf_counter() - begun) * 1000


def _decode(job: InferenceJob, budget: DecodeBudget) -> None:
    assert isinstance(job.input, bytes), "tensors are not decoded"
    job.worked = job.deadline.remaining_s() > 0
    job.deadline.check("decoding")
    if not looks_like_an_image(job.input):
        raise unsupported_type(f"the first bytes {job.input[:8].hex(' ')}")
    try:
        with budget.share(job.deadline) as afford:
            pixels_HWC, job.place = read_placed(
                job.input, job.model.spec.preprocess, max_pixels=budget.max_pixels, afford=afford
            )
    except LargeImage:
        job.large, job.worked = True, False
        return
    except BadImageError as error:
        raise undecodable(error.reason) from error
    job.deadline.check("inference")
    job.pixels_HWC = pixels_HWC


def _infer_pixels(jobs: Sequence[InferenceJob], pixels: Sequence[NDArray[np.uint8]]) -> None:
    begun = perf_counter()
    answers = jobs[0].model.answers(np.stack(pixels), [job.place for job in jobs if job.place is not None])
    jobs[0].led = len(jobs)
    infer_ms = (perf_counter() - begun) * 1000
    for job, answer in zip(jobs, answers, strict=True):
        job.infer_ms, job.answer = infer_ms, answer
        if answer is None:
            job.fault = bad_model_output(_NOT_FINITE)


def _infer_tensors(job: InferenceJob) -> None:
    assert not isinstance(job.input, bytes), "images are decoded first"
    job.deadline.check("inference")
    begun = perf_counter()
    outputs = job.model.predict(job.input)
    job.led = len(job.input)
    job.infer_ms = (perf_counter() - begun) * 1000
    if not all(np.isfinite(output).all() for output in outputs):
        raise bad_model_output(_NOT_FINITE)
    job.outputs = outputs


def _guarded(jobs: Sequence[InferenceJob], step: Callable[[], None]) -> None:
    """Do a step; whatever it raises becomes the fault of these jobs, so that each of them gets its reply."""
    try:
        step()
    except RequestError as fault:
        for job in jobs:
            job.fault = fault
    except Exception as error:
        for job in jobs:
            job.fault, job.error = internal(), error


def looks_like_an_image(body: bytes) -> bool:
    """Return whether the first bytes are those of a format that is read here."""
    return body.startswith(_SIGNATURES) or (body[:4] == b"RIFF" and body[8:12] == b"WEBP")


def best(logits_K: NDArray[np.float32], top_k: int, outputs: OutputKind = "logits") -> list[tuple[int, float]]:
    """Return (index, share 0..1) of the `top_k` greatest answers, greatest first; of equals the first.

    Raises:
        StageError: a logit is not finite, so that no order would be true.
    """
    if not np.isfinite(logits_K).all():
        raise StageError("the model answered with numbers that are not finite", hint="export the model again")
    scores_K = shares(logits_K, outputs)
    order = np.argsort(-logits_K, kind="stable")[:top_k]
    return [(int(i), float(scores_K[i])) for i in order]


def predictions(logits_K: NDArray[np.float32], spec: ModelSpec, top_k: int) -> list[ScoredLabel]:
    """Return the `top_k` best classes, best first (all, when there are fewer)."""
    return [ScoredLabel(index, spec.labels[index], score) for index, score in best(logits_K, top_k, spec.outputs)]


def detections(numbers_B6: NDArray[np.float32], labels: Sequence[str], min_score: float = 0.0) -> list[BoxJson]:
    """Return the boxes of at least this score, best first, as `inference.packed` has them, for a reply."""
    return [
        {
            "index": int(index),
            "label": labels[int(index)],
            "score": score,
            "box": [round(corner, 2) for corner in corners],
        }
        for *corners, score, index in numbers_B6.tolist()
        if score >= min_score
    ]
