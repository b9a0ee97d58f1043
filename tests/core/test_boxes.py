import pytest
from pydantic import ValidationError

from compress.core.boxes import AnchorMap, BoxCoding, ssd_coding

GRIDS = ((20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))


def test_it_survives_json():
    coding = ssd_coding(GRIDS)
    assert BoxCoding.model_validate_json(coding.model_dump_json()) == coding


def test_anchors_and_scores_are_counted():
    coding = ssd_coding(GRIDS)
    assert coding.anchors == 3234  # of torchvision's ssdlite320_mobilenet_v3_large
    assert coding.columns(6) == 7
    assert coding.model_copy(update={"background": "none"}).columns(6) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"maps": ()},
        {"scales": (10.0, 10.0, 0.0, 5.0)},
        {"order": "xyxy"},
        {"score_threshold": 1.5},
        {"nms_iou": -0.1},
        {"max_boxes": 0},
        {"more": 1},
        {"maps": (AnchorMap(rows=1000, columns=101, sizes=((0.5, 0.5),)),)},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        BoxCoding(**{"maps": (AnchorMap(rows=1, columns=1, sizes=((0.5, 0.5),)),), **wrong})


@pytest.mark.parametrize("sizes", [(), ((0.0, 0.5),), ((float("nan"), 0.5),)])
def test_an_anchor_has_a_size(sizes):
    with pytest.raises(ValidationError):
        AnchorMap(rows=1, columns=1, sizes=sizes)
