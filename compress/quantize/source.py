"""The float ONNX graph that a quantized model is made from: of a stage, of a file, or of an architecture's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, SilentReporter
from compress.engine.initial_weights import say_averages
from compress.errors import CheckError, ModelFileError, StageError, UsageError
from compress.graph.from_torch import to_onnx
from compress.graph.importer import FOREIGN, ImportedClassifier, import_classifier, import_detector
from compress.graph.metadata import embed_spec, spec_of
from compress.graph.operators import QUANTIZED
from compress.graph.versions import with_free_batch
from compress.models.build import build_model, new_spec
from compress.models.imagenet_labels import labels_for
from compress.models.weights import (
    IMAGENET,
    NO_WEIGHTS,
    classes_of_weights,
    load_model,
    load_pretrained,
    require_finite,
)
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.detector import open_detector
from compress.runtime.open import open_predictor
from compress.runtime.predictor import foreign_spec, with_labels

_REWRITES = ("clean",)  # what is done to a file of another tool
_PARITY_IMAGES = 8
_PARITY_BOUND = 1e-3  # of the largest logit; float rounding is a hundredth of it
_HALF_PARITY_BOUND = 1e-2  # a float16 file rounds to eleven bits at each step


def graph_of_arch(
    arch: str, weights: str, input_px: int | None, preprocess: Preprocess | None, reporter: Reporter
) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return the float ONNX model of an architecture with published or saved weights, and its spec.

    Args:
        arch: a key of `compress.models.archs.ARCHS`.
        weights: "imagenet", "none" or a file, whose head says how many classes there are.
        input_px: side of the square input; default the architecture's own.
        preprocess: how images are prepared; default as the published weights expect.
        reporter: hears which classes were assumed.

    Raises:
        ModelFileError: the weights do not fit, or hold NaN or infinity.
        DataError: the download failed.
        UsageError: nobody publishes ImageNet weights for this architecture.
    """
    labels = labels_for(classes_of_weights(arch, weights))
    spec = new_spec(arch, labels, preprocess.crop_px if preprocess else input_px)
    if preprocess is not None:
        spec = spec.model_copy(update={"preprocess": preprocess})
    module = build_model(spec)
    if weights == NO_WEIGHTS:
        reporter.warn(f"{arch}: `weights: none`, so that the answers are random; good for size and speed only")
    load_pretrained(module, spec, weights)
    say_averages(weights, reporter)
    source = f"ImageNet weights of {arch}" if weights == IMAGENET else weights
    require_finite(module.state_dict(), source)
    reporter.info(f"{arch}: {len(labels)} classes ({_labels_text(labels)}), input {spec.preprocess.crop_px} px")
    return _described(to_onnx(module.eval(), spec), weights)


def float_graph(
    artifact: Artifact,
    preprocess: Preprocess | None = None,
    reporter: Reporter | None = None,
    labels: tuple[str, ...] | None = None,
) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return the float ONNX model of a torch or ONNX artifact, and its spec.

    Args:
        artifact: the model file.
        preprocess: how images are prepared, for an ONNX file of another tool; such a graph is cleaned first, and
            the cleaned graph is held against the file.
        reporter: hears what was assumed.
        labels: class names for an ONNX file of another tool.

    Raises:
        UsageError: the model is quantized already, is not float32, or says nothing of its preprocessing.
        ModelFileError: it cannot be read, or holds NaN or infinity.
        CheckError: cleaning changed its answers.
    """
    reporter = reporter or SilentReporter()
    if artifact.format is Format.TORCH:
        module, spec = load_model(artifact.path)
        require_finite(module.state_dict(), str(artifact.path))
        return _described(to_onnx(module, spec), str(artifact.path))
    if artifact.spec is not None and artifact.spec.boxes is not None:
        return _float_detector(artifact.path)
    found = import_classifier(artifact.path, crop_px=preprocess.crop_px if preprocess else None, widen=True)
    _refuse_quantized(found)
    if found.spec is not None and preprocess is not None:
        reporter.warn(f"{artifact.path}: says itself how images are prepared; `preprocess` is not used")
    if found.spec is not None and found.is_own:
        return found.model, _as_float32(found.spec)
    spec = found.spec or _foreign_spec(found, preprocess)
    if found.spec is None and labels is not None:
        spec = with_labels(spec, labels, artifact.path)
    if found.spec is None:
        reporter.info(f"{artifact.path}: {spec.num_classes} classes ({_labels_text(spec.labels)})")
    return _with_spec(found, spec)


def _float_detector(path: Path) -> tuple[onnx.ModelProto, ModelSpec]:
    model, spec, precision = import_detector(path)
    if {precision, spec.precision} & {Precision.INT8, Precision.DYNAMIC}:
        raise _quantized_already(path, model)
    model = with_free_batch(model)
    if spec.arch == FOREIGN:
        noise = _noise(spec)
        _require_alike(open_detector(path).answers(noise), model, noise, path, _PARITY_BOUND)
    return model, _as_float32(spec)


def _described(model: onnx.ModelProto, source: str) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return the model and its spec as `to_onnx` wrote it: with sizes and rewrites."""
    spec = spec_of(model, Path(source))
    assert spec is not None, "to_onnx embeds a spec"
    return model, spec


