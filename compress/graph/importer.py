"""Any ONNX file as one canonical graph, which export, quantize, lower and inspect share.

Canonical are: no functions, no operator outside ONNX's own domain, weights as initializers, constants computed. A
float32 graph has opset 14 to 21 and IR 10, shape arithmetic computed, batch norms folded, spelled-out operators
recognised, explicit pads, heads as Gemm [O, I], and a weight and a bias for each layer; nodes keep their names. Integer
and float16 graphs keep their nodes and their opset: their numbers are what was validated.

The canonical form of a canonical graph is itself. The batch stays as the file has it, see `versions.with_free_batch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    helper,
    shape_inference,
    version_converter,
)
from onnx.inliner import inline_local_functions

from compress.core.boxes import BOXES, LOGITS
from compress.core.formats import Precision
from compress.core.outputs import OutputKind
from compress.core.spec import ModelSpec
from compress.errors import CheckError, ImgcError, ModelFileError
from compress.graph.cleanup import checked, drop_dead_nodes, drop_unused_initializers, name_nodes, simplify
from compress.graph.constants import (
    Shape,
    batch_of,
    fold_constants,
    fold_shapes,
    initializers_from_constants,
    shapes_of,
    unlist_initializers,
    with_batch,
)
from compress.graph.decompose import decompose
from compress.graph.finite import require_finite
from compress.graph.interface import Chw, classifier_interface
from compress.graph.metadata import spec_of
from compress.graph.pads import explicit_pads
from compress.graph.proto import (
    DEFAULT_DOMAINS,
    attributes_of,
    copy_of,
    interface_of,
    load,
    opset_of,
    output_kind,
    precision_of,
    rename,
)
from compress.graph.spelled import recognise_gelu, recognise_spelled
from compress.graph.versions import with_channels_first, with_image_size
from compress.graph.weighted import fold_batch_norms, heads_as_gemm, name_weights
from compress.graph.widen import widened

OPSETS = range(14, 22)  # 14 brought HardSwish; 21 is the newest that every reader of ours knows
_OPSET, _IR_VERSION = 18, 10
_GELU_OPSET = 20
FOREIGN = "foreign"  # the architecture of a spec for a network that imgc did not build
_FLATTENED = ("Reshape", "Squeeze")


def canonical(model: ModelProto, where: object) -> ModelProto:
    """Return the canonical form of a model; its metadata stay.

    Args:
        model: of any tool; not changed.
        where: its file, for messages.

    Raises:
        CheckError: an operator of another domain than ONNX's.
        ModelFileError: the graph contradicts itself, or a step of the way cannot be done.
    """
    _require_own_domain(model, where)
    try:
        return _canonical(model)
    except ImgcError as error:
        raise type(error)(f"{where}: {error.message}", hint=error.hint) from error
    except Exception as error:  # ONNX's converter, checker and shape inference share no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{where}: cannot be read as a plain inference graph: {reason}",
            hint="export it again as a plain inference graph (opset 18, float32, batch norm folded)",
        ) from error


@dataclass(frozen=True)
class ImportedClassifier:
    """An image classifier's file, read.

    Attributes:
        path: the file.
        model: its canonical graph.
        spec: what it says of itself; None for a file of another tool.
        precision: how its numbers are stored.
        input_chw: channels, height, width of one image.
        classes: the length of its answer.
        widened: whether the file is float16 and the graph float32.
    """

    path: Path
    model: ModelProto
    spec: ModelSpec | None
    precision: Precision
    input_chw: Chw
    classes: int
    widened: bool = False

    @property
    def outputs(self) -> OutputKind:
        """Return what its answers are."""
        return output_kind(self.model)

    @property
    def is_own(self) -> bool:
        """Return whether imgc made the network, not another tool."""
        return self.spec is not None and self.spec.arch != FOREIGN


def import_classifier(path: Path, *, crop_px: int | None = None, widen: bool = False) -> ImportedClassifier:
    """Return an ONNX file of any tool as the canonical graph that every stage works on.

    Args:
        path: the file.
        crop_px: height and width of its images, where the file leaves them open.
        widen: whether a float16 file becomes a float32 graph.

    Raises:
        ModelFileError: it cannot be read, holds NaN or infinity, or is not one image in and one row of logits out.
        CheckError: an operator of another domain than ONNX's.
    """
    model = load(path)
    spec = spec_of(model, path)
    half = widen and precision_of(model) is Precision.FP16
    if half:
        model = widened(model)
    if crop_px is not None:
        model = with_image_size(model, crop_px)
    model = with_channels_first(model)
    input_chw, classes = classifier_sizes(model, path)
    require_finite(model, path)
    return ImportedClassifier(path, canonical(model, path), spec, precision_of(model), input_chw, classes, half)


def import_detector(path: Path) -> tuple[ModelProto, ModelSpec, Precision]:
    """Return a detector's ONNX file as the canonical graph, what it is, and how its numbers are stored.

    Post-processing inside the file goes: the graph ends in raw boxes and logits.

    Raises:
        ModelFileError: it cannot be read, holds NaN or infinity, or does not say how its numbers become boxes.
        CheckError: an operator of another domain than ONNX's.
    """
    model = load(path)
    spec = spec_of(model, path)
    if spec is None or spec.boxes is None:
        raise ModelFileError(f"{path}: does not say how its numbers become boxes", hint="export it with imgc")
    require_finite(model, path)
    _end_in_raw_numbers(model.graph)
    return canonical(model, path), spec, precision_of(model)


def _end_in_raw_numbers(graph: GraphProto) -> None:
    raw = [value for value in graph.output if value.name in (BOXES, LOGITS)]
    del graph.output[:]
    graph.output.extend(raw)
    drop_dead_nodes(graph)
    drop_unused_initializers(graph)


def classifier_sizes(model: ModelProto, where: object) -> tuple[Chw, int]:
    """Return (C, H, W) of one image and the number of classes.

    Raises:
        ModelFileError: not one image in and one row of logits out, or a size other than the batch is open.
    """
    return classifier_interface(interface_of(model), where).fixed(where)


def _canonical(model: ModelProto) -> ModelProto:
    copy = inline_local_functions(model) if model.functions else copy_of(model)
    unlist_initializers(copy.graph)
    initializers_from_constants(copy.graph)
    _give_a_row(copy.graph)
    if precision_of(copy) is not Precision.FP32:
        fold_constants(copy)
        checker.check_model(copy)
        return copy
    copy = _in_known_opset(copy)
    graph = copy.graph
    _drop_float_casts(copy)
    fold_constants(copy)
    fold_shapes(copy)
    shapes = shapes_of(with_batch(copy, batch_of(copy) or 1))
    decompose(graph, shapes, opset_of(copy))
    _flatten_to_rank_two(graph, shapes)
    drop_dead_nodes(graph)
    explicit_pads(graph, shapes)
    recognise_spelled(graph)
    if opset_of(copy) >= _GELU_OPSET:
        recognise_gelu(graph)
    heads_as_gemm(graph, shapes)
    fold_batch_norms(graph, shapes)
    drop_dead_nodes(graph)
    name_weights(graph)
    simplify(graph)
    name_nodes(graph)
    return checked(copy)


def _give_a_row(graph: GraphProto) -> None:
    """Flatten outputs that are a map of one dot, [N, K, 1, 1]."""
    for value in graph.output:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4 and [dim.dim_value for dim in dims[2:]] == [1, 1]:
            rename(graph, value.name, f"{value.name}.map")
            graph.node.append(helper.make_node("Flatten", [f"{value.name}.map"], [value.name], axis=1))
            del dims[2:]


def _require_own_domain(model: ModelProto, where: object) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        if node.domain not in DEFAULT_DOMAINS and (node.domain, node.op_type) not in own:
            raise CheckError(
                f"{where}: node '{node.name}' ({node.domain}.{node.op_type}): foreign domain; only the default ONNX "
                "domain is allowed",
                hint="export with the default ONNX operators only (QDQ format for int8)",
            )


def _in_known_opset(model: ModelProto) -> ModelProto:
    metadata = list(model.metadata_props)
    model.ir_version = max(model.ir_version, _IR_VERSION)  # first: IR 3 wants initializers among the inputs
    has_erf = any(node.op_type == "Erf" for node in model.graph.node)
    wanted = _GELU_OPSET if has_erf else _OPSET
    if opset_of(model) not in OPSETS or (has_erf and opset_of(model) < _GELU_OPSET):
        model = version_converter.convert_version(model, wanted)
        del model.metadata_props[:]
        model.metadata_props.extend(metadata)
        model.ir_version = _IR_VERSION
    return model


def _drop_float_casts(model: ModelProto) -> None:
    """Turn casts of float32 to float32 into Identity, and CastLike into Cast: it only reads its second input's type."""
    graph = model.graph
    inferred = shape_inference.infer_shapes(model).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        kinds[value.name] = value.type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type == "CastLike" and kinds.get(node.input[1]):
            _become(node, "Cast", [helper.make_attribute("to", kinds[node.input[1]])])
        if node.op_type == "Cast" and kinds.get(node.input[0]) == attributes_of(node)["to"] == TensorProto.FLOAT:
            _become(node, "Identity", [])


def _become(node: NodeProto, op_type: str, attributes: list[AttributeProto]) -> None:
    node.op_type = op_type
    del node.input[1:]
    del node.attribute[:]
    node.attribute.extend(attributes)


def _flatten_to_rank_two(graph: GraphProto, shapes: dict[str, Shape]) -> None:
    """Turn what only drops the 1x1 of a pooled map, or lays a map flat, into Flatten, whatever made its shape."""
    for node in graph.node:
        if node.op_type == "Reshape":  # the rank is the length of the shape, also where its values are not known
            rank = next(iter(shapes.get(node.input[1], ())), 0)
        else:
            rank = len(shapes.get(node.output[0], ()))
        if node.op_type not in _FLATTENED or rank != 2:
            continue
        before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
        if len(before) >= 2 and (not after or after[0] == before[0]):
            _become(node, "Flatten", [helper.make_attribute("axis", 1)])
