"""What is known of the graph that a node is in, for who writes it as simpler ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, numpy_helper

from compress.graph.constants import Shape
from compress.graph.proto import Array

Shapes = Mapping[str, Shape]
Known = Mapping[str, Array]


@dataclass(frozen=True)
class Context:
    """A graph, the shapes of its tensors and the values of its constants."""

    graph: GraphProto
    shapes: Shapes
    known: Known
    opset: int

    def constant(self, name: str, value: object, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant of this name and return the name."""
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name
