"""Folders of runs as the pipeline and the benchmark leave them, made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from compress.benchmark.schema import Bench, Row
from compress.core.artifact import Artifact
from compress.core.formats import SUFFIX, Format, Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.pipeline.lock import LockedStage, RunLock, write_lock

HOST = {
    "cpu": "Some CPU",
    "arch": "x86_64",
    "flags": ["avx2"],
    "cores": 2,
    "os": "Linux 6.1",
    "python": "3.11.2",
    "versions": {"torch": "2.14.1", "onnxruntime": "1.32.0", "numpy": "2.4.0"},
}
STAGES = (("train", Format.TORCH, Precision.FP32), ("quantize", Format.ONNX, Precision.INT8))


def sha_of(name: str) -> str:
    return name.encode().hex().ljust(64, "0")[:64]


class RunFolder:
    """Builds one run; `bench` may be called several times, or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = RunLock(name=path.name)
        path.mkdir(parents=True)

    def add(self, stage_id: str, fmt: Format, precision: Precision | None, *, sha: str | None = None) -> None:
        spec = None
        if precision is not None:
            spec = ModelSpec(
                arch="tiny",
                labels=("a", "b"),
                input_chw=(3, 32, 32),
                preprocess=Preprocess(resize_px=32, crop_px=32),
                precision=precision,
                params=1_234_567,
                macs=56_000_000,
            )
        index = len(self.lock.stages) + 1
        suffix = SUFFIX[fmt]
        name = "bench.json" if fmt is Format.BENCH else f"model{suffix}"
        artifact = Artifact(
            stage_id=stage_id,
            kind=stage_id,
            format=fmt,
            path=Path(f"{index:02d}-{stage_id}") / name,
            sha256=sha or sha_of(stage_id),
            size_bytes=300_000 * index,
            spec=spec,
            metrics={"top1_pct": 12.5},
        )
        stage = LockedStage(
            id=stage_id,
            kind=stage_id,
            index=index,
            key="0" * 64,
            key_parts={},
            inputs={},
            artifact=artifact,
            seconds=1.0,
            reused=False,
        )
        self.lock = self.lock.with_stage(stage)
        write_lock(self.path, self.lock)

    def bench(self, baseline: str, rows: Sequence[Row], stage_id: str = "benchmark") -> Path:
        self.add(stage_id, Format.BENCH, None)
        path = self.path / self.lock.stages[-1].artifact.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(Bench(host=HOST, baseline=baseline, rows=tuple(rows)).model_dump_json())
        return path

    def row(self, stage_id: str, **changes: Any) -> Row:
        stage = self.lock.find(stage_id)
        known: dict[str, Any] = {
            "stage": stage_id,
            "format": stage.artifact.format if stage else Format.ONNX,
            "precision": stage.artifact.spec.precision if stage else None,
            "path": "stale/path.onnx",
            "sha256": sha_of(stage_id),
            "size_bytes": stage.artifact.size_bytes if stage else 10,
            "params": 1_234_567,
            "macs": 56_000_000,
            "n_images": 700,
            "top1_pct": 93.0,
            "top1_ci95_pct": (90.9, 94.7),
            "top5_pct": 99.5,
            "top1_drop_pp": 0.0,
            "agreement_pct": 100.0,
            "runtime": "onnxruntime 1.32.0",
            "threads": 1,
            "batch": 1,
            "latency_p50_ms": 1.234,
            "latency_p95_ms": 1.5,
            "throughput_ips": 801.2,
            "peak_rss_bytes": 100 << 20,
        }
        return Row.model_validate({**known, **changes})

    def gates(self, results: list[dict[str, Any]]) -> None:
        (self.path / "gates.json").write_text(json.dumps(results))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Return `make(name="demo", benchmarked=True) -> RunFolder` with a train and a quantize stage."""

    def make(name: str = "demo", *, benchmarked: bool = True) -> RunFolder:
        run = RunFolder(tmp_path / "runs" / name)
        for stage in STAGES:
            run.add(*stage)
        (run.path / "recipe.resolved.yaml").write_text(f"imgc: 1\nname: {name}\nseed: 7\nstages: []\n")
        (run.path / "environment.json").write_text(json.dumps({"schema_version": 1, **HOST, "cpu": "Runner CPU"}))
        if benchmarked:
            run.bench("train", [run.row("train"), run.row("quantize", top1_pct=92.0, top1_drop_pp=1.0)])
        return run

    return make
