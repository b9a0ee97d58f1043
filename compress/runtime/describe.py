"""Another tool's file with what it does not say itself written into it, so that every verb takes it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.core.box_outputs import BoxOutputs
from compress.core.boxes import BOXES, LOGITS
from compress.core.formats import Format, Precision, format_of
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.runtime.detector import spec_in_file
from compress.runtime.detector_engines import EngineFile, onnx_engine
from compress.runtime.open import open_predictor
from compress.runtime.predictor import foreign_spec, no_preprocess, with_labels
from compress.runtime.tflite_predictor import holds_integers, open_interpreter

Shape = tuple[int, ...]


def described(
    path: Path, preprocess: Preprocess | None, labels: tuple[str, ...] | None, boxes: BoxOutputs | None
) -> tuple[bytes, ModelSpec]:
    """Return an ONNX or TFLite file of another tool with a spec in it, and the spec.

    A classifier's graph stays as it is. A detector's is cut at the tensors that `boxes` names, so that post-processing
    which stands in the file goes: imgc's own takes its place, in every verb.

    Args:
        path: the file.
        preprocess: how its images are prepared.
        labels: class names in the order of its answers; default "0".."C-1".
        boxes: what a detector's numbers mean; None for a classifier.

    Raises:
        UsageError: a torch file, one that says itself what it is, or a description that does not fit it.
        ModelFileError: it is damaged.
    """
    fmt = format_of(path)
    if fmt is Format.TORCH:
        raise UsageError(f"{path}: a torch file says itself what it is", hint="give an .onnx or .tflite file")
    if spec_in_file(path) is not None:
        raise UsageError(f"{path}: says itself what it is", hint=f"use it as it is: `imgc inspect {path}`")
    if preprocess is None:
        raise no_preprocess(path)
    if boxes is None:
        spec = open_predictor(path, preprocess=preprocess, labels=labels).spec
        return _embedded(_content(path, fmt), fmt, spec), spec
    spec, cut = _detector(path, fmt, preprocess, boxes)
    if labels is not None:
        spec = with_labels(spec, labels, path)
    return _embedded(cut, fmt, spec), spec


def _detector(path: Path, fmt: Format, preprocess: Preprocess, boxes: BoxOutputs) -> tuple[ModelSpec, bytes]:
    if boxes.boxes == boxes.logits:
        raise UsageError(f"--boxes: boxes and logits are one tensor, '{boxes.boxes}'", hint="name two tensors")
    px = preprocess.crop_px
    resize_px = preprocess.resize_px if boxes.fit == "crop" else px
    preprocess = preprocess.model_copy(update={"fit": boxes.fit, "resize_px": resize_px})
    cut = (_cut_tflite if fmt is Format.TFLITE else _cut_onnx)(path, px, (boxes.boxes, boxes.logits))
    spec = foreign_spec(path, (3, px, px), _classes(path, cut, boxes), cut.precision, preprocess)
    return spec.model_copy(update={"boxes": boxes.coding}), cut.data


@dataclass(frozen=True)
class _Cut:
    """A file that ends in raw boxes and scores.

    Attributes:
        data: its bytes.
        boxes: sizes of the boxes' tensor.
        logits: of the scores' tensor.
        precision: how its numbers are stored.
    """

    data: bytes
    boxes: Shape
    logits: Shape
    precision: Precision


def _cut_onnx(path: Path, px: int, given: tuple[str, str]) -> _Cut:
    from onnx import TensorProto
    from onnx.helper import make_tensor_value_info

    from compress.graph.constants import batch_of
    from compress.graph.cut import cut_at
    from compress.graph.proto import load, precision_of

    model = cut_at(load(path), given, (BOXES, LOGITS), px, path)
    data = model.SerializeToString()
    # what an exporter computes from the image's shape is known only when it runs
    engine = onnx_engine(EngineFile(path, data, Preprocess(resize_px=px, crop_px=px), threads=1, device="cpu"))
    boxes, logits = engine.run(engine.ready(np.zeros((1, 3, px, px), np.float32)))
    for value, answer in zip(model.graph.output, (boxes, logits), strict=True):
        sizes = [batch_of(model) or "N", *answer.shape[1:]]
        value.CopyFrom(make_tensor_value_info(value.name, TensorProto.FLOAT, sizes))
    return _Cut(model.SerializeToString(), boxes.shape, logits.shape, precision_of(model))


def _cut_tflite(path: Path, px: int, given: tuple[str, str]) -> _Cut:
    from compress.runtime.tflite_cut import cut_at

    data = cut_at(path.read_bytes(), given, (BOXES, LOGITS), path)
    interpreter, _ = open_interpreter(path, 1, data)
    (image,) = interpreter.get_input_details()
    if image["shape"].tolist()[1:] != [px, px, 3]:
        raise ModelFileError(
            f"{path}: takes images of {image['shape'].tolist()}; wanted is [N, {px}, {px}, 3]",
            hint="give the side that it was made for: --preprocess tf:300",
        )
    shapes = {one["name"]: tuple(one["shape"].tolist()) for one in interpreter.get_output_details()}
    precision = Precision.INT8 if holds_integers(interpreter) else Precision.FP32
    return _Cut(data, shapes[BOXES], shapes[LOGITS], precision)


def _classes(path: Path, cut: _Cut, boxes: BoxOutputs) -> int:
    """Return the number of classes of answers that fit the coding."""
    anchors = boxes.coding.anchors
    scores = cut.logits[2] if len(cut.logits) == 3 else None
    if cut.boxes[1:] != (anchors, 4) or cut.logits[1:] != (anchors, scores) or scores is None:
        raise UsageError(
            f"{path}: '{boxes.boxes}' is {list(cut.boxes)} and '{boxes.logits}' {list(cut.logits)}; by `coding` "
            f"there are {anchors} anchors, which makes [N, {anchors}, 4] and [N, {anchors}, K]",
            hint="rows x columns x sizes of all `maps` must add up to the anchors of the network",
        )
    classes = scores - (boxes.coding.background == "first")
    if classes < 1:
        raise UsageError(
            f"{path}: '{boxes.logits}' has one score for each anchor, and by `coding` it is the background's",
            hint='say "background": "none" where there is no score of the background',
        )
    return classes


def _content(path: Path, fmt: Format) -> bytes:
    from compress.graph.proto import load

    return path.read_bytes() if fmt is Format.TFLITE else load(path).SerializeToString()


def _embedded(data: bytes, fmt: Format, spec: ModelSpec) -> bytes:
    if fmt is Format.TFLITE:
        from compress.runtime.tflite_meta import embed_spec as into_tflite

        return into_tflite(data, spec)
    from onnx import ModelProto

    from compress.graph.metadata import embed_spec as into_onnx

    model = ModelProto.FromString(data)
    into_onnx(model, spec)
    return bytes(model.SerializeToString())
