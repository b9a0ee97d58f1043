"""What `imgc init` does where images have boxes: which detector, and how many boxes of each class there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from compress.cli.output import echo, print_table
from compress.errors import UsageError

if TYPE_CHECKING:
    from compress.data.dataset import Dataset


def detectors_on(weights: Path) -> list[str]:
    """Return the detectors that can start from a weights file: of their backbone alone, or of a whole detector."""
    from compress.models.arch_tensors import fitting_archs
    from compress.models.detector_weights import fitting_detectors
    from compress.models.detectors import DETECTORS

    known = fitting_archs(weights)
    return [name for name, info in DETECTORS.items() if info.backbone in known] or fitting_detectors(weights)


def has_published(arch: str) -> bool:
    """Return whether somebody publishes ImageNet weights of a detector's very backbone."""
    from compress.models.detectors import DETECTORS

    return DETECTORS[arch].has_published


def detector_for(weights: str, arch: str | None) -> str:
    """Return the detector to train: the one asked for, else the one whose backbone the weights' file fits.

    Raises:
        UsageError: no such detector, no such file, or weights of another backbone.
    """
    from compress.models.arch_names import DETECTOR_NAMES, FRESH, PUBLISHED_OR_FRESH, WEIGHT_SUFFIXES
    from compress.models.arch_tensors import fitting_archs
    from compress.models.detectors import DETECTORS

    if arch is not None and arch not in DETECTOR_NAMES:
        raise UsageError(
            f"--arch {arch}: names images, and these have boxes", hint=f"a detector: {', '.join(DETECTOR_NAMES)}"
        )
    if weights in PUBLISHED_OR_FRESH:
        chosen = arch or DETECTOR_NAMES[0]
        if weights != FRESH and not has_published(chosen):
            raise UsageError(
                f"--arch {chosen}: nobody publishes ImageNet weights of its backbone", hint="--weights FILE, or none"
            )
        return chosen
    if not weights.lower().endswith(WEIGHT_SUFFIXES) or not Path(weights).is_file():
        raise UsageError(f"--weights {weights}: no such weights file ({', '.join(WEIGHT_SUFFIXES)})")
    known, fitting = fitting_archs(Path(weights)), detectors_on(Path(weights))
    if arch is None and fitting:
        echo(
            f"{weights}: weights of {known[0] if known else 'a detector'}, so {fitting[0]} is the architecture",
            err=True,
        )
        return fitting[0]
    if arch not in fitting:
        backbones = sorted({info.backbone for info in DETECTORS.values() if info.backbone})
        raise UsageError(
            f"--weights {weights}: not the tensors of a backbone of {arch or 'a detector'}",
            hint=f"--arch {' or '.join(fitting)} fits"
            if fitting
            else f"give weights of {', '.join(backbones)}, or of a whole detector",
        )
    return arch


def print_boxes(images: Path, dataset: Dataset) -> None:
    """Print how many images and boxes of each class each split has."""
    splits = {name: split for name, split in dataset.splits.items() if len(split)}
    counts = {
        name: Counter(int(index) for boxes in split.boxes_N for index in boxes.classes_B)
        for name, split in splits.items()
    }
    rows = [(label, *(str(counts[name][index]) for name in splits)) for index, label in enumerate(dataset.labels)]
    rows.append(("images", *(str(len(split)) for split in splits.values())))
    print_table(f"{images}: {len(dataset.labels)} classes", ("class", *splits), rows)
