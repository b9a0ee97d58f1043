from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from compress.core.digest import sha256_file
from compress.data.defects.calibration import write_calibration_data
from compress.data.defects.image import LABELS

SHIPPED = Path(__file__).parents[3] / "calibration_data"


def test_shipped_images_are_those_of_the_manifest() -> None:
    rows = json.loads((SHIPPED / "manifest.json").read_text())
    assert {row["file"] for row in rows} | {"manifest.json"} == {path.name for path in SHIPPED.iterdir()}
    assert len(rows) <= 200
    assert all(set(row) == {"file", "sha256", "label", "source"} for row in rows)
    assert all(sha256_file(SHIPPED / row["file"]) == row["sha256"] for row in rows)
    assert Counter(row["label"] for row in rows) == dict.fromkeys(LABELS, 28)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 1_500_000


def test_writing_again_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_calibration_data(tmp_path / name, 10)
    assert (tmp_path / "a/manifest.json").read_text() == (tmp_path / "b/manifest.json").read_text()
    assert len(list((tmp_path / "a").iterdir())) == 11
