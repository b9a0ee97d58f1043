"""A chain as the pipeline leaves it, with the figures that a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.benchmark.schema import Bench, Row
from compress.core.artifact import Artifact
from compress.core.digest import sha256_bytes
from compress.core.formats import Format
from compress.pipeline.lock import LockedStage, RunLock
from compress.pipeline.runner import RunOutcome
from compress.tune.task import FINAL, FLOAT


def row(stage: str, **figures: Any) -> Row:
    known: dict[str, Any] = {
        **{"stage": stage, "format": Format.ONNX, "precision": None, "path": f"{stage}.onnx", "sha256": "0" * 64},
        **{"size_bytes": 5000, "params": 1000, "macs": 2_000_000, "n_images": 200, "top1_pct": 90.0},
        **{"top1_ci95_pct": (85.0, 94.0), "top1_drop_pp": 0.0, "latency_p50_ms": 3.0},
    }
    return Row(**(known | figures))


def box_row(stage: str, **figures: Any) -> Row:
    """Return the row of a detector: 60 % of mAP, give or take 9.8 points."""
    known = {"task": "detect", "map_pct": 60.0, "map_ci95_pct": (50.2, 69.8), "map_drop_pp": 0.0}
    return row(stage, **({"top1_pct": None, "top1_ci95_pct": None, "top1_drop_pp": None} | known | figures))


def finished(run_dir: Path, final: Row, reference: Row | None = None) -> RunOutcome:
    """Return a run of three stages; the last has measured the float network and the final file."""
    lock = RunLock(name=run_dir.name)
    files = ((FLOAT, "train", "model.onnx"), (FINAL, "export", "model.onnx"), ("benchmark", "benchmark", "bench.json"))
    bench = Bench(host={}, baseline=FLOAT, rows=(reference or row(FLOAT, top1_pct=91.0), final))
    for index, (stage_id, kind, file_name) in enumerate(files, 1):
        path = Path(f"{index:02d}-{stage_id}") / file_name
        content = bench.model_dump_json().encode() if kind == "benchmark" else b"x" * 5000
        (run_dir / path).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / path).write_bytes(content)
        artifact = Artifact(
            **{"stage_id": stage_id, "kind": kind, "path": path, "size_bytes": 5000, "sha256": sha256_bytes(content)},
            format=Format.BENCH if kind == "benchmark" else Format.ONNX,
            spec=None,
            metrics={},
        )
        stage = LockedStage(
            **{"id": stage_id, "kind": kind, "index": index, "key": "0" * 64, "key_parts": {}, "inputs": {}},
            artifact=artifact,
            seconds=10.0 * index,
            reused=False,
        )
        lock = lock.with_stage(stage)
    return RunOutcome(run_dir, lock, [], ())
