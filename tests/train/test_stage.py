from __future__ import annotations

from pathlib import Path

import pytest
import torch

from compress.core.dataset import FolderData
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.engine.checkpoint import CHECKPOINT_FILE
from compress.errors import ModelFileError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_model, save_model
from compress.train import outcome, stage
from compress.train.config import TrainConfig

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

FIT = {"epochs": 4, "batch_size": 8, "lr": 0.01}


def _run(photos: Path, folder: Path, **options):
    config = TrainConfig.model_validate({"arch": "tiny", "weights": "none", "input_px": 32, "fit": FIT} | options)
    return stage.run(config, {}, RunContext(stage_dir=folder, seed=0, data=FolderData(path=photos)))


def test_makes_one_file_that_carries_classes_size_and_accuracy(photos, tmp_path):
    output = _run(photos, tmp_path)
    model, spec = load_model(tmp_path / output.file_name)
    assert output.format is Format.TORCH
    assert spec == output.spec
    assert spec.labels == ("blue", "green", "red")
    assert spec.input_chw == (3, 32, 32)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert output.metrics["params"] == spec.params > 0
    assert output.metrics["macs"] == spec.macs > 0
    assert output.metrics["top1_pct"] > 60
    assert not (tmp_path / CHECKPOINT_FILE).exists()
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_labels_are_smoothed_as_asked(photos, tmp_path):
    made = [
        (tmp_path / name / _run(photos, tmp_path / name, fit=FIT | {"epochs": 1, "label_smoothing": share}).file_name)
        for name, share in (("sharp", 0.0), ("smooth", 0.4))
    ]
    assert made[0].read_bytes() != made[1].read_bytes()


def test_killed_while_saving_the_model_ends_with_the_same_bytes(photos, tmp_path, monkeypatch):
    whole = _run(photos, tmp_path / "whole")
    save = outcome.save_model
    monkeypatch.setattr(outcome, "save_model", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        _run(photos, tmp_path / "killed")
    monkeypatch.setattr(outcome, "save_model", save)
    resumed = _run(photos, tmp_path / "killed")
    assert (tmp_path / "killed" / resumed.file_name).read_bytes() == (tmp_path / "whole" / whole.file_name).read_bytes()


def test_weights_of_a_trained_file_start_the_next_training(photos, tmp_path):
    first = _run(photos, tmp_path / "first")
    weights = str(tmp_path / "first" / first.file_name)
    again = _run(photos, tmp_path / "again", weights=weights, fit={"epochs": 0})
    assert again.metrics["top1_pct"] == first.metrics["top1_pct"]
    with pytest.raises(ModelFileError, match="holds the tensors of tiny, not of 'squeezenet1_1'"):
        _run(photos, tmp_path / "other", arch="squeezenet1_1", weights=weights)


def test_a_fresh_head_on_given_weights_starts_near_the_uniform_guess(photos, tmp_path):
    spec = new_spec("tiny", [str(index) for index in range(7)], 32)
    save_model(tmp_path / "other.safetensors", build_model(spec), spec)
    output = _run(photos, tmp_path / "a", weights=str(tmp_path / "other.safetensors"), fit={"epochs": 0})
    model, _ = load_model(tmp_path / "a" / output.file_name)
    assert 0 < float(model.classifier.weight.detach().std()) < 0.02
    assert not model.classifier.bias.any()


def test_preprocessing_overrides_end_in_the_spec(photos, tmp_path):
    options = {"resize_px": 40, "interpolation": "bicubic", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    preprocess = _run(photos, tmp_path, fit={"epochs": 0}, **options).spec.preprocess
    assert (preprocess.resize_px, preprocess.crop_px, preprocess.interpolation) == (40, 32, "bicubic")
    assert (preprocess.mean, preprocess.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_without_data_it_says_so(tmp_path):
    with pytest.raises(UsageError, match="no `data:` block"):
        stage.run(TrainConfig(arch="tiny"), {}, RunContext(stage_dir=tmp_path, seed=0, data=None))


def test_the_rate_is_found_where_none_is_given_and_weights_are(photos, tmp_path):
    from compress.train.stage import _with_rate

    class Told(SilentReporter):
        said: list[str] = []  # noqa: RUF012 - one test

        def info(self, text):
            self.said.append(text)

    network = build_model(new_spec("tiny", ("a", "b"), 32))

    def rate(**changes):
        return _with_rate(
            TrainConfig(**{"weights": "w.pth", "fit": {"epochs": 10}, **changes}), network, 320, Told()
        ).lr

    assert rate() == 1e-3, "100 steps"
    assert rate(fit={"epochs": 40}) == 5e-4
    assert rate(fit={"epochs": 40, "lr": 0.01}) == 0.01
    assert rate(weights="none") == 2e-3
    assert any("learning rate 0.001" in text for text in Told.said)
