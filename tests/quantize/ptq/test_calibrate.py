import numpy as np
import pytest
import torch
from onnx import numpy_helper

from compress.errors import StageError
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.qdq.fake_quant import UNIT_GRID
from compress.quantize.qdq.quantizer_setup import range_groups


def _by_tensor(grids):
    return {name: grid for group, grid in grids.items() for name in group.tensors}


def test_minmax_covers_everything_seen_over_all_batches(float_model, images_NCHW):
    groups = range_groups(float_model)
    batches = [torch.from_numpy(images_NCHW[:8]), torch.from_numpy(images_NCHW[8:])]
    grids = _by_tensor(calibrate(float_model, groups, lambda: batches, "minmax"))
    low = (0 - grids["images"].zero_point) * grids["images"].scale
    high = (255 - grids["images"].zero_point) * grids["images"].scale
    assert low == pytest.approx(images_NCHW.min(), abs=grids["images"].scale)
    assert high == pytest.approx(images_NCHW.max(), abs=grids["images"].scale)
    assert grids["sig"] == UNIT_GRID
    assert grids["rd"].zero_point == 0  # after ReLU


def test_one_colour_images_are_refused(float_model):
    grey = torch.full((4, 3, 32, 32), 0.5)
    with pytest.raises(StageError, match="constant colour"):
        calibrate(float_model, range_groups(float_model), lambda: [grey])


def test_nan_is_named_with_its_tensor(float_model, images_NCHW):
    images_NCHW[3, 0, 0, 0] = np.nan
    with pytest.raises(StageError, match="'images' holds NaN"):
        calibrate(float_model, range_groups(float_model), lambda: [torch.from_numpy(images_NCHW)])


def test_mse_serves_the_faint_channels_that_the_next_layer_makes_loud(float_model, images_NCHW):
    """The depthwise layer is made to lift the channels that are faint in what it reads."""
    batches = [torch.from_numpy(images_NCHW)]
    arrays = {tensor.name: tensor for tensor in float_model.graph.initializer}
    loud = numpy_helper.to_array(arrays["w0"]).copy()
    loud[0] *= 100.0
    lifted = numpy_helper.to_array(arrays["wd"]).copy()
    lifted[1:] *= 100.0
    for name, array in (("w0", loud), ("wd", lifted)):
        arrays[name].CopyFrom(numpy_helper.from_array(array, name))
    float_model.graph.node[9].input[1] = "cp"  # the residual reads the hard-swish no longer
    grids = _by_tensor(calibrate(float_model, range_groups(float_model), lambda: batches))
    wide = _by_tensor(calibrate(float_model, range_groups(float_model), lambda: batches, "minmax"))
    assert grids["h0"].scale < 0.5 * wide["h0"].scale
