"""Opens ONNX files with ONNX Runtime. Needs onnxruntime and numpy only, so that a server can do without onnx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compress.core.formats import Format, Precision
from compress.core.onnx_file import MAX_ONNX_BYTES, has_external_data, onnx_bytes, output_kind
from compress.core.preprocess import Preprocess
from compress.core.regular_file import read_regular
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.data.transforms import normalize
from compress.errors import ModelFileError, missing_backend
from compress.graph.interface import Interface, Port, classifier_interface
from compress.runtime.host import saturates_u8s8
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
    spec_of_text,
)

_LOOP = b"Loop"  # op types are plain text in the file
_LOOP_S = 60.0  # for each image, as the trial of a file has
_Float = type[np.float32] | type[np.float16]
_TYPES: dict[str, _Float] = {"float32": np.float32, "float16": np.float16}
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


class _Value(Protocol):
    """An input or output of a session; a name in the shape is a free size."""

    name: str
    type: str
    shape: list[int | str | None]


class _Metadata(Protocol):
    custom_metadata_map: dict[str, str]


class _Session(Protocol):
    """What we use of `onnxruntime.InferenceSession`, which ships no types."""

    def get_inputs(self) -> list[_Value]: ...

    def get_outputs(self) -> list[_Value]: ...

    def get_modelmeta(self) -> _Metadata: ...

    def run(
        self, outputs: list[str], feeds: dict[str, NDArray[np.generic]], options: object = None
    ) -> list[NDArray[np.generic]]: ...


class OnnxPredictor:
    """An ONNX Runtime session on the CPU, one input of images, one output of logits. Safe to share between threads."""

    format = Format.ONNX

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
        data = read_onnx(path) if content is None else content
        session, version = _session(path, threads, content)
        self.path = path
        self.threads = threads
        self.runtime = f"onnxruntime {version}"
        self._session = session
        found = classifier_interface(_interface_of(session), path)
        self._input, self._type, self._batch = found.image.name, _TYPES[found.image.dtype], found.batch
        self._channels_last = found.channels_last
        self._output, chw, classes = found.logits.name, found.chw, found.classes
        said = spec or _spec_in(session, path) or _foreign(path, chw, classes, preprocess, data)
        self.spec = said.model_copy(update={"outputs": output_kind(data)})
        check_spec(path, self.spec, chw, classes)
        self._may_not_end = _LOOP in data

    def predict(self, images_NCHW: Floats) -> Floats:
        """Return logits_NK; a graph of fixed batch is run as often as needed. See `Predictor.predict`."""
        return self._answers(self._chunks(images_NCHW))[: len(images_NCHW)]

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return a call; see `Predictor.prepared`."""
        return partial(self._answers, self._chunks(images_NCHW))

    def predict_pixels(self, pixels_NHWC: Pixels) -> Floats:
        """Return logits_NK; see `Predictor.predict_pixels`."""
        check_pixels(pixels_NHWC, self.spec, self.path)
        return self.predict(normalize(pixels_NHWC, self.spec.preprocess))

    def _chunks(self, images_NCHW: Floats) -> list[NDArray[np.generic]]:
        """Return the images as the graph takes them at once: all, or its fixed batch."""
        check_images(images_NCHW, self.spec, self.path)
        images = images_NCHW.astype(self._type, copy=False)
        if self._channels_last:
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        return [images] if self._batch is None else fixed_batches(images, self._batch)

    def _run(self, chunk: NDArray[np.generic]) -> NDArray[np.generic]:
        try:
            if not self._may_not_end:
                return self._session.run([self._output], {self._input: chunk})[0]
            with _ended_after(_LOOP_S * len(chunk)) as options:
                return self._session.run([self._output], {self._input: chunk}, options)[0]
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise cannot_run(self.path, "ONNX Runtime", chunk.shape, error) from error

    def _answers(self, chunks: list[NDArray[np.generic]]) -> Floats:
        parts = [self._run(chunk).reshape(len(chunk), -1) for chunk in chunks]  # [N,K,1,1] is a row, too
        return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts), dtype=np.float32)


def read_onnx(path: Path) -> bytes:
    """Return a file's bytes with all its weights; ModelFileError where it cannot be read."""
    try:
        return onnx_bytes(path)
    except OSError as error:
        raise damaged(path, "ONNX", error) from error


@contextmanager
def _ended_after(seconds: float) -> Iterator[object]:
    """Yield options of a run that ONNX Runtime then ends: a Loop may go on for ever with one image and not another."""
    import onnxruntime as ort

    options = ort.RunOptions()
    timer = Timer(seconds, setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield options
    finally:
        timer.cancel()


def session_options(threads: int) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    """Return the options of every session of ours: so many threads, which do not spin, and exact int8 kernels."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning doubles the CPU of a request
    if saturates_u8s8():
        # Without it, two products are added in 16 bits and clipped: wrong sums where weights and activations are large.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _source(path: Path) -> str | bytes:
    """Return what a session is made of: the path, or the bytes of a model whose weights lie beside it."""
    return onnx_bytes(path) if has_external_data(read_regular(path, MAX_ONNX_BYTES)) else str(path)


def _session(path: Path, threads: int, content: bytes | None) -> tuple[_Session, str]:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise missing_backend("onnxruntime", "serve") from error
    try:
        model = _source(path) if content is None else content
        session = ort.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])
        return session, ort.__version__
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise damaged(path, "ONNX", error, content) from error


def _interface_of(session: _Session) -> Interface:
    return Interface(tuple(map(_port, session.get_inputs())), tuple(map(_port, session.get_outputs())))


def _port(value: _Value) -> Port:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return Port(value.name, _DTYPES.get(value.type, value.type), shape)


def _spec_in(session: _Session, path: Path) -> ModelSpec | None:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(SPEC_KEY)
    except UnicodeDecodeError as error:
        raise ModelFileError(
            f"{path}: its metadata are no UTF-8 text ({error})", hint="export the file again"
        ) from error
    return spec_of_text(text, path)


def _foreign(
    path: Path, chw: tuple[int | None, ...], classes: int | None, preprocess: Preprocess | None, data: bytes
) -> ModelSpec:
    if preprocess is None:
        raise no_preprocess(path)
    if classes is None:
        raise ModelFileError(f"{path}: the graph does not say how many classes its output has", hint="give its spec")
    free = (3, preprocess.crop_px, preprocess.crop_px)
    sizes = [found if found is not None else default for found, default in zip(chw, free, strict=True)]
    return foreign_spec(path, sizes, classes, _precision(data), preprocess)


def _precision(data: bytes) -> Precision:
    """Return the precision of another tool's file by the operators it names; op types are plain text in the file."""
    if b"DynamicQuantizeLinear" in data:
        return Precision.DYNAMIC
    if b"QuantizeLinear" in data or b"QLinearConv" in data:
        return Precision.INT8
    return Precision.FP32
