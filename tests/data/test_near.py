"""A hash that hardly changes with size and compression."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from compress.data.near import details_of, groups, image_hash, is_same, near_pairs


def scene(seed: int, side_px: int = 400) -> Image.Image:
    """Return an image of soft blobs, as natural images are."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side_px, side_px), Image.Resampling.BICUBIC)


def thumbnail(image: Image.Image, side_px: int, quality: int) -> Image.Image:
    small, file = image.copy(), io.BytesIO()
    small.thumbnail((side_px, side_px))
    small.save(file, "JPEG", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(("side_px", "quality"), [(64, 60), (128, 75), (300, 40)])
def test_a_thumbnail_is_found_among_others(side_px, quality):
    images = [scene(seed) for seed in range(300)]
    hashes = [image_hash(one) for one in (*images, thumbnail(images[7], side_px, quality))]
    assert near_pairs(hashes) == [(7, 300)]


def test_another_place_in_a_scene_is_another_image():
    image = scene(1)
    moved = image.transform(image.size, Image.Transform.AFFINE, (1, 0, 60, 0, 1, 0))
    assert near_pairs([image_hash(image), image_hash(moved)]) == []
    assert near_pairs([image_hash(image), image_hash(image.filter(ImageFilter.GaussianBlur(2)))]) == [(0, 1)]


def test_flat_images_are_like_no_other():
    flat = [image_hash(Image.new("RGB", (40, 40), (shade, shade, shade))) for shade in (10, 10, 200)]
    assert flat == ["", "", ""]
    assert near_pairs([*flat, image_hash(scene(0))]) == []


def test_pairs_across_blocks_are_found():
    hashes = [image_hash(scene(seed, 40)) for seed in range(600)]
    hashes[599] = hashes[3]
    assert near_pairs(hashes) == [(3, 599)]


def test_groups_hang_together_through_others():
    assert groups(6, [(4, 2), (2, 0), (3, 5)]) == [0, 1, 0, 3, 0, 3]


def test_details_tell_an_image_from_another_with_the_same_light():
    light = np.linspace(0, 200, 400)[None, :, None] * np.ones((400, 1, 3))

    def surface(seed: int) -> Image.Image:
        grain = np.random.default_rng(seed).normal(0, 20, (50, 50))
        rough = np.kron(grain, np.ones((8, 8)))[..., None]
        return Image.fromarray(np.clip(light + rough, 0, 255).astype(np.uint8))

    one, other = surface(0), surface(1)
    assert is_same(details_of(one), details_of(thumbnail(one, 128, 75)))
    assert not is_same(details_of(one), details_of(other))
    assert not is_same(details_of(Image.new("L", (40, 40))), details_of(one))
