"""Opens TFLite files with LiteRT (XNNPACK). Not thread-safe: one predictor for each thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from compress.core.formats import Format, Precision
from compress.core.outputs import OutputKind, kind_of
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.data.transforms import pixel_table
from compress.errors import ModelFileError, missing_backend
from compress.runtime.notices import without_notices
from compress.runtime.packed_labels import packed_labels
from compress.runtime.predictor import (
    Call,
    Floats,
    Pixels,
    cannot_run,
    check_images,
    check_pixels,
    check_spec,
    damaged,
    fixed_batches,
    foreign_spec,
    no_preprocess,
)

_IDENTIFIER = b"TFL3"  # bytes 4..8 of every TFLite flatbuffer
_QUANTIZED = (np.int8, np.uint8)
DELEGATE_OP = "DELEGATE"


class TensorDetail(TypedDict):
    """What LiteRT says of a tensor; `quantization` is scale and zero point."""

    name: str
    index: int
    shape: NDArray[np.int32]
    dtype: type[np.float32] | type[np.int8] | type[np.uint8]
    quantization: tuple[float, int]


class OpDetail(TypedDict):
    """What it says of an operator."""

    op_name: str
    inputs: Sequence[int]
    outputs: Sequence[int]


class Interpreter(Protocol):
    """What we use of LiteRT's interpreter, which ships no types."""

    def allocate_tensors(self) -> None:
        """Make room for all tensors."""

    def get_input_details(self) -> list[TensorDetail]:
        """Return the inputs."""

    def get_output_details(self) -> list[TensorDetail]:
        """Return the outputs."""

    def get_tensor_details(self) -> list[TensorDetail]:
        """Return all tensors."""

    def set_tensor(self, index: int, value: NDArray[np.generic]) -> None:
        """Give an input its value."""

    def invoke(self) -> None:
        """Run the graph."""

    def get_tensor(self, index: int) -> NDArray[np.generic]:
        """Return an output's value."""

    def _get_ops_details(self) -> list[OpDetail]:
        """Return the operators, delegates among them."""


class TflitePredictor:
    """A LiteRT interpreter with XNNPACK; NCHW floats in and logits out, whatever the file's layout and integers.

    Attributes:
        delegate_partitions: number of pieces of the graph that XNNPACK runs; 1 is best, many mean slow hand-overs.
    """

    format = Format.TFLITE

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        spec: ModelSpec | None = None,
        preprocess: Preprocess | None = None,
        content: bytes | None = None,
    ) -> None:
        """Load the file; see `open_predictor` for the errors."""
        self.path = path
        self.threads = threads
        self._interpreter, self.runtime = open_interpreter(path, threads, content)
        self._input = _one(self._interpreter.get_input_details(), path, "input", rank=4)
        self._output = _one(self._interpreter.get_output_details(), path, "output", rank=2)
        self._batch, *hwc = (int(size) for size in self._input["shape"])
        chw = [hwc[2], hwc[0], hwc[1]]
        classes = int(self._output["shape"][1])
        said = spec or _spec_in(path, content) or self._foreign(chw, classes, preprocess, content)
        self.spec = said.model_copy(update={"outputs": _output_kind(self._interpreter, self._output["index"])})
        check_spec(path, self.spec, chw, classes)
        self.delegate_partitions = partitions_of(self._interpreter)
        table = pixel_table(self.spec.preprocess.mean, self.spec.preprocess.std)
        self._pixel_values = quantize_input(table, self._input)  # [3, 256]: what each pixel value becomes at the input

    @property
    def ends(self) -> tuple[TensorDetail, TensorDetail]:
        """Return the file's own input and output, with their types and grids."""
        return self._input, self._output

    def predict(self, images_NCHW: Floats) -> Floats:
        """Return logits_NK; the file's fixed batch is run as often as needed. See `Predictor.predict`."""
        return self._answers(self._values(images_NCHW))

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return a call; see `Predictor.prepared`."""
        return partial(self._outputs, fixed_batches(self._values(images_NCHW), self._batch))

    def predict_pixels(self, pixels_NHWC: Pixels) -> Floats:
        """Return logits_NK by one look-up a pixel, straight to the integers of the input.

        See `Predictor.predict_pixels`. A third of the time of an int8 MobileNetV3-Small went into the floats between.
        """
        check_pixels(pixels_NHWC, self.spec, self.path)
        return self._answers(looked_up(self._pixel_values, pixels_NHWC))

    def _values(self, images_NCHW: Floats) -> NDArray[np.generic]:
        """Return the images as the file takes them: values_NHWC of its input's type."""
        check_images(images_NCHW, self.spec, self.path)
        return _channels_last(quantize_input(images_NCHW, self._input))

    def _answers(self, values_NHWC: NDArray[np.generic]) -> Floats:
        outputs = self._outputs(fixed_batches(values_NHWC, self._batch))
        return dequantize_output(outputs[: len(values_NHWC)], self._output)

    def _outputs(self, chunks: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        parts = [self._run(chunk) for chunk in chunks]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, values_NHWC: NDArray[np.generic]) -> NDArray[np.generic]:
        try:
            self._interpreter.set_tensor(self._input["index"], values_NHWC)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise cannot_run(self.path, "LiteRT", values_NHWC.shape, error) from error
        return np.asarray(self._interpreter.get_tensor(self._output["index"]))

    def _foreign(self, chw: list[int], classes: int, preprocess: Preprocess | None, content: bytes | None) -> ModelSpec:
        if preprocess is None:
            raise no_preprocess(self.path)
        precision = Precision.INT8 if self._input["dtype"] in _QUANTIZED else Precision.FP32
        spec = foreign_spec(self.path, chw, classes, precision, preprocess)
        labels = packed_labels(self.path if content is None else content, classes)
        return spec if labels is None else spec.model_copy(update={"labels": labels})


