import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

from compress.core.boxes import AnchorMap, BoxCoding, ssd_coding
from compress.detect.coding import anchors_of, corners, decode, encode, y_first
from tests.detect.test_boxes import boxes

GRIDS = ((20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))
CODING = ssd_coding(GRIDS)


def torchvision_anchors() -> torch.Tensor:
    """Return the corners of torchvision's SSDLite anchors at 320 px, in shares."""
    generator = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    images = ImageList(torch.zeros(1, 3, 320, 320), [(320, 320)])
    return generator(images, [torch.zeros(1, 8, *grid) for grid in GRIDS])[0] / 320


def test_anchors_are_torchvisions():
    np.testing.assert_allclose(corners(anchors_of(CODING)), torchvision_anchors().numpy(), atol=1e-6)


def test_encoding_and_decoding_are_torchvisions():
    wanted, reference = boxes(CODING.anchors), corners(anchors_of(CODING))
    coder = BoxCoder(weights=CODING.scales)
    encoded = coder.encode_single(torch.from_numpy(wanted), torch.from_numpy(reference)).numpy()
    np.testing.assert_allclose(encode(wanted, CODING), encoded, rtol=2e-4, atol=2e-4)
    raw = np.random.default_rng(0).normal(0, 3, (1, CODING.anchors, 4)).astype(np.float32)
    decoded = coder.decode_single(torch.from_numpy(raw[0]), torch.from_numpy(reference)).clamp(0, 1).numpy()
    np.testing.assert_allclose(decode(raw, CODING)[0], decoded, atol=1e-5)


@pytest.mark.parametrize("order", ["xywh", "yxhw"])
def test_a_box_comes_back(order):
    coding = CODING.model_copy(update={"order": order})
    wanted = boxes(coding.anchors)
    np.testing.assert_allclose(decode(encode(wanted, coding)[None], coding)[0], wanted, atol=1e-4)


def test_tensorflows_order_has_y_first():
    wanted = boxes(CODING.anchors)
    turned = CODING.model_copy(update={"order": "yxhw"})
    np.testing.assert_array_equal(encode(wanted, turned), encode(wanted, CODING)[:, [1, 0, 3, 2]])


def test_a_map_that_is_no_square_is_numbered_row_by_row():
    coding = BoxCoding(maps=(AnchorMap(rows=1, columns=2, sizes=((0.5, 1.0), (1.0, 0.5))),))
    expected = [[0.25, 0.5, 0.5, 1], [0.25, 0.5, 1, 0.5], [0.75, 0.5, 0.5, 1], [0.75, 0.5, 1, 0.5]]
    assert anchors_of(coding).tolist() == expected


def test_a_huge_size_stays_a_number():
    raw = np.full((1, CODING.anchors, 4), 1e6, np.float32)
    assert np.isfinite(decode(raw, CODING)).all()


@pytest.mark.parametrize(("order", "columns"), [("xywh", (1, 0, 3, 2)), ("yxhw", (0, 1, 2, 3))])
def test_other_runtimes_take_y_first(order: str, columns: tuple[int, ...]):
    coding = CODING.model_copy(update={"order": order, "scales": (1.0, 2.0, 3.0, 4.0)})
    turned = y_first(coding)
    assert turned.columns == columns
    assert turned.scales_4.tolist() == [2, 1, 4, 3]
    np.testing.assert_array_equal(turned.anchors_A4, anchors_of(coding)[:, [1, 0, 3, 2]])
