"""The accuracy of one model file on labelled images, and beside another file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.labelled import load_labelled_folder
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import UsageError
from compress.models.imagenet_labels import classes_of
from compress.runtime.evaluate import Evaluation, agreement_pct, evaluate
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor


@dataclass(frozen=True)
class Compared:
    """Answers of a model, and of the baseline on the same images where there is one."""

    model: Predictor
    found: Evaluation
    baseline: Predictor | None
    before: Evaluation | None


def evaluate_file(
    file: Path,
    baseline: Path | None,
    data: Path,
    *,
    threads: int,
    device: str,
    preprocess: Preprocess | None,
    labels: tuple[str, ...] | None = None,
    split: Split | None = None,
    reporter: Reporter,
) -> Compared:
    """Return the accuracy of a file, and of a baseline on the same images: those of `split`, else those in `data`.

    Raises:
        DataError: the images cannot be used, or have labels the model does not know.
        ModelFileError: a file cannot be opened.
        UsageError: the two files have another number of classes.
    """

    def opened(path: Path) -> Predictor:
        return open_predictor(path, threads=threads, device=device, preprocess=preprocess, labels=labels)

    def measured(predictor: Predictor, split: Split) -> Evaluation:
        pixels_NHWC = evaluation_pixels(split, predictor.spec.preprocess, reporter)
        return evaluate(predictor, pixels_NHWC, split.labels_N, reporter)

    model = opened(file)
    other = opened(baseline) if baseline else None
    if other is not None and other.spec.num_classes != model.spec.num_classes:
        raise UsageError(
            f"the baseline {baseline}: knows {other.spec.num_classes} classes, {file} knows {model.spec.num_classes}",
            hint="compare models of the same classes",
        )
    if split is None:
        classes, named = classes_of(model.spec)
        split = load_labelled_folder(data, classes, named=named, reporter=reporter)
    return Compared(model, measured(model, split), other, measured(other, split) if other else None)


def as_json_data(found: Compared) -> dict[str, Any]:
    """Return the measurements as JSON data."""
    low, high = found.found.top1_ci95_pct
    data: dict[str, Any] = {
        "n_images": found.found.n_images,
        "top1_pct": found.found.top1_pct,
        "top1_ci95_pct": [low, high],
        "top5_pct": found.found.top5_pct,
    }
    if found.baseline is not None and found.before is not None:
        data |= {
            "baseline_top1_pct": found.before.top1_pct,
            "top1_drop_pp": found.before.top1_pct - found.found.top1_pct,
            "agreement_pct": agreement_pct(found.before.logits_NK, found.found.logits_NK),
        }
    return data


def texts(found: Compared) -> list[str]:
    """Return the measurements as lines for people."""
    data = as_json_data(found)
    low, high = data["top1_ci95_pct"]
    lines = [
        f"{found.model.path} with {found.model.runtime}: {data['n_images']} images",
        f"top-1 {data['top1_pct']:.2f} % (95 % interval {low:.2f} to {high:.2f}), top-5 {data['top5_pct']:.2f} %",
    ]
    if found.baseline is not None:
        lines.append(
            f"baseline {found.baseline.path}: top-1 {data['baseline_top1_pct']:.2f} %, "
            f"drop {data['top1_drop_pp']:.2f} pp, same answer on {data['agreement_pct']:.2f} %"
        )
    return lines
