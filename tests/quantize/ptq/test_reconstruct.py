from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.core.stage import SilentReporter
from compress.engine.losses import kl_divergence
from compress.errors import StageError
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.ptq.divergence import of_classes
from compress.quantize.ptq.reconstruct import Reconstruction, WeightGrids, _step, reconstruct
from compress.quantize.qdq.fake_quant import weight_scales
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import block_ends, range_groups
from compress.quantize.qdq.torch_graph import TorchGraph

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml


def _parts(float_model, images_NCHW):
    images = torch.from_numpy(images_NCHW)
    teacher = TorchGraph(float_model)
    grids = calibrate(float_model, range_groups(float_model), lambda: [images], "minmax")
    return QuantGraph(float_model, grids), teacher, images


def _run(parts, float_model, *, steps=60, lr=0.05, seed=0):
    quantized, teacher, images = parts
    options = Reconstruction(steps=steps, batch_size=8, lr=lr, lr_scale=1e-2)
    sample = lambda indices: images[torch.from_numpy(indices)]  # noqa: E731
    blocks = block_ends(float_model)
    reconstruct(
        quantized,
        teacher,
        blocks,
        of_classes(teacher),
        sample,
        len(images),
        options,
        seed=seed,
        reporter=SilentReporter(),
    )
    return quantized


def _error(quantized, teacher, images_NCHW):
    with torch.no_grad():
        return float(((quantized(images_NCHW) - teacher(images_NCHW)) ** 2).mean())


def test_the_rounded_graph_comes_closer_on_images_it_has_not_seen(float_model, images_NCHW):
    parts = _parts(float_model, images_NCHW)
    quantized, teacher, _ = parts
    unseen = torch.from_numpy(np.random.default_rng(9).normal(size=(64, 3, 32, 32)).astype(np.float32))
    before = _error(quantized, teacher, unseen)
    _run(parts, float_model)
    assert _error(quantized, teacher, unseen) < 0.8 * before
    assert all(parameter.requires_grad for parameter in quantized.parameters())


def test_no_step_changes_nothing(float_model, images_NCHW):
    parts = _parts(float_model, images_NCHW)
    before = parts[0].learned()
    _run(parts, float_model, steps=0)
    after = parts[0].learned()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_without_blocks_a_step_looks_at_the_answers(float_model, images_NCHW):
    quantized, teacher, images = _parts(float_model, images_NCHW)
    with torch.no_grad():
        expected = float(kl_divergence(quantized(images), teacher(images)))
    optimizer = torch.optim.SGD([{"params": quantized.parameters(), "lr": 0.1, "highest": 0.1}])
    assert expected > 0
    assert _step(quantized, teacher, frozenset(), of_classes(teacher), images, optimizer, 0.0) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(("steps", "count", "done"), [(300, 512, 300), (300, 48, 240), (300, 5, 40), (0, 512, 0)])
def test_few_images_are_seen_at_most_so_often(steps, count, done):
    options = Reconstruction(steps=steps, batch_size=8, lr=0.05, lr_scale=1e-2)
    assert options.capped(count) == done


def test_the_same_seed_gives_the_same_weights(float_model, images_NCHW):
    first, second, other = (
        _run(_parts(float_model, images_NCHW), float_model, steps=5, seed=seed).learned() for seed in (3, 3, 4)
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_a_loss_that_is_not_finite_is_an_error(float_model, images_NCHW):
    parts = _parts(float_model, images_NCHW)
    parts[0].bias("b0").data[0] = float("nan")
    with pytest.raises(StageError, match="diverged"):
        _run(parts, float_model, steps=1)


def test_the_grids_of_the_weights_stay_where_they_are(float_model, images_NCHW):
    parts = _parts(float_model, images_NCHW)
    before = {name: value for name, value in parts[0].learned().items() if value.ndim > 1}
    after = _run(parts, float_model, steps=20, lr=0.2).learned()
    for name, weight in before.items():
        scales = weight_scales(torch.from_numpy(weight))
        assert torch.equal(weight_scales(torch.from_numpy(after[name])), scales)
        moved = np.abs(after[name] - weight).reshape(len(weight), -1).max(axis=1) / scales.numpy()
        assert moved.max() <= 20 * 0.2 + 1e-3
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_layers_that_stay_float_are_not_learned(float_model, images_NCHW):
    images = torch.from_numpy(images_NCHW)
    teacher, floats = TorchGraph(float_model), {"stem", "swish"}
    grids = calibrate(float_model, range_groups(float_model, floats), lambda: [images], "minmax")
    quantized = QuantGraph(float_model, grids, floats)
    before = quantized.learned()
    after = _run((quantized, teacher, images), float_model, steps=5).learned()
    assert np.array_equal(before["w0"], after["w0"])
    assert not np.array_equal(before["wd"], after["wd"])


def test_a_weight_that_moves_beyond_its_grid_stops_at_the_end_of_it(float_model, images_NCHW):
    quantized, _, _ = _parts(float_model, images_NCHW)
    grids = WeightGrids(quantized)
    for weight, _ in quantized.rounded_layers():
        start = weight.detach().clone()
        limit = start.abs().amax(dim=tuple(range(1, start.ndim)), keepdim=True)
        inner = start.abs() < limit
        with torch.no_grad():
            weight[inner & (start > 0)] += 1000.0
            weight[inner & (start < 0)] -= 1000.0
        grids.hold()
        assert torch.equal(weight.detach(), torch.where(inner, limit * start.sign(), start))
