"""The recipe that `imgc init` writes: the whole chain, or with `--quick` the shortest one to a checked int8 file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compress.core.dataset import Task


@dataclass(frozen=True)
class RecipeDraft:
    """What the recipe is made from.

    Attributes:
        name: of the run.
        seed: of the run.
        data: the block of the recipe.
        arch: of the network.
        weights: what it starts from.
        input_px: side of the image that it sees.
        n_train: number of training images.
        quick: whether the chain is the short one.
        task: what the network learns.
    """

    name: str
    seed: int
    data: dict[str, str]
    arch: str
    weights: str
    input_px: int
    n_train: int
    quick: bool = False
    task: Task = "classify"


def recipe_text(draft: RecipeDraft, weights: str) -> str:
    """Return the recipe's YAML, with a comment for each choice."""
    from compress.recipe.epochs import DETECTION_EPOCHS, epochs_for, quick_epochs_for
    from compress.recipe.json_schema import SCHEMA_LINE

    fresh = draft.weights == "none"
    epochs = quick_epochs_for(draft.n_train, fresh=fresh) if draft.quick else epochs_for(draft.n_train, fresh=fresh)
    data = ", ".join(f"{key}: {json.dumps(value)}" for key, value in draft.data.items())
    whole, quick = (_DETECT, _DETECT_QUICK) if draft.task == "detect" else (_WHOLE, _QUICK)
    return (quick if draft.quick else whole).format(
        schema_line=SCHEMA_LINE,
        name=json.dumps(draft.name),
        seed=draft.seed,
        data=data,
        arch=draft.arch,
        weights=json.dumps(weights),
        input_px=draft.input_px,
        epochs=epochs,
        detect_epochs=_DETECT_QUICK_EPOCHS if draft.quick else DETECTION_EPOCHS,
        n_train=draft.n_train,
        distill_epochs=max(2, epochs // 2),
        detect_distill_epochs=_DETECT_DISTILL_EPOCHS,
        qat_epochs=max(2, epochs // 4),
    )


_DETECT_QUICK_EPOCHS, _DETECT_DISTILL_EPOCHS = 20, 40  # of some hundred images
_TOP = """\
{schema_line}
# Written by `imgc init`. Run it:      imgc run imgc.yaml
# Look at it without running it:       imgc plan imgc.yaml
# Or go verb by verb; each verb takes its options from here: imgc train, imgc prune, ...
# Paths are relative to this file. Any value can be changed for one run: --set stages.train.fit.epochs=20
imgc: 1
name: {name}  # results go to runs/<name>/
seed: {seed}  # same seed, same data: same result
data: {{{data}}}

stages:  # run from top to bottom; each reads the newest model above it
"""
_DETECT_HEAD = (
    _TOP
    + """\
  # 1. Fine-tune a detector on the {n_train} training images. The weights are those of its backbone.
  #    detect: {{flip: horizontal}} where left and right mean the same; anchors: fit for boxes of unusual sizes.
  - kind: train
    arch: {arch}
    weights: {weights}
    input_px: {input_px}
    fit: {{epochs: {detect_epochs}, batch_size: 16, ema_decay: 0.995}}

"""
)
_DETECT = (
    _DETECT_HEAD
    + """\
  # 2. Remove the least important channels. 0.7 of the channels is about half of the work. Or name what shall be left:
  #    target_macs: 0.6, target_params: 0.5 or target_latency_ms: 1.2 instead of keep.
  #    sibling: true also trains the stock network of the same size, to compare with; it doubles the training.
  - kind: prune
    keep: 0.7
    sibling: false

  # 3. Let the pruned network learn from the answers of the first one, to win back accuracy.
  - kind: distill
    teacher: train
    alpha: 0.7
    fit: {{epochs: {detect_distill_epochs}, batch_size: 16, lr: 2.0e-3, ema_decay: 0.99}}

  # 4. The network so far as float files, each checked against its source: what int8 has to be faster than.
  - kind: export
    id: float
    format: all

  # 5. 8-bit integers instead of floats: a quarter of the size. The ranges are measured, a short reconstruction follows;
  #    scheme: int8_qat trains with the rounding in place.
  - kind: quantize
    from: distill
    scheme: int8_static
    reconstruct: {{steps: 100, batch_size: 16}}

  # 6. Files to deploy, each checked against its source; they end in raw boxes and logits.
  - kind: export
    format: all

  # 7. mAP, size and speed of every model above, on the test images.
  - kind: benchmark
    baseline: train

# Without the marks, these make the run fail (exit code 5) when int8 costs more than two points of mAP:
# gates:
#   - {{metric: map_drop_pp, at: export-tflite, baseline: distill, max: 2.0}}
"""
)
_DETECT_QUICK = (
    _DETECT_HEAD
    + """\
  # 2. The same network as a float file: what int8 has to be faster than.
  - kind: export
    id: float
    format: tflite

  # 3. 8-bit integers instead of floats: a quarter of the size. The ranges are measured, a short reconstruction follows;
  #    more `steps` or scheme: int8_qat win back what it costs.
  - kind: quantize
    from: train
    scheme: int8_static
    calibration_count: 128
    reconstruct: {{steps: 40, batch_size: 16}}

  # 4. The file to deploy, checked against its source; it ends in raw boxes and logits.
  - kind: export
    format: tflite

  # 5. mAP, size and speed of every model above, on the test images.
  - kind: benchmark
    baseline: train
    quick: true

# The whole chain prunes and distils too: `imgc init` without --quick writes it.
"""
)
_HEAD = (
    _TOP
    + """\
  # 1. Fine-tune a network on the {n_train} training images.
  #    weights: imagenet (downloaded), none (from scratch), or a .safetensors / .pth file.
  #    input_px: side of the square that the network sees; smaller is faster, larger shows more detail.
  - kind: train
    arch: {arch}
    weights: {weights}
    input_px: {input_px}
    fit: {{epochs: {epochs}}}

"""
)
_WHOLE = (
    _HEAD
    + """\
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

  # 4. The network so far as float files, each checked against its source: what int8 has to be faster than.
  - kind: export
    id: float
    format: all

  # 5. 8-bit integers instead of floats: a quarter of the size. int8_qat trains with the rounding in place;
  #    int8_static only measures ranges: quicker, and a little less accurate.
  - kind: quantize
    from: distill
    scheme: int8_qat
    fit: {{epochs: {qat_epochs}, lr: 2.0e-4}}

  # 6. Files to deploy, each checked against its source: onnx, tflite, or all of them.
  - kind: export
    format: all

  # 7. Accuracy, size and speed of every model above, on the test images.
  - kind: benchmark
    baseline: train

# Without the marks, these make the run fail (exit code 5) when int8 costs more than two points of accuracy:
# gates:
#   - {{metric: top1_drop_pp, at: quantize, max: 2.0}}
"""
)

_QUICK = (
    _HEAD
    + """\
  # 2. The same network as a float file: what int8 has to be faster than.
  - kind: export
    id: float
    format: tflite

  # 3. 8-bit integers instead of floats: a quarter of the size. The ranges are measured, a short reconstruction follows;
  #    more `steps` (300) or scheme: int8_qat win back what it costs.
  - kind: quantize
    from: train
    scheme: int8_static
    calibration_count: 128
    reconstruct: {{steps: 40}}

  # 4. The file to deploy, checked against its source.
  - kind: export
    format: tflite

  # 5. Accuracy, size and speed of every model above, on the test images.
  - kind: benchmark
    baseline: train
    quick: true

# The whole chain prunes, distils and trains with the rounding in place too: `imgc init` without --quick writes it.
"""
)


def slug(text: str) -> str:
    """Return a text as a run name: lower case, letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48] or "run"


def data_block(photos: Path, folder: Path) -> dict[str, str]:
    """Return the recipe's `data:` block; a relative path is made relative to `folder`, where the recipe lies."""
    from compress.core.dataset import is_manifest
    from compress.data.box_folders import kind_of

    path = photos if photos.is_absolute() else Path(os.path.relpath(photos, folder))
    kind = "csv" if is_manifest(photos) else kind_of(photos) or "folder"
    return {"kind": kind, "path": path.as_posix()}
