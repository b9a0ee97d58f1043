import numpy as np
import pytest
import torch

from compress.core.preprocess import Preprocess
from compress.engine import fit as engine_fit
from compress.engine.batches import TrainSet, ValSet
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.qat import classes_loss, train_quantized
from compress.quantize.qdq.fake_quant import Grid
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import range_groups
from compress.quantize.qdq.torch_graph import TorchGraph

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

PREPROCESS = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def _kl(student_NK: torch.Tensor, teacher_NK: torch.Tensor) -> float:
    return float(torch.nn.functional.kl_div(student_NK.log_softmax(1), teacher_NK.softmax(1), reduction="batchmean"))


def _train(float_model, grids, tmp_path, *, alpha=1.0, epochs=3, lr=5e-3, freeze_ranges_at=1.0):
    rng = np.random.default_rng(0)
    pixels_NHWC = rng.integers(0, 256, (96, 32, 32, 3), dtype=np.uint8)
    labels_N = np.arange(96) % 5
    quantized = QuantGraph(float_model, grids)
    teacher = TorchGraph(float_model).eval().requires_grad_(False)
    result = train_quantized(
        quantized,
        FitSetup(
            train=TrainSet(pixels_NHWC, np.ones(96, np.float32), labels_N),
            val=ValSet(pixels_NHWC, labels_N),
            num_classes=5,
            preprocess=PREPROCESS,
            options=FitOptions(epochs=epochs, lr=lr, batch_size=16, keep="last", weight_decay=0.0, crop_scale_min=0.9),
            work_dir=tmp_path,
            seed=0,
        ),
        classes_loss(teacher, temperature=1.0, alpha=alpha, label_smoothing=0.1),
        freeze_ranges_at=freeze_ranges_at,
    )
    return quantized, result


def test_training_brings_a_badly_ranged_graph_back_to_its_teacher(float_model, images_NCHW, tmp_path):
    images = torch.from_numpy(images_NCHW)
    groups = range_groups(float_model)
    good = calibrate(float_model, groups, lambda: [images], "minmax")
    # Ranges sixteen times too wide: four of eight bits are lost, which learned scales win back.
    wide = {g: grid if g.unit else Grid(grid.scale * 16, grid.zero_point) for g, grid in good.items()}
    with torch.no_grad():
        teacher_NK = TorchGraph(float_model)(images)
        before = _kl(QuantGraph(float_model, wide)(images), teacher_NK)
    quantized, result = _train(float_model, wide, tmp_path, epochs=12, lr=1e-2)
    with torch.no_grad():
        after = _kl(quantized(images), teacher_NK)
    assert len(result.history) == 12
    assert after < 0.7 * before
    moved = [abs(quantized.grids()[g.tensors[0]].scale / grid.scale - 1) for g, grid in wide.items() if not g.unit]
    assert max(moved) > 0.01
    gate = next(g for g in wide if g.unit)
    assert quantized.grids()[gate.tensors[0]] == wide[gate]


def test_the_same_training_twice_gives_the_same_bytes(float_model, images_NCHW, tmp_path):
    images = torch.from_numpy(images_NCHW)
    grids = calibrate(float_model, range_groups(float_model), lambda: [images])
    files = [
        _train(float_model, grids, tmp_path / name, alpha=0.5)[0].to_qdq(float_model, "uint8").SerializeToString()
        for name in ("first", "second")
    ]
    assert files[0] == files[1]


def test_grids_are_not_learned_in_bfloat16(float_model, images_NCHW, tmp_path, monkeypatch):
    seen, run_epoch = [], engine_fit.run_epoch
    monkeypatch.setattr(engine_fit, "run_epoch", lambda run, *rest: seen.append(run.amp) or run_epoch(run, *rest))
    grids = calibrate(float_model, range_groups(float_model), lambda: [torch.from_numpy(images_NCHW)])
    _train(float_model, grids, tmp_path, epochs=1)
    assert seen == [False]


def test_frozen_ranges_stay_while_weights_learn(float_model, images_NCHW, tmp_path):
    images = torch.from_numpy(images_NCHW)
    grids = calibrate(float_model, range_groups(float_model), lambda: [images])
    frozen, _ = _train(float_model, grids, tmp_path / "frozen", freeze_ranges_at=0.0)
    half, _ = _train(float_model, grids, tmp_path / "half", epochs=2, freeze_ranges_at=0.5)
    wanted = {name: grid.scale for group, grid in grids.items() for name in group.tensors}
    moved = {name: abs(grid.scale / wanted[name] - 1) for name, grid in frozen.grids().items()}
    assert max(moved.values()) < 1e-6
    assert max(abs(grid.scale / wanted[name] - 1) for name, grid in half.grids().items()) > 1e-4
    assert not np.array_equal(frozen.learned()["w0"], TorchGraph(float_model).learned()["w0"])
