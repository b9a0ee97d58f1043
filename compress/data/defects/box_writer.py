"""Writes the images of one split with their boxes, and then what is in them as COCO JSON."""

from __future__ import annotations

from pathlib import Path

from compress.core.dataset import DefectsData
from compress.core.digest import sha256_bytes
from compress.core.storage import write_json
from compress.data.defects.boxes import BOX_LABELS, BoxImage, make_box_image


class BoxWriter:
    """Call it for each image, from any thread, and `finish` it."""

    def __init__(self, folder: Path, split: str, config: DefectsData) -> None:
        """Make the folder of the images."""
        self._folder, self._split, self._config = folder, split, config
        self._images: dict[int, BoxImage] = {}
        (folder / "images").mkdir(exist_ok=True)

    def __call__(self, index: int) -> dict[str, object]:
        """Write an image and return its row of the manifest."""
        config, name = self._config, self._name(index)
        image = make_box_image(config.seed, self._split, index, config.size_px)
        (self._folder / "images" / name).write_bytes(image.jpeg)
        self._images[index] = image
        digest = sha256_bytes(image.jpeg)
        return {"file": f"images/{name}", "sha256": digest, "surface": image.surface, "flaws": len(image.boxes)}

    def finish(self) -> None:
        """Write `<split>.json`."""
        side = self._config.size_px
        images = [{"id": i, "file_name": self._name(i), "width": side, "height": side} for i in sorted(self._images)]
        found = [
            (index, label + 1, x0, y0, x1 - x0, y1 - y0)
            for index, image in sorted(self._images.items())
            for label, (x0, y0, x1, y1) in zip(image.labels, image.boxes, strict=True)
        ]
        annotations = [
            {
                "id": number,
                "image_id": index,
                "category_id": category,
                "iscrowd": 0,
                "area": w * h,
                "bbox": [x, y, w, h],
            }
            for number, (index, category, x, y, w, h) in enumerate(found, 1)
        ]
        categories = [{"id": number, "name": label} for number, label in enumerate(BOX_LABELS, 1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_json(self._folder / f"{self._split}.json", content)

    def _name(self, index: int) -> str:
        return f"{self._split}_{index:06d}.jpg"
