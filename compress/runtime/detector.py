"""`open_detector`: a detector's file of any format, ready to find boxes. What its numbers mean is in `compress.detect`.

Letters: N images, C channels, H height, W width, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from compress.core.boxes import BoxCoding
from compress.core.formats import Format, format_of
from compress.core.onnx_file import metadata_of
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.data.transforms import Placement
from compress.detect.answers import Boxes, boxes_of
from compress.detect.geometry import in_image
from compress.errors import ModelFileError, UsageError
from compress.runtime.detector_engines import Engine, EngineFile, onnx_engine, tflite_engine, torch_engine
from compress.runtime.onnx_predictor import read_onnx
from compress.runtime.predictor import Call, Floats, Pixels, check_images, check_pixels, spec_of_text

Answers = tuple[Floats, Floats]
_ENGINES = {Format.TORCH: torch_engine, Format.ONNX: onnx_engine, Format.TFLITE: tflite_engine}


@dataclass(frozen=True)
class Detector:
    """A detector's file, loaded and ready. Not for several threads at once.

    Attributes:
        path: the file.
        format: its format.
        spec: what it is and expects.
        coding: what its numbers mean.
        runtime: library and version that computes.
        threads: number of threads one call uses.
        engine: what computes.
    """

    path: Path
    format: Format
    spec: ModelSpec
    coding: BoxCoding
    runtime: str
    threads: int
    engine: Engine

    @property
    def delegate_partitions(self) -> int | None:
        """Return the number of pieces of the graph that XNNPACK runs; None where it runs none."""
        return self.engine.delegate_partitions

    def answers(self, images_NCHW: Floats) -> Answers:
        """Return the raw numbers: offsets from the anchors, f32 [N, A, 4], and logits, f32 [N, A, K].

        Raises:
            StageError: the images have not the shape or type that the model takes.
            ModelFileError: the file answers in another shape than its spec says.
        """
        check_images(images_NCHW, self.spec, self.path)
        return self._run(self.engine.ready(images_NCHW), len(images_NCHW))

    def answers_to_pixels(self, pixels_NHWC: Pixels) -> Answers:
        """Return `answers` of `normalize`, bit for bit, for images as `read_placed` leaves them.

        Raises:
            StageError: the pixels have not the shape or type that the model takes.
            ModelFileError: as `answers`.
        """
        check_pixels(pixels_NHWC, self.spec, self.path)
        return self._run(self.engine.ready_pixels(pixels_NHWC), len(pixels_NHWC))

    def _run(self, inputs: Any, n: int) -> Answers:  # noqa: ANN401 - each engine has its own
        raw_NA4, logits_NAK = (part[:n] for part in self.engine.run(inputs))
        anchors = self.coding.anchors
        wanted = (n, anchors, 4), (n, anchors, self.coding.columns(self.spec.num_classes))
        if (raw_NA4.shape, logits_NAK.shape) != wanted:
            found = f"{list(raw_NA4.shape)} and {list(logits_NAK.shape)}"
            raise ModelFileError(
                f"{self.path}: answers with {found}, its spec says {list(wanted[0])} and {list(wanted[1])}",
                hint="the file was changed after it was exported; export it again",
            )
        return raw_NA4, logits_NAK

    def predict(self, images_NCHW: Floats) -> Answers:
        """Return `answers`: what a file gives for images, as `Predictor.predict` of a classifier's."""
        return self.answers(images_NCHW)

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return what runs the model on these images; see `Predictor.prepared`."""
        check_images(images_NCHW, self.spec, self.path)
        return partial(self.engine.run, self.engine.ready(images_NCHW))

    def detect(
        self, pixels_NHWC: Pixels, places_N: Sequence[Placement], *, score_threshold: float | None = None
    ) -> list[Boxes]:
        """Return the boxes of each image, in pixels of the upright image.

        Args:
            pixels_NHWC: as `read_placed` leaves them.
            places_N: where these lie in their images.
            score_threshold: 0..1, in place of the file's own.

        Raises:
            StageError: an answer is NaN or infinite.
        """
        coding = self.coding
        if score_threshold is not None:
            coding = coding.model_copy(update={"score_threshold": score_threshold})
        found = boxes_of(*self.answers_to_pixels(pixels_NHWC), coding)
        return [in_image(boxes, place) for boxes, place in zip(found, places_N, strict=True)]


def is_detector(path: Path, content: bytes | None = None) -> bool:
    """Return whether a file says that it finds boxes; errors as `open_predictor` raises them."""
    spec = spec_in_file(path, content)
    return spec is not None and spec.boxes is not None


def open_detector(path: Path, *, threads: int = 1, device: str = "cpu", content: bytes | None = None) -> Detector:
    """Open a detector's file of any format.

    Args:
        path: a .safetensors, .onnx or .tflite file made by imgc.
        threads: threads for one call, at least 1.
        device: where a torch model computes.
        content: the bytes of an ONNX or TFLite file that was read already, as in `open_predictor`.

    Raises:
        UsageError: the file is no detector's.
        ModelFileError: it is missing or damaged.
        BackendMissingError: the library for this format is not installed.
    """
    spec = spec_in_file(path, content)
    if spec is None or spec.boxes is None:
        raise UsageError(f"{path}: finds no boxes: it names images", hint="a detector is trained on images with boxes")
    engine = engine_of(EngineFile(path, content, spec.preprocess, threads, device))
    return Detector(path, format_of(path), spec, spec.boxes, engine.runtime, threads, engine)


def engine_of(file: EngineFile) -> Engine:
    """Return a file in the runtime of its format; errors as `open_detector`."""
    return _ENGINES[format_of(file.path)](file)


def spec_in_file(path: Path, content: bytes | None = None) -> ModelSpec | None:
    """Return what a file of any format says of itself, None where it says nothing; errors as `open_predictor`."""
    fmt = format_of(path)
    if content is None and not path.is_file():
        raise ModelFileError(f"{path}: no such model file", hint="give the path of a model file")
    if fmt is Format.TORCH:
        from compress.models.weights import read_spec_of

        return read_spec_of(path)
    if fmt is Format.TFLITE:
        from compress.runtime.tflite_meta import read_spec

        return read_spec(path.read_bytes() if content is None else content, str(path))
    return spec_of_text(metadata_of(read_onnx(path) if content is None else content).get(SPEC_KEY), path)
