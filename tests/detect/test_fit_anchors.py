"""Anchors fitted to boxes: k-means on IoU, map by map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from compress.core.boxes import AnchorMap, BoxCoding, ssd_coding
from compress.detect.fit_anchors import fitted_anchors, k_means, sides_iou

Sizes = tuple[tuple[float, float], ...]
OWN: Sizes = ((0.11, 0.22), (0.33, 0.44))


def random_sides(count: int, seed: int = 0, most: float = 1.0) -> np.ndarray:
    """Return random sides, f64 [B, 2]."""
    return np.random.default_rng(seed).uniform(0.01, most, (count, 2))


def scattered(centres: Sizes, each: int = 40, seed: int = 0) -> np.ndarray:
    """Return sides close around some, mixed; the middle ones are the given."""
    rng = np.random.default_rng(seed)
    factors = np.exp(rng.uniform(-0.08, 0.08, (len(centres), each, 2)))
    both = np.concatenate([factors, 1 / factors, np.ones((len(centres), 1, 2))], axis=1)
    return rng.permutation((np.array(centres)[:, None] * both).reshape(-1, 2))


def of_one_centre(sides_B2: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([-sides_B2 / 2, sides_B2 / 2], axis=1))


def mean_best_iou(sides_B2: np.ndarray, sizes: np.ndarray | Sizes) -> float:
    return float(sides_iou(sides_B2, np.array(sizes)).max(axis=1).mean())


def coding(*grids: tuple[int, int], sizes: Sizes = OWN) -> BoxCoding:
    return BoxCoding(maps=tuple(AnchorMap(rows=rows, columns=columns, sizes=sizes) for rows, columns in grids))


def test_overlaps_are_torchvisions_of_boxes_with_one_centre():
    first, second = random_sides(40), random_sides(7, seed=1)
    expected = box_iou(of_one_centre(first), of_one_centre(second)).numpy()
    np.testing.assert_allclose(sides_iou(first, second), expected, rtol=1e-12)
    assert sides_iou(first[:0], second).shape == (0, 7)


CENTRES: Sizes = ((0.1, 0.1), (0.5, 0.1), (0.2, 0.6), (0.8, 0.7))


@pytest.mark.parametrize("seed", range(5))
def test_the_groups_that_are_there_are_found_smallest_first(seed: int):
    found = k_means(scattered(CENTRES, seed=seed), len(CENTRES))
    np.testing.assert_allclose(found, CENTRES, rtol=1e-12)


def test_small_boxes_weigh_as_much_as_large_ones():
    """By distance instead of IoU the large ones would take both anchors."""
    small: Sizes = ((0.01, 0.04), (0.04, 0.01), (0.7, 0.8))
    found = k_means(scattered(small), 3)
    assert sorted(map(tuple, found.round(9))) == sorted(small)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_a_centre_is_the_median_of_the_boxes_that_are_nearest_to_it(count: int):
    sides = random_sides(200, seed=count)
    found = k_means(sides, count)
    assert found.shape == (count, 2)
    assert (np.diff(found.prod(axis=1)) >= 0).all()
    nearest = sides_iou(sides, found).argmax(axis=1)
    for index in range(count):
        np.testing.assert_array_equal(found[index], np.median(sides[nearest == index], axis=0))


def test_as_many_anchors_as_different_boxes_are_the_boxes():
    sides = random_sides(6)
    expected = sides[np.argsort(sides.prod(axis=1))]
    np.testing.assert_array_equal(k_means(np.repeat(sides, 3, axis=0), 6), expected)


def test_a_box_that_is_there_often_is_one_start():
    sides = np.concatenate([np.tile([[0.1, 0.1]], (50, 1)), [[0.2, 0.2], [0.9, 0.9]]])
    assert k_means(sides, 3).tolist() == [[0.1, 0.1], [0.2, 0.2], [0.9, 0.9]]


def test_nothing_is_drawn_and_the_order_of_boxes_does_not_matter():
    sides = random_sides(150)
    first = k_means(sides, 6)
    np.random.seed(9)
    np.testing.assert_array_equal(k_means(sides, 6), first)
    np.testing.assert_array_equal(k_means(np.random.default_rng(1).permutation(sides), 6), first)
    np.testing.assert_array_equal(random_sides(150), sides, "what is given is not changed")


def test_an_outlier_does_not_move_an_anchor():
    sides = np.concatenate([np.tile([[0.1, 0.1]], (50, 1)), [[0.9, 0.9]]])
    assert k_means(sides, 1).tolist() == [[0.1, 0.1]]


def test_fitted_anchors_cover_boxes_better_than_those_of_an_ssd():
    before = ssd_coding(((10, 10), (5, 5), (3, 3), (1, 1)))
    sides = random_sides(500, most=0.6) * np.array([1.0, 0.3])  # wide boxes
    after = fitted_anchors(before, sides)
    ious = [mean_best_iou(sides, [size for one in each.maps for size in one.sizes]) for each in (before, after)]
    assert ious[1] > ious[0] + 0.05


def test_all_but_the_sizes_stays():
    before = ssd_coding(((10, 10), (5, 5), (1, 1))).model_copy(update={"order": "yxhw", "score_threshold": 0.7})
    after = fitted_anchors(before, random_sides(500))
    grids = [[(one.rows, one.columns, len(one.sizes)) for one in each.maps] for each in (before, after)]
    assert grids[0] == grids[1]
    assert after.anchors == before.anchors
    assert after.model_dump(exclude={"maps"}) == before.model_dump(exclude={"maps"})
    assert all(old.sizes != new.sizes for old, new in zip(before.maps, after.maps, strict=True))
    assert BoxCoding.model_validate_json(after.model_dump_json()) == after


@pytest.mark.parametrize(
    ("scale", "place"), [(0.01, 0), (0.2999, 0), (0.3, 0), (0.3001, 1), (0.6, 1), (0.6001, 2), (0.99, 2)]
)
def test_a_box_is_for_the_first_map_of_whose_cells_it_covers_three_across(scale: float, place: int):
    before = coding((10, 10), (5, 5), (1, 1), sizes=((0.11, 0.22),))
    after = fitted_anchors(before, np.array([[scale, scale]]))
    assert [one.sizes for one in after.maps] == [
        ((scale, scale),) if number == place else ((0.11, 0.22),) for number in range(3)
    ]


def test_the_size_of_a_box_is_the_root_of_its_area():
    after = fitted_anchors(coding((10, 10), (1, 1), sizes=((0.11, 0.22),)), np.array([[0.8, 0.1]]))
    assert [one.sizes for one in after.maps] == [((0.8, 0.1),), ((0.11, 0.22),)], "0.28 a side"


def test_the_smaller_side_of_a_cell_counts():
    for grid in ((10, 2), (2, 10)):
        after = fitted_anchors(coding(grid, (1, 1), sizes=((0.11, 0.22),)), np.array([[0.4, 0.4]]))
        assert [one.sizes for one in after.maps] == [((0.11, 0.22),), ((0.4, 0.4),)]


def test_the_last_map_takes_all_that_is_larger():
    after = fitted_anchors(coding((30, 30), (20, 20)), np.array([[0.9, 0.9], [0.5, 0.9], [1.0, 1.0]]))
    assert after.maps[0].sizes == OWN
    assert mean_best_iou(np.array([[0.9, 0.9]]), after.maps[1].sizes) > 0.8
    alone = fitted_anchors(coding((30, 30)), np.array([[0.01, 0.01], [1.0, 1.0000001]]))
    assert alone.maps[0].sizes == ((0.01, 0.01), (1.0, 1.0000001)), "and the only one takes all"


@pytest.mark.parametrize(
    "sides",
    [np.zeros((0, 2)), np.array([[0.05, 0.05]]), np.tile([[0.05, 0.05]], (9, 1))],
    ids=["none", "one", "nine equal"],
)
def test_a_map_with_fewer_different_boxes_than_anchors_keeps_its_own(sides: np.ndarray):
    before = coding((10, 10), (1, 1))
    assert fitted_anchors(before, sides) == before


def test_as_many_different_boxes_as_anchors_are_enough():
    after = fitted_anchors(coding((10, 10), (1, 1)), np.array([[0.05, 0.2], [0.05, 0.05], [0.05, 0.05]]))
    assert [one.sizes for one in after.maps] == [((0.05, 0.05), (0.05, 0.2)), OWN]
