"""The page with a detector in a real Chromium: boxes lie on the image, and the camera shows them live."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from tests.detector_files import DetectorFiles
from tests.serve.page.test_routes_browser import browser, listening, open_tab  # noqa: F401 - fixtures
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(detector_files: DetectorFiles, browser) -> Iterator[str]:  # noqa: F811 - the fixture of that name
    config = ServeConfig(models=[detector_files.tflite], threads=1, timeout_ms=60_000)
    with listening(create_app(config)) as address:
        yield address


def drop(page, body: bytes) -> None:
    page.locator("#file").set_input_files({"name": "part.jpg", "mimeType": "image/jpeg", "buffer": body})
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#boxes:not([hidden])")


def test_boxes_lie_on_the_image_and_are_listed(address, detector_files, open_tab):  # noqa: F811
    body = detector_files.images[0].read_bytes()
    width, height = Image.open(io.BytesIO(body)).size
    tab = open_tab(address)
    drop(tab.page, body)
    page = tab.page
    assert page.evaluate("[boxes.width, boxes.height]") == [width, height]
    shown, image = (page.locator(f"#{name}").bounding_box() for name in ("boxes", "preview"))
    assert shown["width"] / shown["height"] == pytest.approx(width / height, rel=0.02)
    assert shown["x"] >= image["x"] - 1
    assert shown["x"] + shown["width"] <= image["x"] + image["width"] + 1
    assert shown["y"] + shown["height"] / 2 == pytest.approx(image["y"] + image["height"] / 2, abs=1.5)
    drawn = page.evaluate(
        "Array.from(boxes.getContext('2d').getImageData(0, 0, boxes.width, boxes.height).data)"
        ".filter((_, i) => i % 4 === 3)"
    )
    assert 0 < np.count_nonzero(drawn) < len(drawn)
    assert page.locator("#predictions li").count() > 0
    assert page.get_attribute("#predictions", "aria-label") == "Boxes"
    assert page.locator("#top-k-field").is_hidden()
    assert any("/v1/detect" in url for url in tab.requests)
    tab.check()


def test_boxes_follow_the_image_when_the_window_changes_and_go_with_it(address, detector_files, open_tab):  # noqa: F811
    tab = open_tab(address)
    drop(tab.page, detector_files.images[0].read_bytes())
    before = tab.page.locator("#boxes").bounding_box()
    tab.page.set_viewport_size({"width": 400, "height": 700})

    def lies_on_the_image() -> bool:
        after, image = (tab.page.locator(f"#{name}").bounding_box() for name in ("boxes", "preview"))
        return after != before and abs(after["x"] + after["width"] / 2 - image["x"] - image["width"] / 2) < 1.5

    until(lies_on_the_image)
    tab.refusals_expected = True
    tab.page.locator("#file").set_input_files({"name": "bad.jpg", "mimeType": "image/jpeg", "buffer": b"no image"})
    tab.page.wait_for_selector("#error:not([hidden])")
    assert tab.page.locator("#boxes").is_hidden()


def test_the_camera_is_a_live_view_with_boxes(address, open_tab):  # noqa: F811
    tab = open_tab(address, permissions=["camera"])
    tab.page.click("#camera")
    tab.page.wait_for_selector("#boxes:not([hidden])")
    shown, video = (tab.page.locator(f"#{name}").bounding_box() for name in ("boxes", "video"))
    assert shown["x"] + shown["width"] / 2 == pytest.approx(video["x"] + video["width"] / 2, abs=1.5)
    tab.page.click("#camera")
    assert tab.page.locator("#boxes").is_hidden()
    tab.check()
