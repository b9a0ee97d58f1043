import numpy as np
import pytest
import torch

from compress.errors import StageError
from compress.quantize.calibrate import Histogram, best_grid, calibrate
from compress.quantize.fake_quant import UNIT_GRID
from compress.quantize.points import range_groups
from compress.quantize.torch_graph import TorchGraph


def _histogram(values: np.ndarray) -> Histogram:
    counts, _ = np.histogram(values, bins=2048, range=(values.min(), values.max()))
    return Histogram(float(values.min()), float(values.max()), counts.astype(float))


def _by_tensor(grids):
    return {name: grid for group, grid in grids.items() for name in group.tensors}


def test_minmax_covers_everything_seen_over_all_batches(float_model, images_NCHW):
    graph, groups = TorchGraph(float_model), range_groups(float_model)
    batches = [torch.from_numpy(images_NCHW[:8]), torch.from_numpy(images_NCHW[8:])]
    grids = _by_tensor(calibrate(graph, groups, lambda: batches, "minmax"))
    low = (0 - grids["images"].zero_point) * grids["images"].scale
    high = (255 - grids["images"].zero_point) * grids["images"].scale
    assert low == pytest.approx(images_NCHW.min(), abs=grids["images"].scale)
    assert high == pytest.approx(images_NCHW.max(), abs=grids["images"].scale)
    assert grids["sig"] == UNIT_GRID
    assert grids["rd"].zero_point == 0  # after ReLU


def test_mse_gives_up_a_lone_outlier():
    values = np.append(np.random.default_rng(0).normal(size=1_000_000), 30.0)
    grid = best_grid(_histogram(values), None)
    assert grid.scale * 255 < 20


def test_mse_keeps_the_ends_of_an_even_distribution():
    grid = best_grid(_histogram(np.random.default_rng(0).uniform(-2, 6, 100_000)), None)
    assert grid.scale * 255 == pytest.approx(8.0, rel=0.02)


def test_under_hard_swish_nothing_is_spent_below_minus_three():
    values = np.random.default_rng(0).uniform(-30, 6, 200_000)
    plain, aware = best_grid(_histogram(values), None), best_grid(_histogram(values), "HardSwish")
    assert -plain.zero_point * plain.scale < -25
    assert -aware.zero_point * aware.scale == pytest.approx(-3.0, abs=0.1)


def test_one_colour_pictures_are_refused(float_model):
    grey = torch.full((4, 3, 32, 32), 0.5)
    with pytest.raises(StageError, match="constant colour"):
        calibrate(TorchGraph(float_model), range_groups(float_model), lambda: [grey])


def test_nan_is_named_with_its_tensor(float_model, images_NCHW):
    images_NCHW[3, 0, 0, 0] = np.nan
    with pytest.raises(StageError, match="'images' holds NaN"):
        calibrate(TorchGraph(float_model), range_groups(float_model), lambda: [torch.from_numpy(images_NCHW)])
