from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from compress.core.digest import sha256_file
from compress.data.defects import calibration
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


def test_a_checkout_has_its_folder() -> None:
    assert calibration.calibration_folder() == SHIPPED


def test_without_the_folder_the_images_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "cache"))
    other = tmp_path / "calibration_data"  # of another package
    other.mkdir()
    (other / "manifest.json").write_text("[]")
    monkeypatch.setattr(calibration, "_SHIPPED", other)
    monkeypatch.setattr(calibration, "_SHIPPED_COUNT", 14)
    made = calibration.calibration_folder()
    assert made.is_relative_to(tmp_path / "cache")
    names = {path.name for path in SHIPPED.glob("*.jpg")}
    assert {path.name for path in made.glob("*.jpg")} == {name for name in names if int(name[:3]) < 14}
    monkeypatch.setattr(calibration, "make_image", None)
    assert calibration.calibration_folder() == made, "not made again"
    (made / "manifest.json").unlink()
    monkeypatch.undo()
    assert calibration._is_written(SHIPPED)
    assert not calibration._is_written(made), "the manifest is written last"