def _channels_last(values_NCHW: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a contiguous NHWC copy; a copy for each channel is three times as fast as one of the transposed view."""
    n, channels, height, width = values_NCHW.shape
    values_NHWC = np.empty((n, height, width, channels), values_NCHW.dtype)
    for channel in range(channels):
        values_NHWC[..., channel] = values_NCHW[:, channel]
    return values_NHWC


def holds_integers(interpreter: Interpreter) -> bool:
    """Return whether a file computes with integers: any of its tensors lies on an 8-bit grid."""
    return any(one["dtype"] in _QUANTIZED for one in interpreter.get_tensor_details())


def quantize_input(values: Floats, detail: TensorDetail) -> NDArray[np.generic]:
    """Return the values in the tensor's type; integers round half to even and saturate, as ONNX QuantizeLinear does."""
    dtype = detail["dtype"]
    if dtype not in _QUANTIZED:
        return values.astype(dtype, copy=False)
    scale, zero_point = detail["quantization"]
    bounds = np.iinfo(dtype)
    integers = values / np.float32(scale)
    np.rint(integers, out=integers)
    integers += np.float32(zero_point)
    np.clip(integers, bounds.min, bounds.max, out=integers)
    return np.asarray(integers, dtype=dtype)


def dequantize_output(values: NDArray[np.generic], detail: TensorDetail) -> Floats:
    """Return float32 values: (integer - zero point) * scale for integer tensors."""
    if detail["dtype"] not in _QUANTIZED:
        return values.astype(np.float32, copy=False)
    scale, zero_point = detail["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def looked_up(table: NDArray[np.generic], pixels_NHWC: Pixels) -> NDArray[np.generic]:
    """Return what each pixel value becomes at the input; `table` [3, 256] has it for each channel."""
    values_NHWC = np.empty(pixels_NHWC.shape, table.dtype)
    for channel, values in enumerate(table):
        values_NHWC[..., channel] = np.take(values, pixels_NHWC[..., channel], mode="clip")
    return values_NHWC


def open_interpreter(path: Path, threads: int, content: bytes | None) -> tuple[Interpreter, str]:
    """Return a LiteRT interpreter of a file, ready to run, and library and version; see `open_predictor` for errors."""
    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRtInterpreter
    except ImportError as error:
        raise missing_backend("ai_edge_litert", "serve") from error
    from importlib.metadata import version

    if (_start_of(path) if content is None else content)[4:8] != _IDENTIFIER:
        raise ModelFileError(
            f"{path}: not a TFLite file (the identifier 'TFL3' is missing at byte 4)",
            hint="imgc export --format tflite makes one",
        )
    model = {"model_path": str(path)} if content is None else {"model_content": content}
    try:
        with without_notices():
            interpreter: Interpreter = LiteRtInterpreter(**model, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise damaged(path, "TFLite", error, content) from error
    return interpreter, f"litert {version('ai-edge-litert')}"


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _one(details: list[TensorDetail], path: Path, role: str, *, rank: int) -> TensorDetail:
    found = [f"{one['name']} {one['dtype'].__name__} {list(one['shape'])}" for one in details]
    allowed = (np.float32, *_QUANTIZED)
    if len(details) != 1 or details[0]["dtype"] not in allowed or len(details[0]["shape"]) != rank:
        shape = "[N, H, W, C]" if rank == 4 else "[N, K]"
        raise ModelFileError(
            f"{path}: need one {role} of shape {shape}, float32, int8 or uint8, found {'; '.join(found) or 'none'}"
        )
    return details[0]


def _spec_in(path: Path, content: bytes | None) -> ModelSpec | None:
    from compress.runtime.tflite_meta import read_spec

    return read_spec(path.read_bytes() if content is None else content, str(path))


def _output_kind(interpreter: Interpreter, output: int) -> OutputKind:
    """Return what the output is, by the operators that the delegates took over, too."""
    makers = {
        str(made): (op["op_name"], str(op["inputs"][0]) if len(op["inputs"]) else "")
        for op in interpreter._get_ops_details()
        if op["op_name"] != DELEGATE_OP
        for made in op["outputs"]
    }
    return kind_of(str(output), makers)


def partitions_of(interpreter: Interpreter) -> int:
    """Return how many delegate nodes the graph holds after XNNPACK took its share."""
    return sum(op["op_name"] == DELEGATE_OP for op in interpreter._get_ops_details())
