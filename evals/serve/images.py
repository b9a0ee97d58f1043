"""The images that every server is asked about: real images, stored again at one size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from compress.data.decode import decode
from compress.errors import UsageError

SIZE_PX = (500, 400)
LARGE_PX = (4000, 3000)
COUNT = 100
_QUALITY = 85
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class LoadImages:
    """JPEG files.

    Attributes:
        small: of `SIZE_PX`.
        large: one of `LARGE_PX`, laid out of the small ones, so that it has the detail of an image.
    """

    small: list[Path]
    large: Path

    def bodies(self) -> list[bytes]:
        """Return the bytes of the small ones."""
        return [path.read_bytes() for path in self.small]


def make_images(photos: Path, folder: Path, count: int = COUNT) -> LoadImages:
    """Write `count` images and the large one into `folder`, of images taken evenly from all below `photos`.

    Raises:
        UsageError: there are no images.
        BadImageError: one of them is damaged.
    """
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise UsageError(f"{photos}: holds no images")
    chosen = [found[index * len(found) // count] for index in range(count)]
    images = [ImageOps.fit(decode(path), SIZE_PX) for path in chosen]
    small = [_stored(image, folder / f"{index:03}.jpg") for index, image in enumerate(images)]
    return LoadImages(small, _stored(_mosaic(images), folder / "large.jpg"))


def _mosaic(images: list[Image.Image]) -> Image.Image:
    mosaic = Image.new("RGB", LARGE_PX)
    (width, height), columns = SIZE_PX, LARGE_PX[0] // SIZE_PX[0]
    for place in range(columns * -(-LARGE_PX[1] // height)):
        mosaic.paste(images[place % len(images)], (place % columns * width, place // columns * height))
    return mosaic


def _stored(image: Image.Image, path: Path) -> Path:
    image.save(path, "JPEG", quality=_QUALITY)
    return path
