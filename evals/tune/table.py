"""README's search table: `python -m evals.tune.table README.md IMAGES WEIGHTS RUNS FOUND`.

A grid of ten settings, each carried out whole in RUNS, beside what `imgc tune` found in a limited time: FOUND holds its
`tune.json`. It must have searched in another folder of runs, or it would find the grid's work done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.core.dataset import FolderData
from compress.core.json_types import JsonObject
from compress.core.stage import Reporter, SilentReporter
from compress.core.storage import write_text
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import ImgcError, UsageError
from compress.pipeline.runner import RunResult
from compress.report.table import host_text, markdown_table, size_text
from compress.runtime.evaluate import evaluate
from compress.runtime.host import host
from compress.runtime.open import open_predictor
from compress.tune.outcome import JSON_NAME
from compress.tune.schema import TuneReport
from compress.tune.space import Base, Knobs, recipe_of
from compress.tune.trial import TrialContext, carry_out, final_file
from evals.results_table import replace_block

BEGIN, END = "<!-- tune:begin -->", "<!-- tune:end -->"
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
_COLUMNS = ("model", "size", "validation top-1 %", "test top-1 %", "stages, s")


@dataclass(frozen=True)
class GridPoint:
    """One setting of the grid; top-1 of its int8 TFLite file, and the seconds of its stages."""

    name: str
    size_bytes: int
    val_pct: float
    test_pct: float
    seconds: float


def best_within(points: Sequence[GridPoint]) -> tuple[GridPoint, GridPoint]:
    """Return of the points of at most 1 MB the one that validation chooses, and the one of the greatest test top-1.

    Raises:
        UsageError: there is none.
    """
    within = [one for one in points if one.size_bytes <= LIMIT_BYTES]
    if not within:
        raise UsageError("no point of the grid is small enough")
    return max(within, key=lambda one: one.val_pct), max(within, key=lambda one: one.test_pct)


def as_markdown(points: Sequence[GridPoint], found: TuneReport) -> str:
    """Return what README shows."""
    assert found.test is not None
    chosen, best = best_within(points)
    rows: list[tuple[str, ...]] = [
        (one.name, size_text(one.size_bytes), f"{one.val_pct:.2f}", f"{one.test_pct:.2f}", f"{one.seconds:.0f}")
        for one in sorted(points, key=lambda one: -one.val_pct)
    ]
    mine = next(one for one in found.tried if one.point.name == found.chosen)
    label = f"**imgc tune**: {mine.knobs.arch} {mine.knobs.input_px} px, {100 * mine.share:.0f} %"
    numbers = f"{mine.point.top1_pct:.2f}", f"{found.test.top1_pct:.2f}", f"{found.spent_s:.0f}"
    rows.append((label, size_text(mine.point.size_bytes), *numbers))
    seconds = sum(one.seconds for one in points)
    text = (
        f"At most 1 MB of int8 TFLite for the clothing images; n = {mine.point.n_images} validation and "
        f"{found.test.n_images} test images. The search spent {found.spent_s:.0f} s ({len(found.tried)} settings to "
        f"the end, {len(found.given_up)} given up), the stages of the grid took {seconds:.0f} s. On the test images "
        f"the search's model is {found.test.top1_pct - chosen.test_pct:+.2f} pp from the grid's that validation "
        f"chooses ({chosen.name}), {found.test.top1_pct - best.test_pct:+.2f} pp from the one of the greatest test "
        f"top-1 ({best.name}). Machine: {host_text(host())}."
    )
    head = "_Written by `make results-tune`; no number is typed by hand._"
    return "\n\n".join((BEGIN, head, text, markdown_table(_COLUMNS, rows, 1), END))


def run_grid(photos: Path, weights: Path, runs_dir: Path, reporter: Reporter) -> list[GridPoint]:
    """Carry out the grid, reusing what is sealed, and judge every file on both splits."""
    paths = {arch: str((weights / name).resolve()) for arch, name in _WEIGHTS.items()}
    data: JsonObject = {"kind": "folder", "path": str(photos.resolve())}
    base = Base(data=data, weights=paths, runtime="tflite", target=None, seed=0, epochs=_EPOCHS, steps=0)
    context = TrialContext(runs_dir, "grid", "cpu", None, reporter)
    found = []
    for arch, input_px, share in _GRID:
        name = f"grid-{arch}-{input_px}-{100 * share:.0f}"
        result = carry_out(recipe_of(Knobs(arch=arch, input_px=input_px), base, name, share, "test"), context, None)
        found.append(_judged(name.removeprefix("grid-"), result, photos))
    return found


def _judged(name: str, result: RunResult, photos: Path) -> GridPoint:
    file = final_file(result)
    dataset = load_dataset(FolderData(path=photos), seed=0, reporter=SilentReporter())
    predictor = open_predictor(file, threads=2)
    top1 = {}
    for split in ("val", "test"):
        images = dataset.splits[split]
        pixels_NHWC = evaluation_pixels(images, predictor.spec.preprocess, SilentReporter())
        top1[split] = evaluate(predictor, pixels_NHWC, images.labels_N, SilentReporter()).top1_pct
    seconds = sum(stage.seconds for stage in result.lock.stages if stage.kind != "benchmark")
    return GridPoint(name, file.stat().st_size, top1["val"], top1["test"], seconds)


def main(readme: Path, photos: Path, weights: Path, runs_dir: Path, folder: Path) -> None:
    """Carry out the grid, read the search, write README's block; print it too."""
    text = readme.read_text(encoding="utf-8")
    found = TuneReport.model_validate_json((folder / JSON_NAME).read_bytes())
    if found.test is None:
        raise UsageError(f"{folder}: the search chose nothing", hint="make results-tune")
    block = as_markdown(run_grid(photos, weights, runs_dir, SilentReporter()), found)
    sys.stdout.write(block + "\n")
    write_text(readme, replace_block(text, block, BEGIN, END))


if __name__ == "__main__":
    try:
        _readme, _photos, _weights, _runs_dir, _folder = (Path(text) for text in sys.argv[1:])
        main(_readme, _photos, _weights, _runs_dir, _folder)
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
