"""int8 as other tools make it by their default recipes, from our float model and the same calibration images.

Each recipe takes a float file (ONNX, `images` [N,3,H,W] -> `logits` [N,K]; torchao: our .safetensors) and preprocessed
images, and writes one file. No recipe is tuned: what a user gets who follows the tool's guide is what our own int8 is
compared with. A tool that quantizes nothing without a word is an error here: its float answers would look perfect.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnx

from compress.core.formats import Format
from compress.core.storage import atomic_path
from compress.errors import BackendMissingError, StageError, UsageError, missing_backend
from compress.export import tf_converter
from compress.runtime.predictor import Floats
from evals.int8.compare import int8_weight_pct

_BATCH = 32
_OPSET = 18
_TOOLS = ("onnxruntime", "nncf", "torchao", "tensorflow")
Recipe = Callable[[Path, Floats, Path], None]


@dataclass(frozen=True)
class Baseline:
    """Another tool's default recipe.

    Attributes:
        name: a word for file names.
        title: how a table names it.
        source: format of the float file that `write` reads.
        format: of the file that `write` makes.
        write: (float file, calibration images_NCHW, file to write) -> None.
    """

    name: str
    title: str
    source: Format
    format: Format
    write: Recipe


def ort_default(float_onnx: Path, images_NCHW: Floats, out: Path) -> None:
    """Write ONNX Runtime's `quantize_static`: QDQ, min-max, uint8 activations, int8 weights per channel.

    Raises:
        BackendMissingError: onnxruntime or what its quantizer needs is not installed.
        StageError: the quantizer refuses the graph.
    """
    _quantize_static(float_onnx, images_NCHW, out, per_channel=True)


def ort_per_tensor(float_onnx: Path, images_NCHW: Floats, out: Path) -> None:
    """Write the same as `ort_default` with one scale for each weight tensor, which is what its argument defaults to.

    Raises:
        BackendMissingError: onnxruntime or what its quantizer needs is not installed.
        StageError: the quantizer refuses the graph.
    """
    _quantize_static(float_onnx, images_NCHW, out, per_channel=False)


def _quantize_static(float_onnx: Path, images_NCHW: Floats, out: Path, *, per_channel: bool) -> None:
    _check_calibration(images_NCHW)
    try:
        with tf_converter.quiet():
            from onnxruntime import quantization
            from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise missing_backend(error.name or "onnxruntime", "train") from error

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Feeds the calibration images, a batch at a time."""

        def __init__(self) -> None:
            self._feeds = iter({_input_name(float_onnx): batch} for batch in _batches(images_NCHW))

        def get_next(self) -> dict[str, Floats] | None:
            """Return the next feed, None after the last."""
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory(prefix="imgc-ort-") as folder, _failing("ONNX Runtime's quantizer"):
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "made.onnx"
        quant_pre_process(str(float_onnx), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(made),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=per_channel,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        data = made.read_bytes()
    _write("ONNX Runtime's quantizer", data, out)


def tflite_default(float_onnx: Path, images_NCHW: Floats, out: Path) -> None:
    """Write the TFLite converter's full int8 with a representative data set: int8 input, output and every operator.

    Raises:
        BackendMissingError: tensorflow or onnx2tf is not installed.
        CheckError: one of the two refuses the graph.
    """
    _check_calibration(images_NCHW)

    def representative() -> Iterator[list[Floats]]:
        for image_CHW in images_NCHW:
            yield [np.ascontiguousarray(image_CHW.transpose(1, 2, 0)[None])]

    with tf_converter.saved_model(onnx.load(float_onnx)) as (tf, saved):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        data = bytes(converter.convert())
    _write("the TFLite converter", tf_converter.with_our_signature(data), out)


def nncf_default(float_onnx: Path, images_NCHW: Floats, out: Path) -> None:
    """Write NNCF's `quantize` of the ONNX graph: its default preset and target, fast bias correction.

    It leaves what it knows for sensitive in float (MobileNetV3: hard-swish and the squeeze-excite blocks).

    Raises:
        BackendMissingError: nncf is not installed.
        StageError: NNCF refuses the graph.
    """
    _check_calibration(images_NCHW)
    os.environ.setdefault("NNCF_CI", "1")  # a measurement sends no usage statistics
    try:
        with tf_converter.quiet():
            import nncf
    except ImportError as error:
        raise _not_installed("nncf", error) from error
    name = _input_name(float_onnx)
    with _failing("NNCF"):
        images = nncf.Dataset(images_NCHW, lambda image_CHW: {name: image_CHW[None]})
        made = nncf.quantize(onnx.load(float_onnx), images, subset_size=len(images_NCHW))
    _write("NNCF", made.SerializeToString(), out)


def torchao_default(float_torch: Path, images_NCHW: Floats, out: Path) -> None:
    """Write torchao's PT2E for x86 (`X86InductorQuantizer`, default configuration) as QDQ ONNX.

    It starts from our .safetensors: the quantizer finds layers by their module class, and in a network rebuilt from
    ONNX it finds none. Its own runtime is torch's compiler, which has no file for us to open; ONNX Runtime then runs
    what PT2E decided, and leaves float what PT2E left float, but is not what this recipe was made fast for.

    Raises:
        BackendMissingError: torchao is not installed.
        ModelFileError: the file is none of ours.
        StageError: a step refuses the graph.
    """
    _check_calibration(images_NCHW)
    try:
        with tf_converter.quiet():
            import torch
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
            from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
    except ImportError as error:
        raise _not_installed("torchao", error) from error
    from compress.models.weights import load_model

    network, _ = load_model(float_torch)
    example = (torch.from_numpy(np.resize(images_NCHW, (2, *images_NCHW.shape[1:]))),)
    free_batch = ({0: torch.export.Dim("batch")},)
    with _failing("torchao PT2E"), torch.no_grad():
        exported = torch.export.export(network, example, dynamic_shapes=free_batch).module()
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(exported, quantizer)
        for batch in _batches(images_NCHW):
            prepared(torch.from_numpy(batch))
        program = torch.onnx.export(
            torch.export.export(convert_pt2e(prepared), example, dynamic_shapes=free_batch),
            dynamo=True,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise StageError("torch.onnx.export returned no program for torchao's PT2E")
    _write("torchao PT2E", program.model_proto.SerializeToString(), out)


BASELINES = (
    Baseline("ort", "ONNX Runtime quantize_static, per channel", Format.ONNX, Format.ONNX, ort_default),
    Baseline(
        "ort-per-tensor",
        "ONNX Runtime quantize_static, per tensor",
        Format.ONNX,
        Format.ONNX,
        ort_per_tensor,
    ),
    Baseline("nncf", "NNCF quantize", Format.ONNX, Format.ONNX, nncf_default),
    Baseline("torchao", "torchao PT2E, x86 (run by ONNX Runtime)", Format.TORCH, Format.ONNX, torchao_default),
    Baseline("tflite", "TFLite converter, full int8", Format.ONNX, Format.TFLITE, tflite_default),
)


def versions() -> dict[str, str]:
    """Return the version of each tool that is installed."""
    found = {}
    for name in _TOOLS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _check_calibration(images_NCHW: Floats) -> None:
    shape = images_NCHW.shape
    if images_NCHW.dtype != np.float32 or len(shape) != 4 or shape[0] < 1:
        raise UsageError(
            f"calibration takes float32 images [N, C, H, W], at least one, found {images_NCHW.dtype} {list(shape)}"
        )


def _batches(images_NCHW: Floats) -> Iterator[Floats]:
    for start in range(0, len(images_NCHW), _BATCH):
        yield images_NCHW[start : start + _BATCH]


def _input_name(float_onnx: Path) -> str:
    return str(onnx.load(float_onnx).graph.input[0].name)


def _write(tool: str, data: bytes, out: Path) -> None:
    """Write the file, unless the tool has quantized nothing."""
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)
        if int8_weight_pct(temporary) == 0:
            raise StageError(f"{tool} left every weight float: there is no int8 model to compare with")


@contextlib.contextmanager
def _failing(tool: str) -> Iterator[None]:
    """Keep a tool quiet and report whatever it raises as a StageError that names it."""
    try:
        with tf_converter.quiet():
            yield
    except Exception as error:  # the tools raise whatever the libraries below them raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StageError(f"{tool} cannot quantize the graph: {reason}") from error


def _not_installed(distribution: str, error: ImportError) -> BackendMissingError:
    """Return the error for a baseline that is no part of any extra; `error` names a module it lacks itself."""
    return BackendMissingError(
        f"this comparison needs the Python module '{error.name or distribution}', which is not installed",
        hint=f"pip install --requirement evals/int8_baselines.txt (has {distribution}; `make results-int8` does it)",
    )
