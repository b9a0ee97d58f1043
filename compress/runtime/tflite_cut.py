"""A TFLite file of another tool, cut where its raw numbers are."""

from __future__ import annotations

from typing import Any

from compress.core.box_outputs import no_such_tensor
from compress.errors import ModelFileError
from compress.runtime.tflite_meta import pack, text_of, unpack

Names = tuple[str, str]


def cut_at(data: bytes, given: Names, names: Names, where: object) -> bytes:
    """Return the file from its image to two of its tensors, under other names; its weights stay as they are.

    Args:
        data: the file.
        given: the tensors that become the outputs; they may lie within the graph.
        names: what the outputs are called then.
        where: the file, for messages.

    Raises:
        UsageError: there is no such tensor.
        ModelFileError: damaged, or of several graphs.
    """
    model = unpack(data, str(where))
    if len(model.subgraphs or []) != 1:
        raise ModelFileError(f"{where}: holds {len(model.subgraphs or [])} graphs, one is wanted")
    (graph,) = model.subgraphs
    places = {text_of(tensor.name): index for index, tensor in enumerate(graph.tensors)}
    made = {index for operator in graph.operators for index in operator.outputs}
    for name in given:
        if places.get(name) not in made:
            raise no_such_tensor(where, name, [text_of(graph.tensors[index].name) for index in graph.outputs])
    graph.outputs = [places[name] for name in given]
    for tensor in graph.tensors:
        if text_of(tensor.name) in names:
            tensor.name = f"{text_of(tensor.name)}.inner"
    for name, new in zip(given, names, strict=True):
        graph.tensors[places[name]].name = new
    graph.operators = _needed(graph)
    model.signatureDefs = []  # they name the outputs that were
    return pack(model)


def _needed(graph: Any) -> list[Any]:  # noqa: ANN401 - generated classes
    """Return the operators that the outputs depend on, in their order."""
    wanted, kept = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if wanted & set(operator.outputs):
            kept.append(operator)
            wanted |= set(operator.inputs)
    return kept[::-1]
