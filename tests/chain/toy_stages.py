"""Stages that make small files in milliseconds: every recipe shape without a backend."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from compress.benchmark.config import BenchmarkConfig
from compress.core.artifact import StageOutput
from compress.core.formats import SUFFIX, Format
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import StageConfig
from compress.errors import ModelFileError
from compress.recipe.schema import Recipe

CALLS: list[str] = []  # ids of the stages that were executed, for tests to read and clear
EPOCHS: list[int] = []  # the epochs that were computed, likewise
SPEC = ModelSpec(
    arch="toy",
    labels=("a", "b"),
    input_chw=(3, 32, 32),
    preprocess=Preprocess(resize_px=32, crop_px=32),
    params=100,
    macs=1000,
)
_ANY = frozenset({Format.TORCH, Format.ONNX})


class ToyStage(StageConfig):
    entry_point: ClassVar[str] = "toy_stages:run"
    uses_data: ClassVar[bool] = False
    makes: ClassVar[Format] = Format.TORCH

    seed_text: str = ""
    fault: str = ""  # what goes wrong, see `_break`
    epochs: int = 1

    @property
    def produces(self) -> Format:
        return self.makes


class ToyTrain(ToyStage):
    kind: Literal["train"] = "train"
    weights: str = "none"

    def files(self) -> dict[str, Path]:
        return {} if self.weights == "none" else {"weights": Path(self.weights)}


class ToyPrune(ToyStage):
    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    kind: Literal["prune"] = "prune"
    keep: Annotated[float, Field(gt=0, le=1)] = 0.7


class ToyDistill(ToyStage):
    consumes: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    kind: Literal["distill"] = "distill"
    teacher: str | None = None

    def references(self) -> dict[str, str | None]:
        return {**super().references(), "teacher": self.teacher}

    def newest_kind(self, role: str) -> str | None:
        return "train" if role == "teacher" else None


class ToyQuantize(ToyStage):
    consumes: ClassVar[frozenset[Format]] = _ANY
    makes: ClassVar[Format] = Format.ONNX
    kind: Literal["quantize"] = "quantize"


class ToyExport(ToyStage):
    consumes: ClassVar[frozenset[Format]] = _ANY
    kind: Literal["export"] = "export"
    format: Literal["onnx", "tflite", "all"] = "onnx"

    def expand(self) -> tuple[ToyExport, ...]:
        formats = ("onnx", "tflite") if self.format == "all" else ()
        return tuple(self.changed(id=f"{self.id}-{one}", format=one) for one in formats) or (self,)

    @property
    def produces(self) -> Format:
        return Format(self.format)


class ToyBenchmark(BenchmarkConfig):
    entry_point: ClassVar[str] = "toy_stages:bench"
    uses_data: ClassVar[bool] = False
    backends: ClassVar[tuple[str, ...]] = ()


class ToyLook(ToyStage):
    """Reads images."""

    uses_data: ClassVar[bool] = True
    kind: Literal["look"] = "look"


ToyUnion = Annotated[
    ToyTrain | ToyPrune | ToyDistill | ToyQuantize | ToyExport | ToyBenchmark | ToyLook, Field(discriminator="kind")
]


class ToyRecipe(Recipe):
    stages: tuple[ToyUnion, ...]


def after_epoch(epoch):
    """Do nothing; a test that kills the process puts something in place of this."""


def run(config, inputs, ctx):
    """Write a file whose content is a hash over options and inputs, one link of the chain for each epoch."""
    CALLS.append(config.id)
    assert all(artifact.path.is_absolute() and artifact.path.is_file() for artifact in inputs.values())
    state = {"epoch": 0, "digest": json.dumps({role: artifact.sha256 for role, artifact in sorted(inputs.items())})}
    checkpoint = ctx.stage_dir / "checkpoint.json"
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
    while state["epoch"] < config.epochs:
        EPOCHS.append(state["epoch"])
        options = config.model_dump_json(exclude={"id", "from_", "fault", "teacher"})
        text = f"{state['digest']}{options}{ctx.seed}{state['epoch']}"
        state = {"epoch": state["epoch"] + 1, "digest": hashlib.sha256(text.encode()).hexdigest()}
        partial = checkpoint.with_suffix(".tmp")
        partial.write_text(json.dumps(state))
        partial.replace(checkpoint)
        after_epoch(state["epoch"])
    name = f"model{SUFFIX[config.produces]}"
    (ctx.stage_dir / name).write_text(state["digest"])
    metrics = {"top1_pct": 90.0}
    if config.fault:
        name, metrics = _break(config.fault, ctx.stage_dir, name, metrics)
    checkpoint.unlink()
    return StageOutput(file_name=name, format=config.produces, spec=SPEC, metrics=metrics)


def bench(config, inputs, ctx):
    """Write a benchmark with one row for each model; each later model is one point worse."""
    CALLS.append(config.id)
    rows = [
        {"stage": role.removeprefix("model:"), "top1_pct": 90.0 - place, "top1_drop_pp": float(place), "params": 7}
        for place, role in enumerate(inputs)
    ]
    (ctx.stage_dir / "bench.json").write_text(json.dumps({"rows": rows}))
    return StageOutput(file_name="bench.json", format=Format.BENCH, spec=None)


def _break(fault, stage_dir, name, metrics):
    path = stage_dir / name
    raised = {
        "bug": ZeroDivisionError("by nought"),
        "own error": ModelFileError("layer7 is missing", hint="train again"),
        "full disk": OSError(errno.ENOSPC, "No space left on device", str(path)),
        "full disk, native": RuntimeError("I/O error: No space left on device (os error 28)"),
        "read-only": OSError(errno.EROFS, "Read-only file system", str(path)),
        "missing module": ModuleNotFoundError("No module named 'onnx2tf'", name="onnx2tf"),
        "interrupt": KeyboardInterrupt(),
    }
    if fault in raised:
        raise raised[fault]
    if fault == "nan":
        return name, {"top1_pct": float("nan")}
    if fault == "escape":
        (stage_dir.parent / "outside.safetensors").write_text("x")
        return "../outside.safetensors", metrics
    if fault == "other format":
        return path.rename(path.with_suffix(".onnx")).name, metrics
    if fault == "empty":
        path.write_text("")
    if fault == "no file":
        path.unlink()
    return name, metrics
