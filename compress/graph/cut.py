"""A detector's graph of another tool, cut where its raw numbers are: one image in, boxes and logits out."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper

from compress.core.box_outputs import no_such_tensor
from compress.core.formats import Precision
from compress.errors import ModelFileError
from compress.graph.cleanup import drop_dead_nodes, drop_unused_initializers
from compress.graph.proto import copy_of, inputs_of, precision_of, rename, shape_of
from compress.graph.versions import with_channels_first, with_image_size
from compress.graph.widen import widened

Names = tuple[str, str]


def cut_at(model: ModelProto, given: Names, names: Names, px: int, where: object) -> ModelProto:
    """Return the graph from its image [N, 3, px, px] to two of its tensors, of float32, under other names.

    Args:
        model: of any tool; not changed. A float16 one is widened.
        given: the tensors that become the outputs; they may lie within the graph.
        names: what the outputs are called then.
        px: height and width of its images where it leaves them open.
        where: the file, for messages.

    Raises:
        UsageError: there is no such tensor.
        ModelFileError: it does not take one square image of three channels, or makes no numbers there.
    """
    if precision_of(model) is Precision.FP16:
        model = widened(model)
    model = copy_of(with_channels_first(with_image_size(model, px)))
    graph = model.graph
    made = [name for node in graph.node for name in node.output if name]
    for name in given:
        if name not in made:
            raise no_such_tensor(where, name, [value.name for value in graph.output])
    images = inputs_of(model)
    if len(images) != 1 or shape_of(images[0])[1:] != (3, px, px):
        found = ", ".join(f"'{one.name}' {list(shape_of(one))}" for one in images)
        raise ModelFileError(
            f"{where}: takes {found}; wanted is one input of images [N, 3, {px}, {px}] or [N, {px}, {px}, 3]",
            hint="give the side that it was made for: --preprocess tf:300",
        )
    # by names that nobody has: one of the given tensors may bear the name that the other one gets
    for old, new in zip(given, names, strict=True):
        rename(graph, old, f"{new}.given")
    for new in names:
        rename(graph, new, f"{new}.inner")
        rename(graph, f"{new}.given", new)
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    drop_dead_nodes(graph)
    drop_unused_initializers(graph)
    del graph.value_info[:]
    return model
