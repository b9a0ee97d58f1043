"""report.html in a real Chromium, from the disk: on a phone and a desk, in light and dark."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from compress.report.write import HTML_NAME, write_report
from tests.contrast import WEAKEST_CONTRAST
from tests.report.box_run import box_run
from tests.report.rich_run import rich_run

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCHEMES, SIZES = ("light", "dark"), ((390, 844), (1280, 900))

# of the text in drawings, in pixels of the screen
SMALLEST_TEXT_PX = """() => Math.min(...[...document.querySelectorAll("svg text")].map((e) =>
    parseFloat(e.getAttribute("font-size")) * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b)))"""


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium on the path: `make browser` installs Debian's")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def artifacts() -> Path:
    folder = Path(os.environ.get("IMGC_TEST_ARTIFACTS", ROOT / "build" / "test-artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(params=[rich_run, box_run])
def page_file(request, make_run, tmp_path) -> Path:
    run = request.param(make_run, tmp_path / "images")
    write_report(run.path)
    return run.path / HTML_NAME


@pytest.mark.parametrize("size", SIZES, ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_asks_for_nothing_complains_of_nothing_and_fits(browser, page_file, artifacts, scheme, size) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.screenshot(path=artifacts / f"report-{scheme}-{size[0]}.png", full_page=True)
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(WEAKEST_CONTRAST) >= 4.5  # WCAG 2, AA, text of normal size
    assert page.evaluate(SMALLEST_TEXT_PX) >= 9.5
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 18, 22)") == (scheme == "dark")
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    context.close()


def test_every_drawing_and_image_has_a_name(browser, page_file) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    images = page.get_by_role("img")
    assert images.count() == page.locator("svg").count() + page.locator("img").count()
    assert all(image.get_attribute("aria-label") or image.get_attribute("alt") for image in images.all())
    page.close()
