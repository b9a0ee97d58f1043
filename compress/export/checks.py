"""Checks of an ONNX file that can fail, and parity, which holds for both formats.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from compress.core.artifact import Metrics
from compress.core.formats import Precision
from compress.core.names import few
from compress.core.spec import ModelSpec
from compress.errors import CheckError
from compress.graph.importer import FOREIGN
from compress.graph.operators import PASSING
from compress.graph.proto import DEFAULT_DOMAINS, interface_of, makers_of
from compress.graph.target_check import float_nodes
from compress.runtime.evaluate import agreement_pct

Floats = npt.NDArray[np.float32]
MIN_INT8_WEIGHT_PCT = 50.0  # below it, a file called int8 is a float file
MOST_NAMED = 20
_ROUNDED_APART = "`imgc quantize --set stem=int8`, then export again: fewer floats that runtimes round apart; or "
_USUAL_PERCENT = 95
_MOST_OF_RANGE = 0.05
_RELATIVE_BOUND = {Precision.FP32: 1e-3, Precision.FP16: 5e-2}  # of the largest logit
_INT8_TYPES = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def check_onnx(model: onnx.ModelProto, path: Path, spec: ModelSpec | None) -> None:
    """Check an ONNX model against ONNX itself, the op-set gate and its spec.

    Raises:
        CheckError: names the file and the node or tensor, what was found and what is allowed.
    """
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            hint = "write it with operators of the default domain (QDQ format for int8)"
            raise CheckError(
                f"{path}: node '{node.name}' is {node.domain}.{node.op_type}; only the default ONNX domain is allowed",
                hint=hint,
            )
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CheckError(f"{path}: ONNX refuses the graph: {str(error).strip()}") from error
    if spec is not None:
        check_interface(model, path, spec)


def check_interface(model: onnx.ModelProto, path: Path, spec: ModelSpec) -> None:
    """Check names, shapes and types of input and output against the spec.

    Raises:
        CheckError: names the tensor, what was found and what the spec says.
    """
    found = interface_of(model)
    wanted = {"images": spec.input_chw, "logits": (spec.num_classes,)}
    for ports, key in ((found.inputs, "images"), (found.outputs, "logits")):
        if len(ports) != 1:
            raise CheckError(f"{path}: has {len(ports)} tensors where one '{key}' is allowed")
        (port,) = ports
        if spec.arch != FOREIGN and port.name != key:
            raise CheckError(f"{path}: tensor '{port.name}' should be named '{key}'")
        if port.shape[1:] != wanted[key]:
            raise CheckError(f"{path}: found {port}, the spec says [N, {_csv(wanted[key])}]")
        if port.dtype != "float32":
            raise CheckError(f"{path}: found {port}, allowed float32")


def output_scale(model: onnx.ModelProto) -> float | None:
    """Return the scale of a QDQ model's output, looking through what moves elements; None for a float output."""
    makers = makers_of(model.graph)
    name = model.graph.output[0].name
    while name in makers and makers[name].op_type in PASSING:
        name = makers[name].input[0]
    if name not in makers or makers[name].op_type != "DequantizeLinear":
        return None
    scale = makers[name].input[1]
    found = [tensor for tensor in model.graph.initializer if tensor.name == scale]
    found += [entry.t for entry in makers[scale].attribute if entry.name == "value"] if scale in makers else []
    return float(numpy_helper.to_array(found[0]).reshape(-1)[0]) if found else None


def check_int8_onnx(model: onnx.ModelProto, path: Path) -> Metrics:
    """Return the share of int8 weight bytes and the operators that compute in float.

    Raises:
        CheckError: most weights are not int8.
    """
    sizes: dict[bool, int] = {True: 0, False: 0}
    for tensor in model.graph.initializer:
        if len(tensor.dims) > 1:
            integer = tensor.data_type in _INT8_TYPES
            sizes[integer] += int(np.prod(tensor.dims)) * (1 if integer else 4)
    return int8_metrics(path, sizes[True], sizes[False], [node.name for node in float_nodes(model)])


