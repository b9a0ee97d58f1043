from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.engine.batches import Batch, TrainSet, ValSet
from compress.engine.checkpoint import CHECKPOINT_FILE
from compress.engine.fit import FitResult, fit
from compress.engine.losses import cross_entropy
from compress.engine.options import FitOptions
from compress.engine.scalars import EVENTS_FILE
from compress.engine.setup import FitSetup
from compress.errors import StageError

PREPROCESS = Preprocess(resize_px=16, crop_px=16)
OPTIONS = FitOptions(epochs=3, batch_size=8, lr=0.02, warmup_epochs=0.5, ema_decay=0.9, mixup=0.2, randaugment=5)
RUINOUS = FitOptions(epochs=2, batch_size=8, lr=10.0)


class KilledError(Exception):
    """Stands for SIGKILL between two epochs."""


def _net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


def _pixels(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose strongest channel is the class."""
    rng = np.random.default_rng(n)
    labels = np.arange(n, dtype=np.int64) % 3
    pixels = rng.integers(0, 120, (n, side, side, 3))
    pixels[np.arange(n), :, :, labels] += 100
    return pixels.astype(np.uint8), labels


def _train_set(n: int = 42) -> TrainSet:
    pixels, labels = _pixels(n, 20)
    return TrainSet(pixels, np.ones(n), labels)


def _loss(logits_NK: torch.Tensor, batch: Batch) -> torch.Tensor:
    return cross_entropy(logits_NK, batch.targets_NK, 0.1)


def _fit(model: nn.Module, work_dir: Path, options: FitOptions = OPTIONS, **changes) -> FitResult:
    setup = FitSetup(
        train=_train_set(), val=ValSet(*_pixels(12, 16)), num_classes=3, preprocess=PREPROCESS, options=options,
        work_dir=work_dir, seed=0,
    )  # fmt: skip
    how = {name: changes.pop(name) for name in ("head", "on_epoch", "amp", "judge_start") if name in changes}
    loss = changes.pop("loss", _loss)
    return fit(model, replace(setup, **changes), loss, **how)


def _kill_before(epoch_to_kill: int):
    def hook(epoch: int, model: nn.Module) -> None:
        if epoch == epoch_to_kill:
            raise KilledError

    return hook


def _equal(a: nn.Module, b: nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in a.state_dict().items())


def test_learns_and_leaves_the_best_weights_in_eval_mode_on_plain_memory(tmp_path):
    model = _net()
    result = _fit(model, tmp_path, FitOptions(epochs=12, batch_size=8, lr=0.03))
    assert result.best_val_pct == 100.0
    assert result.best_val_pct == max(row["val_top1_pct"] for row in result.history)
    assert result.history[result.best_epoch - 1]["val_top1_pct"] == result.best_val_pct
    assert not model.training
    assert model[0].weight.is_contiguous()
    assert [row["epoch"] for row in result.history] == list(range(1, 13))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("killed_before", [1, 2])
def test_killed_and_resumed_ends_with_the_same_bits(tmp_path, optimizer, killed_before):
    options = OPTIONS.model_copy(update={"optimizer": optimizer, "keep": "last", "flip": "both", "color_jitter": 0.2})
    straight, resumed = _net(), _net()
    _fit(straight, tmp_path / "straight", options)
    with pytest.raises(KilledError):
        _fit(_net(), tmp_path / "killed", options, on_epoch=_kill_before(killed_before))
    torch.manual_seed(99)  # the state of the global generator must not matter
    result = _fit(resumed, tmp_path / "killed", options)
    assert _equal(straight, resumed)
    assert len(result.history) == 3


def test_resuming_calls_the_hook_only_for_the_epochs_left(tmp_path):
    with pytest.raises(KilledError):
        _fit(_net(), tmp_path, on_epoch=_kill_before(2))
    seen: list[int] = []
    _fit(_net(), tmp_path, on_epoch=lambda epoch, model: seen.append(epoch))
    assert seen == [2]
    _fit(_net(), tmp_path, on_epoch=lambda epoch, model: seen.append(epoch))
    assert seen == [2]


def _one_mislabelled() -> TrainSet:
    known = _train_set()
    labels = known.labels_N.copy()
    labels[0] = 2 - labels[0]
    return TrainSet(known.pixels_NSSC, known.aspect_N, labels)


@pytest.mark.parametrize(
    ("net_seed", "changes"),
    [
        (1, {}),
        (0, {"seed": 1}),
        (0, {"train": _one_mislabelled()}),
        (0, {"options": OPTIONS.model_copy(update={"lr": 0.01})}),
    ],
    ids=["other weights", "other seed", "other labels", "other options"],
)
def test_another_fit_does_not_continue_a_foreign_checkpoint(tmp_path, net_seed, changes):
    first, second = _net(0), _net(net_seed)
    _fit(first, tmp_path)
    _fit(second, tmp_path, **changes)
    fresh = _net(net_seed)
    _fit(fresh, tmp_path / "other", **changes)
    assert _equal(second, fresh)


def test_a_damaged_checkpoint_is_not_continued(tmp_path):
    first, second = _net(), _net()
    _fit(first, tmp_path)
    path = tmp_path / CHECKPOINT_FILE
    path.write_bytes(path.read_bytes()[:-100])
    _fit(second, tmp_path)
    assert _equal(first, second)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path):
    models = [_net(), _net(), _net()]
    for index, (model, seed) in enumerate(zip(models, (0, 0, 1), strict=True)):
        _fit(model, tmp_path / str(index), seed=seed)
    assert _equal(models[0], models[1])
    assert not _equal(models[0], models[2])


def test_the_seed_decides_the_images_of_a_batch_too(tmp_path):
    models = [_net(), _net()]
    for seed, model in enumerate(models):
        model[3].p = 0.0  # without dropout nothing else is drawn
        _fit(model, tmp_path / str(seed), seed=seed)
    assert not _equal(*models)


def test_gradients_are_clipped_where_that_is_asked_for(tmp_path):
    models = [_net(), _net()]
    for model, clip_norm in zip(models, (None, 0.01), strict=True):
        options = OPTIONS.model_copy(update={"clip_norm": clip_norm, "optimizer": "sgd"})
        _fit(model, tmp_path / str(clip_norm), options)
    assert not _equal(*models)


def test_global_generators_are_left_alone(tmp_path):
    model = _net()
    before = torch.get_rng_state()
    _fit(model, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_epochs_change_the_head_alone(tmp_path):
    model, start = _net(), _net()
    _fit(model, tmp_path, FitOptions(epochs=2, batch_size=8, freeze_epochs=2), head=("6",))
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, start.state_dict()[n])}
    assert changed == {"6.weight", "6.bias"}
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_sgd_takes_up_the_backbone_after_the_frozen_epochs(tmp_path):
    model, start = _net(), _net()
    options = FitOptions(epochs=3, batch_size=8, freeze_epochs=1, keep="last", optimizer="sgd", lr=0.01)
    _fit(model, tmp_path, options, head=("6",))
    assert not torch.equal(model[0].weight, start[0].weight)


def test_after_the_frozen_epochs_everything_learns_but_what_was_frozen_before(tmp_path):
    model, start = _net(), _net()
    model[0].bias.requires_grad_(False)
    _fit(model, tmp_path, FitOptions(epochs=3, batch_size=8, freeze_epochs=1, keep="last"), head=("6",))
    unchanged = {n for n, t in model.state_dict().items() if torch.equal(t, start.state_dict()[n])}
    assert unchanged == {"0.bias"}


def test_freezing_without_a_head_is_an_error(tmp_path):
    with pytest.raises(StageError, match="needs a head"):
        _fit(_net(), tmp_path, FitOptions(epochs=1, freeze_epochs=1), head=("nothing",))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_place_and_hint(tmp_path, bad):
    def loss(logits_NK, batch):
        return logits_NK.sum() * bad

    with pytest.raises(StageError, match=r"epoch 1 of 3, batch 1 of 6, lr ") as caught:
        _fit(_net(), tmp_path, loss=loss)
    assert "fit.lr" in caught.value.hint
    assert not (tmp_path / CHECKPOINT_FILE).exists()


def test_a_last_batch_of_one_image_is_left_out(tmp_path):
    sizes: list[int] = []

    def loss(logits_NK, batch):
        sizes.append(len(batch.images_NCHW))
        return _loss(logits_NK, batch)

    _fit(_net(), tmp_path, FitOptions(epochs=1, batch_size=8), train=_train_set(17), loss=loss)
    assert sizes == [8, 8]


def test_one_image_is_too_few(tmp_path):
    with pytest.raises(StageError, match="at least 2 training"):
        _fit(_net(), tmp_path, train=_train_set(1))


def test_stops_early_when_validation_gets_no_better(tmp_path):
    options = FitOptions(epochs=20, batch_size=8, lr=1e-9, patience=2)
    result = _fit(_net(), tmp_path, options)
    assert len(result.history) == 3
    assert result.best_epoch == 1
    assert len(_fit(_net(), tmp_path, options).history) == 3


def test_no_epochs_leave_the_model_and_measure_it(tmp_path):
    model = _net()
    result = _fit(model, tmp_path, FitOptions(epochs=0))
    assert _equal(model, _net())
    assert result.best_epoch == 0
    assert 0 <= result.best_val_pct <= 100


@pytest.mark.slow
@pytest.mark.slow
def _learned(folder: Path) -> nn.Module:
    model = _net()
    assert _fit(model, folder, FitOptions(epochs=12, batch_size=8, lr=0.03)).best_val_pct == 100.0
    return model


def test_a_start_that_no_epoch_betters_is_kept_when_it_is_judged(tmp_path):
    start = _learned(tmp_path / "start").state_dict()
    kept, worse = _net(), _net()
    for model, judged in ((kept, True), (worse, False)):
        model.load_state_dict(start)
        result = _fit(model, tmp_path / str(judged), RUINOUS, judge_start=judged)
        assert (result.best_epoch == 0) is judged
    assert all(torch.equal(tensor, start[name]) for name, tensor in kept.state_dict().items())


def test_a_judged_start_is_known_after_a_resume(tmp_path):
    start = _learned(tmp_path / "start").state_dict()
    model = _net()
    model.load_state_dict(start)
    with pytest.raises(KilledError):
        _fit(model, tmp_path / "fit", RUINOUS, judge_start=True, on_epoch=_kill_before(1))
    model.load_state_dict(start)
    result = _fit(model, tmp_path / "fit", RUINOUS, judge_start=True)
    assert (result.best_epoch, result.best_val_pct, len(result.history)) == (0, 100.0, 2)
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())


def test_tensorboard_reads_the_scalars_of_all_epochs_after_a_resume(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    with pytest.raises(KilledError):
        _fit(_net(), tmp_path, on_epoch=_kill_before(2))
    result = _fit(_net(), tmp_path)
    events = list(EventFileLoader(str(tmp_path / "tensorboard" / EVENTS_FILE)).Load())
    seen = [(event.step, value.tag) for event in events for value in event.summary.value]
    assert [step for step, tag in seen if tag == "train_loss"] == [1, 2, 3]
    assert {tag for _, tag in seen} == set(result.history[0]) - {"epoch"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_learns_on_a_gpu_in_mixed_precision_and_ends_on_the_cpu(tmp_path):
    model = _net()
    result = _fit(model, tmp_path, FitOptions(epochs=12, batch_size=8, lr=0.03), device="cuda")
    assert result.best_val_pct == 100.0
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"cpu"}
