"""Exports of networks, one for each structure: torch's exporter takes seconds and does not care for the weights.

A network is exported for real when its structure comes up for the first time; the next one gets that graph with its own
weights in it, byte for byte what the exporter would have written (`tests/test_exports.py`). The workers of a session
share them, and so do the sessions of a user, as long as neither what exports nor its libraries change.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from compress.core.storage import write_bytes
from compress.graph import from_torch as exporter

REAL = exporter._export
REGISTRY = functools.cache(ONNXRegistry.from_torchlib)
_LIBRARIES = ("torch", "torchvision", "timm", "onnx", "onnxscript", "onnx-ir")
_GRAPHS = Path(__file__).with_name("graphs.py")  # `float_network`
_UNUSED_S = 7 * 24 * 3600
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
                write_bytes(path, proto.SerializeToString() if holds_them_as_they_are(proto, weights) else b"")
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
def exports_folder() -> Path:
    """Return the folder of exported graphs; that of other sources or libraries is removed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgc-tests"
    folder = cache / f"exports-{what_exports()}"
    folder.mkdir(parents=True, exist_ok=True)
    for other in cache.glob("exports-*"):
        if other != folder and time.time() - other.stat().st_mtime > _UNUSED_S:
            shutil.rmtree(other, ignore_errors=True)
    os.utime(folder)
    return folder


def what_exports() -> str:
    """Return a digest of all that a graph depends on beside its network: the sources that export, their libraries."""
    sources = [Path(str(source)).read_bytes() for source in (exporter.__file__, __file__, _GRAPHS)]
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    return hashlib.sha256(repr((sources, libraries)).encode()).hexdigest()[:16]


@contextmanager
def one_registry() -> Iterator[None]:
    """Let the exporter read its table of operators once, not for each network."""
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
