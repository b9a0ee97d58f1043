"""The search table: `python -m evals.tune.table IMAGES WEIGHTS RUNS FOUND` writes docs/results/tune.

A grid of ten settings, each carried out whole in RUNS, beside what `imgc tune` found in a limited time: FOUND holds its
`tune.json`. It must have searched in another folder of runs, or it would find the grid's work done. Validation chooses,
in the grid as in the search; the test images are asked once, by the two models that it chose.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compress.core.dataset import FolderData
from compress.core.json_types import JsonObject
from compress.core.stage import Reporter, SilentReporter
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import ImgcError, UsageError
from compress.pipeline.runner import RunOutcome
from compress.runtime.evaluate import evaluate
from compress.runtime.open import open_predictor
from compress.tune.outcome import JSON_NAME
from compress.tune.schema import TuneReport
from compress.tune.space import Base, Knobs, recipe_of
from compress.tune.trial import TrialContext, carry_out, final_file
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.tune import SEARCH

LIMIT_BYTES = 1_000_000
_WEIGHTS = {
    "tf_mobilenetv3_small_100": "tf_mobilenetv3_small_100.timm.imagenet.safetensors",
    "squeezenet1_1": "squeezenet1_1.torchvision.imagenet.safetensors",
    "mobilenetv2_100_same": "mobilenetv2_100-samepad.timm.imagenet.safetensors",
}
_GRID = (  # architecture, side of the image, share of the parameters
    ("squeezenet1_1", 96, 1.0),
    ("squeezenet1_1", 128, 1.0),
    ("squeezenet1_1", 160, 1.0),
    ("tf_mobilenetv3_small_100", 128, 0.3),
    ("tf_mobilenetv3_small_100", 128, 0.5),
    ("tf_mobilenetv3_small_100", 160, 0.3),
    ("tf_mobilenetv3_small_100", 160, 0.5),
    ("tf_mobilenetv3_small_100", 192, 0.5),
    ("mobilenetv2_100_same", 96, 0.25),
    ("mobilenetv2_100_same", 96, 0.4),
)
_EPOCHS = 6
COLUMNS = (
    Column(key="model", title="model", kind="text"),
    Column(key="size_bytes", title="size", kind="bytes"),
    Column(key="fits", title="within 1 MB"),
    Column(key="val_pct", title="validation top-1 %", digits=2),
    Column(key="test_pct", title="test top-1 %", digits=2),
    Column(key="seconds", title="stages, s"),
)


@dataclass(frozen=True)
class GridPoint:
    """One setting of the grid, and what became of it.

    Attributes:
        name: architecture, side of the image, share of the parameters in percent.
        path: of its int8 TFLite file.
        size_bytes: of that file.
        val_pct: its top-1 on the validation images.
        seconds: of its stages.
        test_pct: its top-1 on the test images; None unless validation chose it.
    """

    name: str
    path: Path
    size_bytes: int
    val_pct: float
    seconds: float
    test_pct: float | None = None


def chosen_of(points: Sequence[GridPoint]) -> GridPoint:
    """Return of the points of at most 1 MB the one that validation chooses.

    Raises:
        UsageError: there is none.
    """
    within = [one for one in points if one.size_bytes <= LIMIT_BYTES]
    if not within:
        raise UsageError("no point of the grid is small enough")
    return max(within, key=lambda one: one.val_pct)


def tune_block(points: Sequence[GridPoint], found: TuneReport, measured: Measured) -> Block:
    """Return the table: the grid, best on validation first, and the search's model."""
    assert found.test is not None
    rows: list[dict[str, Cell]] = [
        {
            "model": one.name,
            **_size(one.size_bytes),
            "val_pct": one.val_pct,
            "test_pct": one.test_pct,
            "seconds": one.seconds,
        }
        for one in sorted(points, key=lambda one: -one.val_pct)
    ]
    mine = next(one for one in found.tried if one.point.name == found.chosen)
    rows.append(
        {
            "model": f"{SEARCH}: {mine.knobs.arch} {mine.knobs.input_px} px, {100 * mine.share:.0f} %",
            **_size(mine.point.size_bytes),
            "val_pct": mine.point.accuracy_pct,
            "test_pct": found.test.accuracy.pct,
            "seconds": found.spent_s,
        }
    )
    return Block(
        key="search",
        title="Search beside a grid",
        n={"validation images": mine.point.n_images, "test images": found.test.n_images},
        setting="at most 1 MB of int8 TFLite for the clothing images",
        measured=measured,
        columns=COLUMNS,
        rows=tuple(rows),
        facts={
            "grid_choice": chosen_of(points).name,
            "search_s": found.spent_s,
            "tried": len(found.tried),
            "given_up": len(found.given_up),
            "grid_s": sum(one.seconds for one in points),
        },
    )


def _size(size_bytes: int) -> dict[str, Cell]:
    return {"size_bytes": size_bytes, "fits": "yes" if size_bytes <= LIMIT_BYTES else "no"}


def run_grid(images: Path, weights: Path, runs_dir: Path, reporter: Reporter) -> list[GridPoint]:
    """Carry out the grid, reusing what is sealed; judge every file on validation, and on test the one it chooses."""
    paths = {arch: str((weights / name).resolve()) for arch, name in _WEIGHTS.items()}
    data: JsonObject = {"kind": "folder", "path": str(images.resolve())}
    base = Base(data=data, weights=paths, runtime="tflite", target=None, seed=0, epochs=_EPOCHS, steps=0)
    context = TrialContext(runs_dir, "grid", "cpu", None, reporter)
    found = []
    for arch, input_px, share in _GRID:
        name = f"grid-{arch}-{input_px}-{100 * share:.0f}"
        result = carry_out(recipe_of(Knobs(arch=arch, input_px=input_px), base, name, share, "val"), context, None)
        found.append(_judged(name.removeprefix("grid-"), result, images))
    chosen = chosen_of(found)
    tested = replace(chosen, test_pct=top1_pct(chosen.path, images, "test"))
    return [tested if one is chosen else one for one in found]


def top1_pct(file: Path, images: Path, split: str) -> float:
    """Return a file's top-1 on a split of the images."""
    dataset = load_dataset(FolderData(path=images), seed=0, reporter=SilentReporter())
    predictor = open_predictor(file, threads=2)
    asked = dataset.splits[split]
    pixels_NHWC = evaluation_pixels(asked, predictor.spec.preprocess, SilentReporter())
    return evaluate(predictor, pixels_NHWC, asked.labels_N, SilentReporter()).top1_pct


def _judged(name: str, result: RunOutcome, images: Path) -> GridPoint:
    file = final_file(result)
    seconds = sum(stage.seconds for stage in result.lock.stages if stage.kind != "benchmark")
    return GridPoint(name, file, file.stat().st_size, top1_pct(file, images, "val"), seconds)


def main(images: Path, weights: Path, runs_dir: Path, folder: Path) -> None:
    """Carry out the grid, read the search, write docs/results/tune."""
    measured = measured_now()
    found = TuneReport.model_validate_json((folder / JSON_NAME).read_bytes())
    if found.test is None:
        raise UsageError(f"{folder}: the search chose nothing", hint="make results-tune")
    publish("tune", (tune_block(run_grid(images, weights, runs_dir, SilentReporter()), found, measured),))


if __name__ == "__main__":
    try:
        main(*(Path(text) for text in sys.argv[1:]))
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
