"""`calibration_data/`: a few training images of the bundled set; shipped with the repository, made elsewhere."""

from __future__ import annotations

from pathlib import Path

from compress.core.cache import cache_dir
from compress.core.digest import sha256_bytes
from compress.core.storage import write_bytes, write_json
from compress.data.defects.image import LABELS, make_image
from compress.data.defects.write import GENERATOR, MANIFEST

_SHIPPED = Path(__file__).parents[3] / "calibration_data"  # in a checkout; a wheel is without
_SHIPPED_COUNT = 196
_SIZE_PX = 96
_SEED = 0


def calibration_folder() -> Path:
    """Return the folder of calibration images of the bundled set: the checkout's, else one made in the cache folder.

    The same images either way; another version of Pillow may write other bytes.
    """
    if _is_written(_SHIPPED):
        return _SHIPPED
    made = cache_dir() / f"calibration-{GENERATOR}"
    if not _is_written(made):
        write_calibration_data(made, _SHIPPED_COUNT)
    return made


def write_calibration_data(out: Path, count: int) -> None:
    """Write the first `count` training images of seed 0 at 96 px, and `manifest.json`.

    The manifest is a list of {file, sha256, label, source}, and is written last. The classes take turns, so they are
    balanced. The shipped folder is `write_calibration_data(Path("calibration_data"), 196)`.
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


def _is_written(folder: Path) -> bool:
    """Tell whether a folder is one of ours, whole: beside an installed package another's may have this name."""
    manifest = folder / MANIFEST
    return manifest.is_file() and GENERATOR in manifest.read_text(encoding="utf-8", errors="replace")
