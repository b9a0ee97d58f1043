from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.dataset import BoxesData, FolderData
from compress.core.stage import RunContext, SilentReporter
from compress.errors import DataError, UsageError
from compress.models.weights import load_model, read_spec_of
from compress.train.config import TrainConfig
from compress.train.stage import run
from tests.detector_files import write_boxes

ARCH = "ssdlite_mobilenet_v3_small"


def trained(folder: Path, data: object | None = None, **options: object):
    if not (folder / "data").exists():
        write_boxes(folder / "data")
    ctx = RunContext(
        stage_dir=folder,
        seed=0,
        device="cpu",
        reporter=SilentReporter(),
        data=data or BoxesData(kind="coco", path=folder / "data"),
    )
    given = {"arch": ARCH, "weights": "none", "input_px": 128, "fit": {"epochs": 1, "batch_size": 4}, **options}
    return run(TrainConfig(**given), {}, ctx)


@pytest.mark.slow
def test_a_detector_is_trained_and_says_what_its_numbers_mean(tmp_path: Path):
    made = trained(tmp_path)
    assert made.metrics.keys() == {"map_pct", "best_epoch", "epochs", "params", "macs"}
    assert 0 <= made.metrics["map_pct"] <= 100
    spec = read_spec_of(tmp_path / made.file_name)
    assert (spec.task, spec.labels, spec.boxes.columns(2)) == ("detect", ("nut", "bolt"), 3)
    model, again = load_model(tmp_path / made.file_name)
    assert again == spec
    assert sum(one.numel() for one in model.parameters()) == made.metrics["params"]


@pytest.mark.parametrize(("option", "value"), [("resize_px", 256), ("interpolation", "bicubic"), ("mean", (0, 0, 0))])
def test_options_of_classifiers_are_refused(tmp_path: Path, option: str, value: object):
    with pytest.raises(UsageError, match=f"{option}: the images of {ARCH} are stretched"):
        trained(tmp_path, **{option: value})


@pytest.mark.parametrize(("option", "value"), [("mixup", 0.2), ("flip", "both"), ("label_smoothing", 0.0)])
def test_what_the_fit_of_a_classifier_alone_has_is_refused(tmp_path: Path, option: str, value: object):
    with pytest.raises(UsageError, match=rf"fit\.{option}: is for classifiers"):
        trained(tmp_path, fit={"epochs": 1, option: value})


def test_architecture_and_images_are_for_one_task(tmp_path: Path):
    with pytest.raises(DataError, match="the images have boxes") as caught:
        trained(tmp_path, arch="tiny")
    assert ARCH in caught.value.hint
    with pytest.raises(DataError, match="the images have classes"):
        trained(tmp_path, FolderData(path=tmp_path))
