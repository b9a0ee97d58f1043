"""A detector's run folder: rows with mAP, boxes of three models on four images, curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from compress.benchmark.box_answers import BoxAnswers, ImageBoxes
from compress.core.formats import Format, Precision
from tests.run_folders import RunFolder

LABELS = ("nut", "<script>alert(1)</script>", "bolt & screw")
NUT, SCREW, ELSEWHERE = (30.0, 40.0, 90.0, 100.0), (150.0, 60.0, 250.0, 90.0), (5.0, 5.0, 25.0, 25.0)
WORTH = {  # mAP, AP50, and by class
    "train": (61.5, 88.25, {LABELS[0]: 70.5, LABELS[2]: 52.5}, {LABELS[0]: 91.5, LABELS[2]: 85.0}),
    "quantize": (58.0, 86.0, {LABELS[0]: 71.25, LABELS[2]: 44.75}, {LABELS[0]: 92.25, LABELS[2]: 79.75}),
    "export": (57.75, 85.5, {LABELS[0]: 71.0, LABELS[2]: 44.5}, {LABELS[0]: 92.0, LABELS[2]: 79.0}),
}


def image_of(*found: tuple[tuple[float, float, float, float], int, float]) -> ImageBoxes:
    """Return boxes of (corners, class, score)."""
    return ImageBoxes(
        corners=tuple(one[0] for one in found),
        classes=tuple(one[1] for one in found),
        scores=tuple(one[2] for one in found),
    )


def box_answers(folder: Path) -> BoxAnswers:
    """Return four images of 300 x 200 pixels, each with a nut and a screw; the last has no file any more.

    The smaller models lose the screw of the second image, find one more box in the third, and two others in the fourth.
    """
    paths = [folder / f"{index}.png" for index in range(4)]
    folder.mkdir(parents=True, exist_ok=True)
    for index, path in enumerate(paths[:-1]):
        Image.fromarray(np.full((200, 300, 3), 60 * index, np.uint8)).save(path)
    both = image_of((NUT, 0, 0.9), (SCREW, 2, 0.8))
    moved = image_of(((32.0, 42.0, 92.0, 102.0), 0, 0.85), (SCREW, 2, 0.75))
    smaller = (
        moved,
        image_of((NUT, 0, 0.9)),
        image_of((NUT, 0, 0.9), (SCREW, 2, 0.8), (ELSEWHERE, 1, 0.35)),
        image_of((NUT, 1, 0.6), (SCREW, 0, 0.5)),
    )
    curves = {
        name: {
            label: tuple(worth / 100 * (1 - place / 100) for place in range(101)) for label, worth in by_class.items()
        }
        for name, (_, _, _, by_class) in WORTH.items()
    }
    return BoxAnswers(
        labels=LABELS,
        paths=tuple(map(str, paths)),
        truth=(image_of((NUT, 0, 1.0), (SCREW, 2, 1.0)),) * 4,
        found={"train": (both,) * 4, "quantize": smaller, "export": smaller},
        precision=curves,
    )


def box_run(make_run: Callable[..., RunFolder], images: Path, name: str = "demo") -> RunFolder:
    """Return the run; `images` is a folder for its images."""
    run = make_run(name, benchmarked=False)
    run.add("export", Format.TFLITE, Precision.INT8)
    blank = dict.fromkeys(("top1_pct", "top1_ci95_pct", "top5_pct", "top1_drop_pp"))
    rows = [
        run.row(
            stage,
            **blank,
            task="detect",
            n_images=4,
            map_pct=worth,
            map_ci95_pct=(worth - 2.5, worth + 2.25),
            map50_pct=worth50,
            map_drop_pp=WORTH["train"][0] - worth,
            map_drop_ci95_pp=(-0.5, 4.5),
            class_map_pct=by_class,
            class_map50_pct=by_class50,
            agreement_pct=100.0 if stage == "train" else 62.5,
            score_threshold=0.3,
            postprocess_p50_ms=0.375,
            latency_p50_ms={"train": 9.5, "quantize": 3.25, "export": 2.125}[stage],
        )
        for stage, (worth, worth50, by_class, by_class50) in WORTH.items()
    ]
    bench = run.bench("train", rows)
    (bench.parent / "answers.json").write_text(box_answers(images).model_dump_json())
    return run
