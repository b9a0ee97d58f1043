"""Training curves, from what the fit leaves."""

from __future__ import annotations

import sys

import pytest

from compress.report.curves import read_curves, trained_stages
from compress.report.details import read_details
from tests.report.rich_run import EPOCHS, rich_run


def test_the_epochs_of_the_stages_that_trained(make_run, tmp_path) -> None:
    run = rich_run(make_run, tmp_path / "images")
    folders = trained_stages(run.path, run.lock)
    assert list(folders) == ["train"]
    (curve,) = read_curves(folders)
    assert [point.epoch for point in curve.epochs] == [1, 2, 3, 4, 5]
    for name in ("train_loss", "val_top1_pct", "lr"):
        assert [getattr(point, name) for point in curve.epochs] == pytest.approx([row[name] for row in EPOCHS])


def test_without_tensorboard_they_are_left_out_and_that_is_said(make_run, tmp_path, monkeypatch) -> None:
    run = rich_run(make_run, tmp_path / "images")
    monkeypatch.setitem(sys.modules, "compress.engine.scalars", None)
    found = read_details(run.path, run.lock, "train")
    assert found.curves == ()
    assert "imgc-toolkit[train]" in found.notes[0]
