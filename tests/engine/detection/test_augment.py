from __future__ import annotations

import pytest
import torch
from torch import Tensor

from compress.engine.detection.augment import augmented
from compress.engine.detection.options import DetectOptions

PLAIN = DetectOptions(iou_crop=0, zoom_out=0, photometric=0)
FULL = DetectOptions(iou_crop=1, zoom_out=1, photometric=1, flip="horizontal")
SIDE, OUT = 160, 128
GREY, WHITE = 128, 255
WHERE = (0.2, 0.45, 0.6, 0.6)
SLACK_PX = 2.0


def _of(options: DetectOptions, **changes: object) -> DetectOptions:
    return options.model_copy(update=changes)


def _image(*boxes: tuple[float, ...], colour: int = WHITE) -> Tensor:
    """Return grey with bright rectangles."""
    pixels_SSC = torch.full((SIDE, SIDE, 3), GREY, dtype=torch.uint8)
    for box in boxes:
        x0, y0, x1, y1 = (round(SIDE * share) for share in box)
        pixels_SSC[y0:y1, x0:x1] = colour
    return pixels_SSC


def _augmented(options: DetectOptions, seed: int = 0, boxes: tuple = (WHERE,), **changes) -> tuple[Tensor, ...]:
    pixels_SSC = changes.get("pixels", _image(*boxes))
    classes_B = changes.get("classes", torch.arange(len(boxes)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return augmented(pixels_SSC, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), classes_B, options, OUT)


def _bright(seen_CHW: Tensor) -> Tensor:
    """Return the corners of what is bright, in shares."""
    rows, columns = torch.nonzero(seen_CHW[0] > (GREY + WHITE) / 2, as_tuple=True)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / OUT


def test_without_augmentation_an_image_is_only_resized():
    seen_CHW, corners_B4, classes_B = _augmented(PLAIN, classes=torch.tensor([7]))
    assert (seen_CHW.dtype, seen_CHW.shape) == (torch.uint8, (3, OUT, OUT))
    torch.testing.assert_close(corners_B4, torch.tensor([WHERE]))
    assert classes_B.tolist() == [7]
    torch.testing.assert_close(_bright(seen_CHW), torch.tensor(WHERE), atol=1 / OUT, rtol=0)
    assert type(seen_CHW) is type(corners_B4) is Tensor


def test_the_channels_stay_where_they_are():
    pixels_SSC = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    pixels_SSC[..., 0], pixels_SSC[..., 2] = 200, 50
    seen_CHW, _, _ = _augmented(PLAIN, pixels=pixels_SSC)
    assert seen_CHW.float().mean(dim=(1, 2)).tolist() == [200, 0, 50]


@pytest.mark.parametrize(
    "options",
    [
        _of(PLAIN, zoom_out=1.0, zoom_out_most=4.0),
        _of(PLAIN, iou_crop=1.0),
        _of(PLAIN, flip="horizontal"),
        _of(FULL, photometric=0.0),
    ],
    ids=["zoomed out", "cut", "mirrored", "all"],
)
def test_a_box_stays_on_what_it_marks(options):
    changed = 0
    for seed in range(40):
        seen_CHW, corners_B4, classes_B = _augmented(options, seed)
        assert (corners_B4.shape, classes_B.tolist()) == ((1, 4), [0])
        torch.testing.assert_close(corners_B4[0], _bright(seen_CHW), atol=SLACK_PX / OUT, rtol=0)
        changed += not torch.allclose(corners_B4[0], torch.tensor(WHERE), atol=0.01)
    assert changed >= 10


def test_each_box_keeps_its_class():
    boxes = ((0.1, 0.1, 0.4, 0.3), (0.5, 0.2, 0.9, 0.5), (0.2, 0.6, 0.6, 0.9))
    pixels_SSC = _image(colour=0)
    for channel, box in enumerate(boxes):
        x0, y0, x1, y1 = (round(SIDE * share) for share in box)
        pixels_SSC[y0:y1, x0:x1] = 0
        pixels_SSC[y0:y1, x0:x1, channel] = 255
    kept = set()
    for seed in range(40):
        seen_CHW, corners_B4, classes_B = _augmented(_of(FULL, photometric=0), seed, boxes, pixels=pixels_SSC)
        for (x0, y0, x1, y1), index in zip((corners_B4 * OUT).round().int().tolist(), classes_B.tolist(), strict=True):
            inside_C = seen_CHW[:, y0:y1, x0:x1].float().mean(dim=(1, 2))
            assert inside_C.argmax() == index
            assert inside_C[index] > 200
        kept.add(len(classes_B))
    assert len(kept) > 1, "a cut leaves boxes out"
    assert 0 not in kept


def test_some_images_are_mirrored_and_others_are_not():
    seen = set()
    for seed in range(20):
        _, corners_B4, _ = _augmented(_of(PLAIN, flip="horizontal"), seed, ((0.1, 0.2, 0.3, 0.5),))
        seen.add(tuple(round(share, 2) for share in corners_B4[0].tolist()))
    assert seen == {(0.1, 0.2, 0.3, 0.5), (0.7, 0.2, 0.9, 0.5)}


def test_a_larger_canvas_makes_boxes_smaller_but_not_smaller_than_was_asked_for():
    areas = []
    for seed in range(40):
        _, corners_B4, _ = _augmented(_of(PLAIN, zoom_out=1, zoom_out_most=2.0), seed, ((0.0, 0.0, 1.0, 1.0),))
        areas.append(float((corners_B4[0, 2:] - corners_B4[0, :2]).prod()))
    assert 0.24 < min(areas) < 0.4
    assert 0.6 < max(areas) <= 1.0


def test_the_canvas_around_an_image_is_grey():
    black = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    options = _of(PLAIN, zoom_out=1, zoom_out_most=4.0)
    corners = [_augmented(options, seed, pixels=black)[0][:, [0, 0, -1, -1], [0, -1, 0, -1]] for seed in range(10)]
    assert all((colour == GREY).any() for colour in corners)


def test_colours_change_and_boxes_do_not():
    options = _of(PLAIN, photometric=1.0)
    plain, corners_B4, _ = _augmented(PLAIN)
    changed, same_B4, _ = _augmented(options)
    assert not torch.equal(plain, changed)
    assert torch.equal(corners_B4, same_B4)


@pytest.mark.parametrize(("name", "most"), [("iou_crop", 30), ("zoom_out", 45), ("photometric", 56)])
def test_a_chance_is_the_share_of_images_that_change(name, most):
    plain, _, _ = _augmented(PLAIN)
    changed = sum(not torch.equal(plain, _augmented(_of(PLAIN, **{name: 0.5}), seed)[0]) for seed in range(60))
    assert 10 < changed < most


@pytest.mark.parametrize("options", [PLAIN, FULL], ids=["plain", "all"])
def test_an_image_without_boxes_is_augmented_too(options):
    for seed in range(10):
        seen_CHW, corners_B4, classes_B = _augmented(options, seed, ())
        assert (seen_CHW.shape, corners_B4.shape, classes_B.shape) == ((3, OUT, OUT), (0, 4), (0,))
        assert classes_B.dtype == torch.int64


def test_a_box_too_small_to_be_seen_is_left_out_with_its_class():
    least = 2.2 / OUT
    boxes = ((0.5, 0.5, 0.5 + 1.5 / OUT, 0.9), (0.2, 0.2, 0.2 + least, 0.2 + least), (0.1, 0.5, 0.4, 0.5 + 1 / OUT))
    _, corners_B4, classes_B = _augmented(PLAIN, boxes=boxes)
    assert classes_B.tolist() == [1]
    torch.testing.assert_close(corners_B4, torch.tensor(boxes[1:2]))


def test_of_boxes_too_small_to_be_seen_none_is_left():
    _, corners_B4, classes_B = _augmented(PLAIN, boxes=((0.5, 0.5, 0.505, 0.505),))
    assert (corners_B4.shape, len(classes_B)) == ((0, 4), 0)


def test_the_draws_are_those_of_torchs_generator():
    first, same, other = (_augmented(FULL, seed) for seed in (1, 1, 2))
    assert all(torch.equal(*pair) for pair in zip(first, same, strict=True))
    assert not torch.equal(first[0], other[0])


def test_what_is_given_is_left_as_it_was():
    pixels_SSC = _image(WHERE)
    _augmented(FULL, pixels=pixels_SSC)
    assert torch.equal(pixels_SSC, _image(WHERE))


@pytest.mark.parametrize("side_px", [217, 233, 434])
def test_a_box_that_reaches_the_edge_stays(side_px):
    side = round(1.25 * side_px)
    pixels_SSC = torch.zeros(side, side, 3, dtype=torch.uint8)
    edge = torch.tensor([[0.2, 0.3, 1.0, 1.0]])
    _, corners_B4, classes_B = augmented(pixels_SSC, edge, torch.tensor([3]), PLAIN, side_px)
    assert classes_B.tolist() == [3]
    torch.testing.assert_close(corners_B4, edge)
    assert corners_B4.max() <= 1.0
