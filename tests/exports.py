"""Exports of networks, one for each structure: torch's exporter takes seconds and does not care for the weights.

A network is exported for real when its structure comes up for the first time in a session; the next one gets that graph
with its own weights in it, byte for byte what the exporter would have written (`tests/test_exports.py`). The workers of
one session share them.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from compress.graph import from_torch as exporter

REAL = exporter._export
REGISTRY = functools.cache(ONNXRegistry.from_torchlib)
_MOST_OTHER = 16  # values in a constant that is no weight: a shape, an axis, a bound

Export = Callable[..., ModelProto]


class SharedExports:
    """Stands for `to_onnx._export`."""

    def __init__(self, real: Export, folder: Path) -> None:
        self.real, self.folder = real, folder

    def __call__(self, model: nn.Module, input_chw: tuple[int, int, int], *, dynamic_batch: bool) -> ModelProto:
        weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
        path = self.folder / f"{structure(model, weights, input_chw, dynamic_batch)}.onnx"
        with alone(path.with_suffix(".lock")):
            if not path.exists():
                proto = self.real(model, input_chw, dynamic_batch=dynamic_batch)
                path.write_bytes(proto.SerializeToString() if holds_them_as_they_are(proto, weights) else b"")
                return proto
        if not path.stat().st_size:
            return self.real(model, input_chw, dynamic_batch=dynamic_batch)
        return with_weights(ModelProto.FromString(path.read_bytes()), weights)


def structure(
    model: nn.Module, weights: dict[str, np.ndarray], input_chw: tuple[int, int, int], dynamic_batch: bool
) -> str:
    """Return a digest of all that the exported graph depends on, its weights' values left out.

    Which weights are equal is a part of it: the exporter keeps one of them.
    """
    first: dict[bytes, str] = {}
    equal = [(name, w.dtype.str, w.shape, first.setdefault(_content(w), name)) for name, w in weights.items()]
    kinds = [(name, type(module).__module__, type(module).__qualname__) for name, module in model.named_modules()]
    return hashlib.sha256(repr((repr(model), kinds, equal, input_chw, dynamic_batch)).encode()).hexdigest()


def holds_them_as_they_are(proto: ModelProto, weights: dict[str, np.ndarray]) -> bool:
    """Return whether each larger constant is a weight, unchanged and under its name."""
    arrays = {constant.name: numpy_helper.to_array(constant) for constant in proto.graph.initializer}
    return all(
        np.array_equal(array, weights[name]) if name in weights else array.size <= _MOST_OTHER
        for name, array in arrays.items()
    )


def with_weights(proto: ModelProto, weights: dict[str, np.ndarray]) -> ModelProto:
    """Put these weights in the place of those in the graph."""
    for constant in proto.graph.initializer:
        if constant.name in weights:
            constant.raw_data = numpy_helper.from_array(weights[constant.name]).raw_data
    return proto


@contextmanager
def shared_exports(folder: Path) -> Iterator[SharedExports]:
    """Export through this folder."""
    with pytest.MonkeyPatch.context() as patch:
        shared = SharedExports(REAL, folder)
        patch.setattr(exporter, "_export", shared)
        yield shared


@pytest.fixture(scope="session")
def exports_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for exported graphs that the workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exports"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def one_registry() -> Iterator[None]:
    """Let the exporter read its table of operators once, not for each network: a third of the time of an export."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(REGISTRY))
        yield


@pytest.fixture(scope="session", autouse=True)
def _shared_exports(exports_folder: Path) -> Iterator[None]:
    with shared_exports(exports_folder), one_registry():
        yield


@pytest.fixture
def real_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every export of this test be torch's own."""
    monkeypatch.setattr(exporter, "_export", REAL)


def _content(weight: np.ndarray) -> bytes:
    return hashlib.sha256(repr((weight.dtype.str, weight.shape)).encode() + weight.tobytes()).digest()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process in at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
