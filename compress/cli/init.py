"""`imgc init`: look at a folder of images and write a recipe for it that a newcomer can read."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.knobs import checked, given_knobs
from compress.cli.options import reporter_of
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.core.dataset import CsvData, FolderData
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
    photos: Annotated[Path, typer.Argument(help="Folder with one folder a class (or train/val/test above), or a CSV.")],
    arch: Annotated[
        str | None, typer.Option(help="Architecture. Default: that of the weights' file, else mobilenet_v3_small.")
    ] = None,
    weights: Weights = None,
    input_px: Annotated[
        int | None, typer.Option("--input-px", min=32, max=1024, help="Side of the square the network sees.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Recipe to write.")] = Path("imgc.yaml"),
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the folder's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same result.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
) -> None:
    """Look at your images and write a recipe for them."""
    import yaml

    from compress.core.storage import write_json, write_text
    from compress.data.dataset import load_dataset
    from compress.errors import UsageError
    from compress.recipe.json_schema import SCHEMA_NAME, recipe_schema
    from compress.recipe.load import recipe_from_dict

    if out.exists() and not force:
        raise UsageError(f"{out}: exists already", hint="add --force to overwrite it, or choose another --out")
    if arch is not None:
        _check_arch(arch)
    chosen = weights or ("none" if arch == TINY else "imagenet")
    arch = _arch_for(chosen, arch)
    config = _data_config(photos, given_knobs(ctx))
    strictness = config.model_dump(include={"on_bad_image", "on_leak"}, exclude_defaults=True)
    data = data_block(photos, out.parent) | strictness
    dataset = load_dataset(config, seed=seed, reporter=reporter_of(ctx))
    draft = RecipeDraft(
        name=name or slug(photos.resolve().stem),
        seed=seed,
        data=data,
        arch=arch,
        weights=chosen,
        input_px=input_px or (96 if arch == TINY else 160),
        n_train=len(dataset.splits["train"].paths),
    )
    text = recipe_text(draft, _weights_value(chosen, out.parent))
    recipe_from_dict(yaml.safe_load(text), out.parent, source="imgc init")  # what we write must be right
    _print_counts(photos, dataset)
    _warn_of_few(dataset, reporter_of(ctx))
    write_json(out.parent / SCHEMA_NAME, recipe_schema())
    write_text(out, text)
    echo(f"wrote {out}, and beside it {SCHEMA_NAME}, from which editors complete its keys")
    echo(f"next: imgc run {out}")
    if out == Path("imgc.yaml"):
        echo("or verb by verb: imgc train, imgc prune --keep 0.7, imgc distill, imgc quantize, imgc export, imgc serve")


@dataclass(frozen=True)
class RecipeDraft:
    """What the recipe is made from; `data` is the block of the recipe, `n_train` the number of training images."""

    name: str
    seed: int
    data: dict[str, str]
    arch: str
    weights: str
    input_px: int
    n_train: int


def recipe_text(draft: RecipeDraft, weights: str) -> str:
    """Return the recipe's YAML: the whole chain, with a comment for each choice."""
    from compress.recipe.epochs import epochs_for
    from compress.recipe.json_schema import SCHEMA_LINE

    epochs = epochs_for(draft.n_train, fresh=draft.weights == "none")
    data = ", ".join(f"{key}: {json.dumps(value)}" for key, value in draft.data.items())
    return _TEMPLATE.format(
        schema_line=SCHEMA_LINE,
        name=json.dumps(draft.name),
        seed=draft.seed,
        data=data,
        arch=draft.arch,
        weights=json.dumps(weights),
        input_px=draft.input_px,
        epochs=epochs,
        n_train=draft.n_train,
        distill_epochs=max(2, epochs // 2),
        qat_epochs=max(2, epochs // 4),
    )


_TEMPLATE = """\
{schema_line}
# Written by `imgc init`. Run it:      imgc run imgc.yaml
# Look at it without running it:       imgc plan imgc.yaml
# Or go verb by verb; each verb takes its options from here: imgc train, imgc prune, imgc distill, ...
# Paths are relative to this file. Any value can be changed for one run: --set stages.prune.keep=0.5
imgc: 1
name: {name}  # results go to runs/<name>/
seed: {seed}  # same seed, same data: same result
data: {{{data}}}

stages:  # run from top to bottom; each reads the newest model above it
  # 1. Fine-tune a network on the {n_train} training images.
  #    weights: imagenet (downloaded), none (from scratch), or a .safetensors / .pth file.
  #    input_px: side of the square that the network sees; smaller is faster, larger shows more detail.
  - kind: train
    arch: {arch}
    weights: {weights}
    input_px: {input_px}
    fit: {{epochs: {epochs}}}

  # 2. Remove the least important channels. 0.7 of the channels is about half of the work. Or name what shall be left:
  #    target_macs: 0.6, target_params: 0.5 or target_latency_ms: 1.2 instead of keep.
  #    sibling: true also trains the stock network of the same size, to compare with; it doubles the training.
  - kind: prune
    keep: 0.7
    sibling: true

  # 3. Let the pruned network learn from the answers of the first one, to win back accuracy.
  - kind: distill
    teacher: train
    fit: {{epochs: {distill_epochs}}}

  # 4. 8-bit integers instead of floats: a quarter of the size. int8_qat trains with the rounding in place;
  #    int8_static only measures ranges: quicker, and a little less accurate.
  - kind: quantize
    scheme: int8_qat
    fit: {{epochs: {qat_epochs}, lr: 2.0e-4}}

  # 5. Files to deploy, each checked against its source: onnx, tflite, or all of them.
  - kind: export
    format: all

  # 6. Accuracy, size and speed of every model above, on the test images.
  - kind: benchmark
    baseline: train

# Without the marks, these make the run fail (exit code 5) when int8 costs more than two points of accuracy:
# gates:
#   - {{metric: top1_drop_pp, at: quantize, max: 2.0}}
"""


def slug(text: str) -> str:
    """Return a text as a run name: lower case, letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "run"


def data_block(photos: Path, folder: Path) -> dict[str, str]:
    """Return the recipe's `data:` block; a relative path is made relative to `folder`, where the recipe lies."""
    from compress.core.dataset import is_manifest

    path = photos if photos.is_absolute() else Path(os.path.relpath(photos, folder))
    return {"kind": "csv" if is_manifest(photos) else "folder", "path": path.as_posix()}


def _data_config(photos: Path, given: dict[str, Any]) -> CsvData | FolderData:
    from compress.core.dataset import CsvData, FolderData, is_manifest

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

    if weights in ("imagenet", "none"):
        return arch or USUAL_ARCH
    path = Path(weights)
    if not weights.lower().endswith(WEIGHT_SUFFIXES):
        raise UsageError(f"--weights {weights}: give imagenet, none, or a file ({', '.join(WEIGHT_SUFFIXES)})")
    if not path.is_file():
        raise UsageError(f"--weights {weights}: no such file")
    fitting = fitting_archs(path)
    if arch is None and fitting:
        echo(f"{path} fits {fitting[0]}, which is taken", err=True)
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
