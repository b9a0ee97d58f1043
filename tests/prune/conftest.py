"""Networks with lively batch-norm statistics, so that importance and folding have something to see."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from compress.core.artifact import Artifact, StageOutput
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.models.build import build_model, new_spec
from compress.models.weights import save_model

LABELS = ("blue", "green", "red")


@cache
def _lively(arch: str, input_px: int) -> tuple[nn.Module, ModelSpec]:
    spec = new_spec(arch, LABELS, input_px)
    model = build_model(spec)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0.0, 0.3, generator=generator)
        model.train()(torch.randn(8, *spec.input_chw, generator=generator))
    return model.eval(), spec


@pytest.fixture(scope="session")
def lively() -> Callable[[str, int], tuple[nn.Module, ModelSpec]]:
    """Return a function (arch, input_px) -> network, spec; nobody may change the network."""
    return _lively


class Listening(SilentReporter):
    """Remembers the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")


def _sealed(stage_id: str, path: Path, spec: ModelSpec) -> Artifact:
    facts = {"sha256": sha256_file(path), "size_bytes": path.stat().st_size, "spec": spec, "metrics": {}}
    return Artifact(stage_id=stage_id, kind=stage_id, format=Format.TORCH, path=path, **facts)


@pytest.fixture
def sealed() -> Callable[[str, Path, StageOutput], Artifact]:
    """Return a function (stage id, file, what the stage claimed) -> artifact."""
    return lambda stage_id, path, output: _sealed(stage_id, path, output.spec)


@pytest.fixture
def trained(tmp_path: Path, lively: Callable[[str, int], tuple[nn.Module, ModelSpec]]) -> dict[str, Artifact]:
    """Return the inputs of a prune stage: a tiny network for the images of `photos`."""
    model, spec = lively("tiny", 48)
    path = tmp_path / "in.safetensors"
    return {"from": _sealed("train", path, save_model(path, model, spec))}


@pytest.fixture
def context(tmp_path: Path, photos: Path) -> Callable[..., RunContext]:
    """Return a function (name of the folder) -> context whose reporter remembers its lines."""

    def make(name: str = "out") -> RunContext:
        (tmp_path / name).mkdir(exist_ok=True)
        return RunContext(tmp_path / name, seed=0, data=FolderData(path=photos), reporter=Listening())

    return make
