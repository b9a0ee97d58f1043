"""`open_detector`: a detector's file of any format, ready to find boxes. What its numbers mean is in `compress.detect`.

Letters: N images, C channels, H height, W width, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.core.boxes import BoxCoding
from compress.core.formats import Format, format_of
from compress.core.onnx_file import metadata_of
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.data.transforms import Placement, normalize
from compress.detect.answers import Boxes, boxes_of
from compress.detect.geometry import in_image
from compress.errors import ModelFileError, UsageError, missing_backend
from compress.runtime.onnx_predictor import read_onnx, session_options
from compress.runtime.predictor import (
    Call,
    Floats,
    Pixels,
    cannot_run,
    check_images,
    check_pixels,
    damaged,
    fixed_batches,
    spec_of_text,
)
from compress.runtime.tflite_predictor import dequantize_output, open_interpreter, partitions_of, quantize_input

BOXES, LOGITS = "boxes", "logits"  # names of a detector's outputs in every file
Answers = tuple[Floats, Floats]


@dataclass(frozen=True)
class Engine:
    """A file in its runtime.

    Attributes:
        runtime: library and version.
        ready: images_NCHW -> them in the file's layout, numbers and batches.
        run: those -> raw_NA4 and logits_NAK.
        delegate_partitions: of XNNPACK, in TFLite.
    """

    runtime: str
    ready: Callable[[Floats], Any]
    run: Callable[[Any], Answers]
    delegate_partitions: int | None = None


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
        raw_NA4, logits_NAK = (part[: len(images_NCHW)] for part in self.engine.run(self.engine.ready(images_NCHW)))
        n, anchors = len(images_NCHW), self.coding.anchors
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
        check_pixels(pixels_NHWC, self.spec, self.path)
        coding = self.coding
        if score_threshold is not None:
            coding = coding.model_copy(update={"score_threshold": score_threshold})
        found = boxes_of(*self.answers(normalize(pixels_NHWC, self.spec.preprocess)), coding)
        return [in_image(boxes, place) for boxes, place in zip(found, places_N, strict=True)]


def is_detector(path: Path) -> bool:
    """Return whether a file says that it finds boxes; errors as `open_predictor` raises them."""
    spec = spec_in_file(path)
    return spec is not None and spec.boxes is not None


def open_detector(path: Path, *, threads: int = 1, device: str = "cpu") -> Detector:
    """Open a detector's file of any format.

    Args:
        path: a .safetensors, .onnx or .tflite file made by imgc.
        threads: threads for one call, at least 1.
        device: where a torch model computes.

    Raises:
        UsageError: the file is no detector's.
        ModelFileError: it is missing or damaged.
        BackendMissingError: the library for this format is not installed.
    """
    spec = spec_in_file(path)
    if spec is None or spec.boxes is None:
        raise UsageError(f"{path}: finds no boxes: it names images", hint="a detector is trained on images with boxes")
    openers = {Format.TORCH: _torch, Format.ONNX: _onnx, Format.TFLITE: _tflite}
    fmt = format_of(path)
    engine = openers[fmt](path, threads, device)
    return Detector(path, fmt, spec, spec.boxes, engine.runtime, threads, engine)


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


def _torch(path: Path, threads: int, device: str) -> Engine:
    try:
        import torch
    except ImportError as error:
        raise missing_backend("torch", "train") from error
    from compress.models.weights import load_model
    from compress.runtime.torch_predictor import computing_with

    model = load_model(path)[0].eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def ready(images_NCHW: Floats) -> torch.Tensor:
        with computing_with(threads):
            return torch.from_numpy(images_NCHW).to(device, memory_format=torch.channels_last)

    def run(images: torch.Tensor) -> Answers:
        with computing_with(threads), torch.inference_mode():
            raw, logits = model(images)
            return raw.float().cpu().numpy(), logits.float().cpu().numpy()

    return Engine(f"torch {torch.__version__.split('+')[0]}", ready, run)


def _onnx(path: Path, threads: int, _device: str) -> Engine:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise missing_backend("onnxruntime", "serve") from error
    try:
        session: Any = ort.InferenceSession(
            read_onnx(path), session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise damaged(path, "ONNX", error) from error
    _require_ends(path, len(session.get_inputs()), [one.name for one in session.get_outputs()])
    (source,) = session.get_inputs()
    batch = source.shape[0] if isinstance(source.shape[0], int) else None

    def ready(images_NCHW: Floats) -> Sequence[np.ndarray]:
        return [images_NCHW] if batch is None else fixed_batches(images_NCHW, batch)

    def run(chunks: Sequence[np.ndarray]) -> Answers:
        try:
            return _joined([session.run([BOXES, LOGITS], {source.name: chunk}) for chunk in chunks])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise cannot_run(path, "ONNX Runtime", chunks[0].shape, error) from error

    return Engine(f"onnxruntime {ort.__version__}", ready, run)


def _tflite(path: Path, threads: int, _device: str) -> Engine:
    interpreter, runtime = open_interpreter(path, threads, None)
    sinks = {one["name"]: one for one in interpreter.get_output_details()}
    _require_ends(path, len(interpreter.get_input_details()), list(sinks))
    (source,) = interpreter.get_input_details()

    def ready(images_NCHW: Floats) -> Sequence[np.ndarray]:
        values_NHWC = quantize_input(np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1)), source)
        return fixed_batches(values_NHWC, int(source["shape"][0]))

    def one(values_NHWC: np.ndarray) -> list[Floats]:
        interpreter.set_tensor(source["index"], values_NHWC)
        interpreter.invoke()
        return [
            dequantize_output(interpreter.get_tensor(sinks[name]["index"]), sinks[name]) for name in (BOXES, LOGITS)
        ]

    def run(chunks: Sequence[np.ndarray]) -> Answers:
        try:
            return _joined([one(chunk) for chunk in chunks])
        except (ValueError, RuntimeError) as error:
            raise cannot_run(path, "LiteRT", chunks[0].shape, error) from error

    return Engine(runtime, ready, run, partitions_of(interpreter))


def _require_ends(path: Path, inputs: int, names: Sequence[str]) -> None:
    if inputs != 1 or sorted(names) != sorted((BOXES, LOGITS)):
        raise ModelFileError(
            f"{path}: takes {inputs} inputs and its outputs are {', '.join(names)}; a detector takes one and gives "
            f"{BOXES} and {LOGITS}",
            hint="the file was changed after it was exported; export it again",
        )


def _joined(parts: Sequence[Sequence[Floats]]) -> Answers:
    raw_NA4, logits_NAK = (np.concatenate(pieces).astype(np.float32, copy=False) for pieces in zip(*parts, strict=True))
    return raw_NA4, logits_NAK