def _labels_text(labels: tuple[str, ...]) -> str:
    return f"{labels[0]}, {labels[1]} ... {labels[-1]}" if len(labels) > 2 else ", ".join(labels)


def _refuse_quantized(found: ImportedClassifier) -> None:
    said = None if found.spec is None else found.spec.precision
    if {found.precision, said} & {Precision.INT8, Precision.DYNAMIC}:
        raise _quantized_already(found.path, found.model)


def _quantized_already(path: Path, model: onnx.ModelProto) -> UsageError:
    integer = sorted({node.op_type for node in model.graph.node} & QUANTIZED)
    return UsageError(
        f"{path}: is quantized already (ops {', '.join(integer) or 'none'})",
        hint="quantize the float model it was made from: `imgc quantize --from STAGE|FILE`",
    )


def _foreign_spec(found: ImportedClassifier, preprocess: Preprocess | None) -> ModelSpec:
    if preprocess is None:
        raise UsageError(
            f"{found.path}: carries no labels and no preprocessing, so that no image can be prepared for it",
            hint="say how it was trained: --preprocess imagenet (or tf, unit, JSON)",
        )
    if found.input_chw != (3, preprocess.crop_px, preprocess.crop_px):
        raise UsageError(
            f"{found.path}: takes images of [C, H, W] = {list(found.input_chw)}, but preprocess.crop_px is "
            f"{preprocess.crop_px}",
            hint=_other_images(found.input_chw),
        )
    spec = foreign_spec(found.path, found.input_chw, found.classes, Precision.FP32, preprocess)
    return spec.model_copy(update={"labels": labels_for(found.classes), "outputs": found.outputs})


def _other_images(chw: tuple[int, int, int]) -> str:
    """Return what to do about a file whose images are not those of `preprocess`."""
    channels, height, width = chw
    if channels == 3 and height == width:
        return f"give the crop the model takes: crop_px {height}"
    if channels == 3:
        return "images are prepared as squares here: export the model with a square input [N, 3, H, H]"
    return f"images have three channels here, red, green and blue: export a model of [N, 3, H, W], not of {channels}"


def _as_float32(spec: ModelSpec) -> ModelSpec:
    return spec if spec.precision is Precision.FP32 else spec.model_copy(update={"precision": Precision.FP32})


def _with_spec(found: ImportedClassifier, spec: ModelSpec) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return another tool's graph for any batch, held against its file, and the spec that it then carries."""
    model = with_free_batch(found.model)
    _require_parity(model, spec, found)
    spec = _as_float32(spec).model_copy(update={"rewrites": tuple(dict.fromkeys((*spec.rewrites, *_REWRITES)))})
    del model.metadata_props[:]
    embed_spec(model, spec)
    return model, spec


def _require_parity(cleaned: onnx.ModelProto, spec: ModelSpec, found: ImportedClassifier) -> None:
    """Run the cleaned graph as it will be calibrated, and the file as it is, on the same noise."""
    noise = _noise(spec)
    wanted_NK = open_predictor(found.path, spec=spec).predict(noise)
    bound = _HALF_PARITY_BOUND if found.widened else _PARITY_BOUND
    _require_alike((wanted_NK,), cleaned, noise, found.path, bound)


def _noise(spec: ModelSpec) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_PARITY_IMAGES, *spec.input_chw), dtype=np.float32)


def _require_alike(
    wanted: Sequence[NDArray[np.float32]],
    cleaned: onnx.ModelProto,
    noise: NDArray[np.float32],
    path: Path,
    bound: float,
) -> None:
    """Raise where a cleaned graph answers otherwise than its file did, by a share of the largest number."""
    try:
        with torch.inference_mode():
            answers = TorchGraph(cleaned)(torch.from_numpy(noise))
    except StageError as error:
        raise ModelFileError(f"{path}: {error.message}", hint=error.hint) from error
    except Exception as error:  # an operator in a form that the graph runner does not know
        raise ModelFileError(
            f"{path}: uses an operator in a form that is not supported: {type(error).__name__}: {error}",
            hint="export it again with opset 18 and fixed height and width",
        ) from error
    for before, after in zip(wanted, (answers,) if isinstance(answers, torch.Tensor) else answers, strict=True):
        allowed = bound * max(1.0, float(np.abs(before).max()))
        fits = after.shape == before.shape and bool(np.isfinite(before).all())
        diff = float(np.abs(after.numpy() - before).max()) if fits else float("inf")
        if not diff <= allowed:
            raise CheckError(
                f"{path}: the graph as it would be quantized answers otherwise than the file: its numbers differ by "
                f"{diff:.3g}, allowed {allowed:.3g} (n = {_PARITY_IMAGES} noise images)",
                hint="export it again as a plain inference graph (opset 18, explicit pads)",
            )
