"""A run's folder with all that a report can tell: images, answers, curves, both kinds of sensitivity, gates."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
from PIL import Image

from compress.benchmark.schema import Answers, Bench
from compress.core.formats import Format, Precision
from compress.engine.scalars import start_scalars

LABELS = ("dress", "hat", "<script>alert(1)</script>", "shirt & tie")
GATES = [
    {"metric": "top1_drop_pp", "at": "export", "limit": 1.5, "value": 1.0, "passed": True},
    {"metric": "size_bytes", "at": "export", "limit": 500_000, "value": 1_200_000, "passed": False},
]
EPOCHS = [
    {"epoch": epoch, "train_loss": 1.7 / epoch, "val_top1_pct": 70.0 + 3 * epoch, "lr": 5e-4 / epoch}
    for epoch in range(1, 6)
]
ROUNDED = {
    "images": 64,
    "judged_on": "validation images",
    "float_top1_pct": 90.625,
    "layers": [
        {"layer": f"features.{index}.conv", "kl": 0.031 / (index + 1), "top1_pct": 90.625 - 3.125 * (index < 3)}
        for index in range(20)
    ],
}
CUT = {
    "images": 256,
    "judged_on": "train",
    "whole": {"top1_pct": 96.0, "loss": 0.2},
    "groups": [
        {
            "group": f"features.{index}.expand",
            "points": [
                {"width": 8 * eighth, "keep": eighth / 8, "top1_pct": 96.0 - index * (8 - eighth) / 3, "loss": 0.3}
                for eighth in (7, 6, 4, 2)
            ],
        }
        for index in range(5)
    ],
}

SPEED = {
    "sweep": [
        {
            "threads": 2,
            "batch": batch,
            "latency_p50_ms": 1.5 * batch,
            "latency_p50_ci95_ms": None,
            "throughput_ips": 660,
        }
        for batch in (1, 8)
    ],
    "concurrent": [{"callers": 4, "throughput_ips": 711.0, "latency_p50_ms": 5.611, "latency_p99_ms": 7.733}],
    "ops": [
        {"name": f"conv_{index}", "op": "CONV_2D", "ms": 0.3 - 0.01 * index, "share_pct": 7.7, "delegated": index > 0}
        for index in range(13)
    ],
}


def rich_run(make_run: Callable, images):
    """Return the run; `images` is a folder for its images."""
    run = make_run(benchmarked=False)
    run.add("prune", Format.TORCH, Precision.FP32)
    run.add("export", Format.TFLITE, Precision.INT8)
    changes = {
        "train": {"latency_p50_ms": 9.37},
        "quantize": {"top1_pct": 92.5, "top1_drop_pp": 0.5, "latency_p50_ms": 3.25, "agreement_pct": 98.75},
        "prune": {"top1_pct": 91.25, "top1_drop_pp": 1.75, "latency_p50_ms": 5.5, "macs": 31_000_000},
        "export": {"top1_pct": 92.0, "top1_drop_pp": 1.0, "latency_p50_ms": 2.125, "mcnemar_p": 0.0313, **SPEED},
    }
    bench = run.bench("train", [run.row(name, n_images=12, **facts) for name, facts in changes.items()])
    (bench.parent / "answers.json").write_text(answers(images).model_dump_json())
    for name, found in (("02-quantize", ROUNDED), ("03-prune", CUT)):
        (run.path / name).mkdir()
        (run.path / name / "sensitivity.json").write_text(json.dumps(found))
    start_scalars(run.path / "01-train" / "tensorboard", EPOCHS)
    (run.path / "recipe.yaml").write_text("imgc: 1\nseed: 7\nstages:\n  - {kind: train, note: <b>&}\n")
    run.gates(GATES)
    return run


def answers(folder) -> Answers:
    """Return twelve images, three a class; the last has no file any more."""
    paths = [folder / LABELS[index // 3].split(">")[0].strip("<") / f"{index}.jpg" for index in range(12)]
    for index, path in enumerate(paths[:-1]):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((300, 200, 3), 20 * index, np.uint8)).save(path)
    truth = tuple(index // 3 for index in range(12))
    exported = (0, 1, 0, 1, 1, 2, 2, 3, 2, 3, 0, 0)
    top1 = {
        "train": (0, 0, 0, 1, 1, 1, 2, 2, 0, 3, 3, 0),
        "quantize": exported,
        "prune": (0, 0, 0, 1, 1, 1, 2, 2, 0, 3, 1, 0),
        "export": exported,
    }
    sure = {name: tuple(round(0.9 - 0.01 * index, 4) for index in range(12)) for name in top1}
    right = {
        "train": (0.9,) * 12,
        "quantize": tuple(round(0.05 * index, 4) for index in range(12)),
        "prune": (0.5,) * 12,
        "export": tuple(round(0.05 * index, 4) for index in range(12)),
    }
    return Answers(
        labels=LABELS,
        paths=tuple(str(path) for path in paths),
        truth=truth,
        top1=top1,
        confidence=sure,
        truth_confidence=right,
    )


def elsewhere(run) -> Bench:
    """Return the same models measured on another machine."""
    return Bench(
        host={"cpu": "Cortex-A72", "cores": 4}, baseline="train", rows=(run.row("train", latency_p50_ms=31.5),)
    )
