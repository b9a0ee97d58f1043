"""Makes `calibration_data/`: a few training images of the bundled set, shipped with the repository."""

from __future__ import annotations

from pathlib import Path

from compress.core.digest import sha256_bytes
from compress.core.storage import write_bytes, write_json
from compress.data.defects.image import LABELS, make_image
from compress.data.defects.write import GENERATOR, MANIFEST

_SIZE_PX = 96
_SEED = 0


def write_calibration_data(out: Path, count: int) -> None:
    """Write the first `count` training images of seed 0 at 96 px, and `manifest.json`.

    The manifest is a list of {file, sha256, label, source}. The classes take turns, so they are balanced.
    The shipped folder is `write_calibration_data(Path("calibration_data"), 196)`.
    """
    rows = []
    for index in range(count):
        image = make_image(_SEED, "train", index, _SIZE_PX)
        label = LABELS[image.label]
        name = f"{index:03d}-{label}.jpg"
        write_bytes(out / name, image.jpeg)
        source = f"generated: {GENERATOR}, seed {_SEED}, train, index {index}, {_SIZE_PX} px"
        rows.append({"file": name, "sha256": sha256_bytes(image.jpeg), "label": label, "source": source})
    write_json(out / MANIFEST, rows)