def int8_metrics(path: Path, int8_bytes: int, float_bytes: int, float_ops: list[str]) -> Metrics:
    """Return the metrics of an int8 file.

    Raises:
        CheckError: most weight bytes are not int8.
    """
    share = 100.0 * int8_bytes / max(int8_bytes + float_bytes, 1)
    if share < MIN_INT8_WEIGHT_PCT:
        raise CheckError(
            f"{path}: only {share:.1f} % of the weight bytes are int8, at least {MIN_INT8_WEIGHT_PCT:g} % are needed "
            f"to call it int8; float: {few(float_ops, MOST_NAMED)}",
            hint="quantize more layers, or export as fp32",
        )
    return {"int8_weight_pct": share, "float_ops": len(float_ops), "float_op_names": few(float_ops, MOST_NAMED)}


def check_parity(
    source_NK: Floats,
    exported_NK: Floats,
    *,
    path: Path,
    precision: Precision,
    max_abs_logit_diff: float | None,
    min_agreement_pct: float,
    images: bool,
    output_scale: float | None = None,
) -> Metrics:
    """Return how far the exported file is from its source.

    Of a weak model many answers are near ties, which two runtimes round apart. An image counts against the share only
    where the source prefers its own answer by more than the runtimes usually differ (`_usual_gap`).

    Args:
        source_NK: logits of the source model.
        exported_NK: logits of the exported file for the same images.
        path: the exported file, for messages.
        precision: of the exported file.
        max_abs_logit_diff: bound; None takes the precision's own.
        min_agreement_pct: bound; only held against images, since the answers to noise are near ties.
        images: whether the images are images; else noise.
        output_scale: step of the logits' grid in an int8 file, in which the difference is reported as well.

    Raises:
        CheckError: a bound is broken.
    """
    if not (np.isfinite(source_NK).all() and np.isfinite(exported_NK).all()):
        raise CheckError(f"{path}: the source or the exported file answers NaN or infinity")
    diff = float(np.abs(source_NK - exported_NK).max())
    agreement = agreement_pct(source_NK, exported_NK)
    bound = max_abs_logit_diff
    if bound is None and precision in _RELATIVE_BOUND:
        bound = _RELATIVE_BOUND[precision] * max(1.0, float(np.abs(source_NK).max()))
    if bound is not None and not diff <= bound:
        raise CheckError(
            f"{path}: output 'logits' differs from the source model by {diff:.6g}, allowed {bound:.6g} "
            f"(n = {len(source_NK)})",
            hint="raise parity.max_abs_logit_diff if that is acceptable",
        )
    others, beyond = _other_answers(source_NK, exported_NK)
    if images and 100.0 * (1 - beyond / len(source_NK)) < min_agreement_pct:
        raise CheckError(
            f"{path}: same top-1 answer as the source model on {agreement:.2f} % of {len(source_NK)} images, "
            f"at least {min_agreement_pct:g} % are wanted; {beyond} of the {others} other answers are no near ties",
            hint=(_ROUNDED_APART if precision is Precision.INT8 else "")
            + f"`imgc export --set parity.min_agreement_pct={int(agreement)}` takes the file as it is",
        )
    in_steps: Metrics = {} if output_scale is None else {"parity_max_lsb": diff / output_scale}
    return in_steps | {
        "parity_max_abs_logit_diff": diff,
        "parity_agreement_pct": agreement,
        "parity_images": len(source_NK),
        "parity_near_ties": others - beyond,
        "parity_on": "images" if images else "noise",
    }


def _other_answers(source_NK: Floats, exported_NK: Floats) -> tuple[int, int]:
    """Return how many images have another top-1 answer, and how many of those are no near ties."""
    rows = np.arange(len(source_NK))
    ours, theirs = source_NK.argmax(axis=1), exported_NK.argmax(axis=1)
    preference_N = source_NK[rows, ours] - source_NK[rows, theirs]
    other_N = ours != theirs
    return int(other_N.sum()), int((other_N & (preference_N > _usual_gap(source_NK, exported_NK))).sum())


def _usual_gap(source_NK: Floats, exported_NK: Floats) -> float:
    """Return how far apart two logits of the source may be for the runtimes to change their order.

    That is twice what they differ: the 95th percentile over the images, but no more than a share of the logits' range.
    What differs by more is another model, not another rounding.
    """
    usual = float(np.percentile(np.abs(source_NK - exported_NK).max(axis=1), _USUAL_PERCENT))
    return 2.0 * min(usual, _MOST_OF_RANGE * float(np.ptp(source_NK)))


def _csv(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
