from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from compress.engine.augmentation.photometric import auto_contrast, blend_brightness, blend_contrast, blend_saturation

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (blend_brightness, tv.adjust_brightness),
        (blend_contrast, tv.adjust_contrast),
        (blend_saturation, tv.adjust_saturation),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
def test_blends_as_torchvision_does(ours, theirs, factor):
    expected = torch.stack([theirs(image / 255, factor) * 255 for image in IMAGES])
    torch.testing.assert_close(ours(IMAGES, torch.full((2,), factor)), expected, atol=0.02, rtol=1e-4)


def test_auto_contrast_stretches_each_channel_and_leaves_flat_ones():
    images = IMAGES * 0.5 + 20
    images[0, 1] = 7.0
    stretched = auto_contrast(images)
    assert (stretched[0, 1] == 7.0).all()
    torch.testing.assert_close(stretched[1].amin(dim=(1, 2)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(stretched[1].amax(dim=(1, 2)), torch.full((3,), 255.0))
