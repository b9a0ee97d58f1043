import numpy as np
import pytest

from compress.core.preprocess import Preprocess
from compress.data.transforms import Placement, shown_part
from compress.detect.answers import Boxes
from compress.detect.geometry import in_image, in_square


@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
def test_a_box_comes_back(fit):
    size = (900, 300)
    place = Placement(size, *shown_part(size, Preprocess(resize_px=64, crop_px=64, fit=fit)))
    wanted = np.array([[400, 20, 500, 290]], np.float32)
    boxes = Boxes(in_square(wanted, place), np.ones(1, np.float32), np.zeros(1, np.int64))
    np.testing.assert_allclose(in_image(boxes, place).corners_B4, wanted, atol=1e-3)


def test_a_letterbox_reaches_beyond_and_boxes_do_not():
    place = Placement((100, 50), *shown_part((100, 50), Preprocess(resize_px=64, crop_px=64, fit="letterbox")))
    assert (place.left, place.top, place.width, place.height) == (0, -25, 100, 100)
    whole = Boxes(np.array([[0, 0, 1, 1]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))
    assert in_image(whole, place).corners_B4.tolist() == [[0, 0, 100, 50]]
