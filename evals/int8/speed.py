"""How fast int8 is beside float at 224 px: networks with random weights, which cost what trained ones cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import onnx
import torch
from torch import nn

from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.graph.from_torch import to_onnx
from compress.graph.metadata import embed_spec as embed_in_onnx
from compress.graph.targets import HardSwishMode, Stem
from compress.lower.walk import lower
from compress.models.build import build_model, new_spec
from compress.quantize.ptq.reconstruct import Reconstruction
from compress.quantize.ptq.rewrites import hard_swishes
from compress.quantize.ptq.static import CalibrationImages, StaticOptions, quantize_statically
from compress.quantize.qdq.quantizer_setup import swish_stem
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from evals.int8.compare import latency_ratio
from evals.int8.files import ratio_cell, write_float_files
from evals.results.schema import Block, Cell, Column, Measured

ARCHS = ("tf_mobilenetv3_small_100", "mobilenet_v3_large", "squeezenet1_1", "tf_efficientnet_lite0", "mobilenetv2_100")
_INPUT_PX, _CLASSES = 224, 1000
COLUMNS = (
    Column(key="network", title="network", kind="text"),
    Column(key="stem", title="stem", kind="text"),
    Column(key="hard_swish", title="hard-swish", kind="text"),
    Column(key="tflite_ms", title="LiteRT ms", digits=2),
    Column(key="tflite_of_float", title="of float", digits=2),
    Column(key="partitions", title="partitions"),
    Column(key="onnx_ms", title="ONNX Runtime ms", digits=2),
    Column(key="onnx_of_float", title="of float", digits=2),
    Column(key="lowering_s", title="lowering s", digits=2),
)
_WAYS: tuple[tuple[Stem, HardSwishMode], ...] = (
    ("float", "float"),
    ("float", "gate"),
    ("int8", "float"),
    ("int8", "gate"),
)
_ONE_WAY: tuple[tuple[Stem, HardSwishMode], ...] = (("int8", "float"),)
_NO_LEARNING = Reconstruction(steps=0, batch_size=1, lr=1e-4, lr_scale=1e-3)


def speed_block(measured: Measured) -> Block:
    """Return the table: a row for each network and way to compute stem and hard-swish."""
    return Block(
        key="speed",
        title=f"Speed at {_INPUT_PX} px",
        n={"rounds": 15},
        setting="random weights, 1 thread, batch 1, calls in turns, quartiles of the rounds",
        measured=measured,
        columns=COLUMNS,
        rows=tuple(row for arch in ARCHS for row in _rows(arch)),
    )


def _rows(arch: str) -> Iterator[dict[str, Cell]]:
    spec = new_spec(arch, [str(index) for index in range(_CLASSES)], _INPUT_PX)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (8, _INPUT_PX, _INPUT_PX, 3), dtype=np.uint8)
    images = CalibrationImages(pixels_NHWC, spec.preprocess)
    graph = to_onnx(_normalised(build_model(spec, seed=0), images), spec)
    swishes = bool(hard_swishes(graph))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        floats = write_float_files(graph, spec, folder)
        for stem, hard_swish in _WAYS if swishes else _ONE_WAY:
            stem_nodes = swish_stem(graph) if stem == "float" else ()
            options = StaticOptions(
                "minmax", 100.0, hard_swish, stem_nodes, correct_biases=False, reconstruction=_NO_LEARNING
            )
            files, seconds = _int8_files(graph, spec, images, options, folder)
            image_NCHW = np.ascontiguousarray(images.sample(np.array([0])).numpy())
            way: dict[str, Cell] = {"network": arch, "stem": stem, "hard_swish": hard_swish if swishes else "none"}
            yield way | _times(files, floats, image_NCHW) | {"lowering_s": seconds}


def _normalised(model: nn.Module, images: CalibrationImages) -> nn.Module:
    """Return the network with BN statistics of its own: else random weights fade to nothing, layer by layer.

    Faded, the scales that meet in an addition or product lay up to five decades apart, and LiteRT's delegate cut
    MobileNetV3-Large in 20 pieces instead of 1.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    model.train()
    with torch.no_grad():
        for images_NCHW in images.batches():
            model(images_NCHW)
    return model.eval()


def _int8_files(
    graph: onnx.ModelProto, spec: ModelSpec, images: CalibrationImages, options: StaticOptions, folder: Path
) -> tuple[dict[Format, Path], float]:
    """Return the int8 files by format, and the seconds that the lowering took."""
    made = quantize_statically(graph, images, options, seed=0, reporter=SilentReporter()).to_qdq("uint8")
    files = {Format.ONNX: folder / "int8.onnx", Format.TFLITE: folder / "int8.tflite"}
    described = spec.model_copy(update={"precision": Precision.INT8})
    embed_in_onnx(made, described)
    onnx.save(made, files[Format.ONNX])
    start = perf_counter()
    data = lower(made).data
    seconds = perf_counter() - start
    files[Format.TFLITE].write_bytes(embed_in_tflite(data, described.model_copy(update={"layout": "NHWC"})))
    return files, seconds


def _times(files: dict[Format, Path], floats: dict[Format, Path], image_NCHW: Floats) -> dict[str, Cell]:
    """Return the cells of LiteRT, its partitions, and those of ONNX Runtime."""
    cells: dict[str, Cell] = {}
    for format_, name in ((Format.TFLITE, "tflite"), (Format.ONNX, "onnx")):
        predictor = open_predictor(files[format_])
        time = latency_ratio(predictor, open_predictor(floats[format_]), image_NCHW)
        cells |= {f"{name}_ms": time.p50_ms, f"{name}_of_float": ratio_cell(time)}
        if format_ is Format.TFLITE:
            cells["partitions"] = getattr(predictor, "delegate_partitions", None)
    return cells
