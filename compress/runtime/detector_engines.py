"""A detector's file in its runtime: raw numbers for images. `detector` says what they mean.

Letters: N images, C channels, H height, W width, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.core.boxes import BOXES, LOGITS
from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize, pixel_table
from compress.errors import ModelFileError, missing_backend
from compress.runtime.onnx_predictor import read_onnx, session_options
from compress.runtime.predictor import Floats, Pixels, cannot_run, damaged, fixed_batches
from compress.runtime.tflite_predictor import (
    dequantize_output,
    looked_up,
    open_interpreter,
    partitions_of,
    quantize_input,
)

Outputs = tuple[Floats, ...]


@dataclass(frozen=True)
class EngineFile:
    """A file to open.

    Attributes:
        path: it.
        content: its bytes, where they were read already.
        preprocess: how its images are prepared.
        threads: of one call.
        device: where a torch model computes.
        outputs: names of those that are read, in an ONNX or TFLite file.
    """

    path: Path
    content: bytes | None
    preprocess: Preprocess
    threads: int
    device: str
    outputs: tuple[str, ...] = (BOXES, LOGITS)


@dataclass(frozen=True)
class Engine:
    """A file in its runtime.

    Attributes:
        runtime: library and version.
        ready: images_NCHW -> them in the file's layout, numbers and batches.
        ready_pixels: pixels_NHWC -> `ready` of `normalize`, bit for bit.
        run: those -> raw_NA4 and logits_NAK, or what else was asked for.
        delegate_partitions: of XNNPACK, in TFLite.
    """

    runtime: str
    ready: Callable[[Floats], Any]
    ready_pixels: Callable[[Pixels], Any]
    run: Callable[[Any], Outputs]
    delegate_partitions: int | None = None


def torch_engine(file: EngineFile) -> Engine:
    """Return a torch file, computing on its device.

    Raises:
        BackendMissingError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise missing_backend("torch", "train") from error
    from compress.models.weights import load_model
    from compress.runtime.torch_predictor import computing_with

    model = load_model(file.path)[0].eval().to(device=file.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def ready(images_NCHW: Floats) -> torch.Tensor:
        with computing_with(file.threads):
            return torch.from_numpy(images_NCHW).to(file.device, memory_format=torch.channels_last)

    def run(images: torch.Tensor) -> Outputs:
        with computing_with(file.threads), torch.inference_mode():
            raw, logits = model(images)
            return raw.float().cpu().numpy(), logits.float().cpu().numpy()

    return Engine(f"torch {torch.__version__.split('+')[0]}", ready, _normalized(ready, file), run)


def onnx_engine(file: EngineFile) -> Engine:
    """Return an ONNX file in ONNX Runtime.

    Raises:
        BackendMissingError: ONNX Runtime is not installed.
        ModelFileError: it is damaged, or no detector's.
    """
    path = file.path
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise missing_backend("onnxruntime", "serve") from error
    try:
        session: Any = ort.InferenceSession(
            file.content or read_onnx(path), session_options(file.threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise damaged(path, "ONNX", error) from error
    _require_ends(file, len(session.get_inputs()), [one.name for one in session.get_outputs()])
    (source,) = session.get_inputs()
    batch = source.shape[0] if isinstance(source.shape[0], int) else None

    def ready(images_NCHW: Floats) -> Sequence[np.ndarray]:
        return [images_NCHW] if batch is None else fixed_batches(images_NCHW, batch)

    def run(chunks: Sequence[np.ndarray]) -> Outputs:
        try:
            return _joined([session.run(list(file.outputs), {source.name: chunk}) for chunk in chunks])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise cannot_run(path, "ONNX Runtime", chunks[0].shape, error) from error

    return Engine(f"onnxruntime {ort.__version__}", ready, _normalized(ready, file), run)


def tflite_engine(file: EngineFile) -> Engine:
    """Return a TFLite file in LiteRT; pixels go straight to the integers of its input, by one look-up each.

    Raises:
        BackendMissingError: LiteRT is not installed.
        ModelFileError: it is damaged, or no detector's.
    """
    path = file.path
    interpreter, runtime = open_interpreter(path, file.threads, file.content)
    sinks = {one["name"]: one for one in interpreter.get_output_details()}
    _require_ends(file, len(interpreter.get_input_details()), list(sinks))
    (source,) = interpreter.get_input_details()

    batch = int(source["shape"][0])
    table = quantize_input(pixel_table(file.preprocess.mean, file.preprocess.std), source)  # [3, 256]

    def ready(images_NCHW: Floats) -> Sequence[np.ndarray]:
        return fixed_batches(quantize_input(np.ascontiguousarray(images_NCHW.transpose(0, 2, 3, 1)), source), batch)

    def ready_pixels(pixels_NHWC: Pixels) -> Sequence[np.ndarray]:
        return fixed_batches(looked_up(table, pixels_NHWC), batch)

    def one(values_NHWC: np.ndarray) -> list[Floats]:
        interpreter.set_tensor(source["index"], values_NHWC)
        interpreter.invoke()
        return [dequantize_output(interpreter.get_tensor(sinks[name]["index"]), sinks[name]) for name in file.outputs]

    def run(chunks: Sequence[np.ndarray]) -> Outputs:
        try:
            return _joined([one(chunk) for chunk in chunks])
        except (ValueError, RuntimeError) as error:
            raise cannot_run(path, "LiteRT", chunks[0].shape, error) from error

    return Engine(runtime, ready, ready_pixels, run, partitions_of(interpreter))


def _require_ends(file: EngineFile, inputs: int, names: Sequence[str]) -> None:
    if inputs != 1 or not set(file.outputs) <= set(names):
        raise ModelFileError(
            f"{file.path}: takes {inputs} inputs and its outputs are {', '.join(names)}; wanted are one input and "
            f"{', '.join(file.outputs)}",
            hint="the file was changed after it was exported; export it again",
        )


def _joined(parts: Sequence[Sequence[Floats]]) -> Outputs:
    return tuple(np.concatenate(pieces).astype(np.float32, copy=False) for pieces in zip(*parts, strict=True))


def _normalized(ready: Callable[[Floats], Any], file: EngineFile) -> Callable[[Pixels], Any]:
    return lambda pixels_NHWC: ready(normalize(pixels_NHWC, file.preprocess))
