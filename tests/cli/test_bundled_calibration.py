"""A model of the bundled data set is calibrated on the bundled images, where nobody names others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from compress.cli import bundled_calibration
from compress.core.digest import sha256_file
from compress.data.defects.image import LABELS
from tests.tiny_files import Tiny

Imgc = Callable[..., Result]
SHIPPED = Path(__file__).parents[2] / "calibration_data"
QUICK = ("--set", "reconstruct.steps=0")


def write_model(path: Path, labels: tuple[str, ...]) -> None:
    weight_KC = np.random.default_rng(0).normal(size=(len(labels), 3)).astype(np.float32)
    tiny = Tiny(path.parent)
    tiny.onnx(path.name, spec=tiny.spec(labels=labels), weight_KC=weight_KC)


def calibrated_on(folder: Path) -> set[str]:
    """Return the hashes of the images that a stage says it calibrated on."""
    return {row["sha256"] for row in json.loads((folder / "calibration.json").read_text())}


def test_the_bundled_images_are_taken_and_it_is_said(imgc: Imgc, folder: Path) -> None:
    write_model(folder / "defects.onnx", LABELS)
    result = imgc("quantize", "--from", "defects.onnx", *QUICK)
    assert result.exit_code == 0, result.output
    assert f"calibrating on {SHIPPED}; others: --calibration IMAGES" in result.stderr
    shipped = {sha256_file(path) for path in SHIPPED.glob("*.jpg")}
    found = calibrated_on(folder / "runs/defects/01-quantize")
    assert found < shipped, "every fifth is kept to judge with"
    assert len(found) > 150

    again = imgc("quantize", "--from", "defects.onnx", *QUICK, "--set", "range_rule=minmax", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["run"] == "defects", "the run that has no images of its own goes on"
    assert "calibrating on" in again.stderr


def test_images_that_are_named_come_first(imgc: Imgc, folder: Path) -> None:
    write_model(folder / "defects.onnx", LABELS)
    (folder / "mine").mkdir()
    for index in range(20):
        Image.effect_noise((40, 40), 40 + index).convert("RGB").save(folder / f"mine/{index:02d}.png")
    result = imgc("quantize", "--from", "defects.onnx", "--calibration", "mine", *QUICK)
    assert result.exit_code == 0, result.output
    assert "others: --calibration" not in result.stderr
    mine = {sha256_file(path) for path in (folder / "mine").iterdir()}
    assert calibrated_on(folder / "runs/defects/01-quantize") <= mine


@pytest.mark.parametrize(
    ("more", "labels"),
    [((), ("ok", "broken")), (("--set", "calibration=absent"), LABELS), (("--scheme", "int8_qat"), LABELS)],
    ids=["other classes", "images by --set", "a scheme that needs labels"],
)
def test_otherwise_nothing_is_assumed(imgc: Imgc, folder: Path, more: tuple[str, ...], labels: tuple[str, ...]) -> None:
    write_model(folder / "model.onnx", labels)
    result = imgc("quantize", "--from", "model.onnx", *more)
    assert result.exit_code == 2, result.output
    assert "others: --calibration" not in result.stderr


def test_what_imgc_yaml_says_of_images_comes_first(imgc: Imgc, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(folder / "defects.onnx", LABELS)
    monkeypatch.setattr(
        bundled_calibration,
        "local_recipe",
        lambda: {"data": {"kind": "folder", "path": "mine"}, "stages": [{"kind": "quantize"}]},
    )
    result = imgc("quantize", "--from", "defects.onnx", *QUICK)
    assert result.exit_code == 2
    assert "others: --calibration" not in result.stderr


def test_a_model_that_cannot_be_opened_is_told_as_before(imgc: Imgc, folder: Path) -> None:
    (folder / "broken.onnx").write_bytes(b"no model")
    result = imgc("quantize", "--from", "broken.onnx")
    assert result.exit_code != 0
    assert "neither the run nor ./imgc.yaml names any" in result.stderr


def test_a_run_with_images_of_its_own_uses_them(imgc: Imgc, make_run: Callable[..., Path], folder: Path) -> None:
    make_run("r", [{"kind": "train", "arch": "tiny", "weights": "none"}])
    write_model(folder / "defects.onnx", LABELS)
    result = imgc("quantize", "--from", "defects.onnx", *QUICK)
    assert result.exit_code != 0, "the folder of the run's images is empty"
    assert "others: --calibration" not in result.stderr
