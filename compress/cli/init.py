"""`imgc init`: look at a folder of images and write a recipe for it that a newcomer can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.init_boxes import detector_for, print_boxes
from compress.cli.knobs import checked, given_knobs
from compress.cli.options import reporter_of
from compress.cli.output import echo
from compress.cli.recipe_draft import RecipeDraft, data_block, recipe_text, slug

if TYPE_CHECKING:
    from compress.core.dataset import BoxesData, CsvData, FolderData, Task
    from compress.core.stage import Reporter
    from compress.data.dataset import Dataset

USUAL_ARCH = "mobilenet_v3_small"
FEW_IMAGES = 10  # of a class, over all splits
TINY = "tiny"  # the one architecture for which nobody publishes weights
Weights = Annotated[
    str | None,
    typer.Option(metavar="imagenet|none|FILE", help="Weights to start from. Default: imagenet, for tiny none."),
]


def init(
    ctx: typer.Context,
    photos: Annotated[
        Path,
        typer.Argument(
            help="Folder with one folder a class (or train/val/test above), a CSV, or a COCO set with boxes."
        ),
    ],
    arch: Annotated[
        str | None,
        typer.Option(
            help="Architecture. Default: what the weights' file fits, else mobilenet_v3_small or its SSDLite."
        ),
    ] = None,
    weights: Weights = None,
    input_px: Annotated[
        int | None, typer.Option("--input-px", min=32, max=1024, help="Side of the square the network sees.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Recipe to write.")] = Path("imgc.yaml"),
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the folder's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same result.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="A short chain: an int8 TFLite file in minutes, without pruning.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
) -> None:
    """Look at your images and write a recipe for them."""
    import yaml

    from compress.core.dataset import task_of
    from compress.core.storage import write_json, write_text
    from compress.data.dataset import load_dataset
    from compress.errors import UsageError
    from compress.recipe.json_schema import SCHEMA_NAME, recipe_schema
    from compress.recipe.load import recipe_from_dict

    if out.exists() and not force:
        raise UsageError(f"{out}: exists already", hint="add --force to overwrite it, or choose another --out")
    chosen = weights or ("none" if arch == TINY else "imagenet")
    config = _data_config(photos, given_knobs(ctx))
    task = task_of(config)
    arch = _ARCH_FOR[task](chosen, arch)
    strictness = config.model_dump(include={"on_bad_image", "on_leak"}, exclude_defaults=True)
    data = data_block(photos, out.parent) | strictness
    dataset = load_dataset(config, seed=seed, reporter=reporter_of(ctx), task=None)
    draft = RecipeDraft(
        name=name or slug(photos.resolve().stem),
        seed=seed,
        data=data,
        arch=arch,
        weights=chosen,
        input_px=input_px or (96 if arch == TINY else _USUAL_PX[task]),
        n_train=len(dataset.splits["train"].paths),
        quick=quick,
        task=task,
    )
    text = recipe_text(draft, _weights_value(chosen, out.parent))
    recipe_from_dict(yaml.safe_load(text), out.parent, source="imgc init")  # what we write must be right
    _SHOW[task](photos, dataset, reporter_of(ctx))
    write_json(out.parent / SCHEMA_NAME, recipe_schema())
    write_text(out, text)
    echo(f"wrote {out}, and beside it {SCHEMA_NAME}, from which editors complete its keys")
    echo(f"next: imgc run {out}")
    if out == Path("imgc.yaml") and task == "classify":
        echo("or verb by verb: imgc train, imgc prune --keep 0.7, imgc distill, imgc quantize, imgc export, imgc serve")


def _data_config(photos: Path, given: dict[str, Any]) -> BoxesData | CsvData | FolderData:
    from compress.core.dataset import BoxesData, CsvData, FolderData, is_manifest
    from compress.data.box_folders import kind_of

    if kind := kind_of(photos):
        return checked(BoxesData, given, kind=kind, path=photos)
    if is_manifest(photos):
        return checked(CsvData, given, kind="csv", path=photos)
    return checked(FolderData, given, path=photos)


def _check_arch(arch: str) -> None:
    from difflib import get_close_matches

    from compress.errors import UsageError
    from compress.models.arch_names import ARCH_NAMES

    if arch not in ARCH_NAMES:
        near = get_close_matches(arch, ARCH_NAMES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"--arch {arch}: unknown; there are {', '.join(ARCH_NAMES)}", hint=hint)


def _arch_for(weights: str, arch: str | None) -> str:
    """Return the architecture to train: the one asked for, else the one that the weights' file fits, else the usual.

    Raises:
        UsageError: no such weights, or of another architecture than the one asked for.
    """
    from compress.errors import UsageError
    from compress.models.arch_names import WEIGHT_SUFFIXES
    from compress.models.arch_tensors import fitting_archs

    if arch is not None:
        _check_arch(arch)
    if weights in ("imagenet", "none"):
        return arch or USUAL_ARCH
    path = Path(weights)
    if not weights.lower().endswith(WEIGHT_SUFFIXES):
        raise UsageError(f"--weights {weights}: give imagenet, none, or a file ({', '.join(WEIGHT_SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"--weights {weights}: no such file")
    fitting = fitting_archs(path)
    if arch is None and fitting:
        echo(f"{path}: weights of {fitting[0]}, so that is the architecture", err=True)
        return fitting[0]
    if arch not in fitting:
        hint = (
            f"--arch {' or '.join(fitting)} fits"
            if fitting
            else "they fit no architecture there is; give other weights, or imagenet"
        )
        whose = f"--arch {arch}" if arch else "an architecture there is"
        raise UsageError(f"--weights {weights}: not the tensors of {whose}", hint=hint)
    return arch


def _weights_value(weights: str, folder: Path) -> str:
    if weights in ("imagenet", "none") or Path(weights).is_absolute():
        return weights
    return Path(os.path.relpath(weights, folder)).as_posix()


def _warn_of_few(dataset: Dataset, reporter: Reporter) -> None:
    """Warn of classes whose accuracy will say nothing."""
    from compress.core.names import few

    counts = {
        label: sum(split.labels_N.count(index) for split in dataset.splits.values())
        for index, label in enumerate(dataset.labels)
    }
    if scarce := [f"{label} ({count})" for label, count in counts.items() if count < FEW_IMAGES]:
        reporter.warn(
            f"{len(scarce)} classes have fewer than {FEW_IMAGES} images: {few(scarce)}; hardly anything can be "
            "learnt or measured of them, 50 and more are usual"
        )


def _print_counts(photos: Path, dataset: Dataset) -> None:
    from compress.cli.output import print_table

    names = ("train", "val", "test")
    rows = [
        (label, *(dataset.splits[name].labels_N.count(index) for name in names))
        for index, label in enumerate(dataset.labels)
    ]
    totals = ("all", *(len(dataset.splits[name].paths) for name in names))
    print_table(f"{photos}: {len(dataset.labels)} classes", ("class", *names), [*rows, totals])


def _show_classes(photos: Path, dataset: Dataset, reporter: Reporter) -> None:
    _print_counts(photos, dataset)
    _warn_of_few(dataset, reporter)


def _show_boxes(photos: Path, dataset: Dataset, _reporter: Reporter) -> None:
    print_boxes(photos, dataset)


_ARCH_FOR: dict[Task, Callable[[str, str | None], str]] = {"classify": _arch_for, "detect": detector_for}
_SHOW: dict[Task, Callable[[Path, Dataset, Reporter], None]] = {"classify": _show_classes, "detect": _show_boxes}
_USUAL_PX: dict[Task, int] = {"classify": 160, "detect": 320}
