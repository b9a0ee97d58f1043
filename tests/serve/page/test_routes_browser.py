"""The page in a real Chromium: against the real server, and against canned answers for what is rare or hard to time."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from compress.serve.http.docs_page import docs_html
from compress.serve.page.routes import PAGE_HEADERS, page_routes
from tests.contrast import WEAKEST_CONTRAST
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SHA = "5f3a9c" + "0" * 58
RED, GREEN, BLUE = (220, 60, 20), (30, 200, 60), (20, 60, 220)
SCHEMES, WIDTHS = ("light", "dark"), (360, 1280)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CONTROLS = "button, input, select, textarea, a[href], [tabindex]"


class Canned:
    """An application with the real page and made-up answers, which remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.names = ["shirts"]
        self.answer: dict = {}
        self.key = ""
        self.faults: list[tuple[int, dict, dict]] = []
        self.health_status = 200
        health = Route("/healthz", self.health)
        classify = Route("/v1/classify", self.classify, methods=["POST"])
        docs = Route("/docs", lambda _: HTMLResponse(docs_html(DOCUMENT), headers=PAGE_HEADERS))
        self.app = Starlette(routes=[*page_routes(), health, classify, docs])

    async def health(self, _):
        if self.health_status != 200:
            return JSONResponse({"error": "starting", "code": "not_ready", "request_id": "h"}, self.health_status)
        facts = {"version": SHA[:12], "precision": "int8", "runtime": "onnxruntime 1.27", "num_classes": 10}
        models = [{"name": name, **facts} for name in self.names]
        degraded = bool(self.answer.get("degraded"))
        return JSONResponse(
            {"status": "ok", "model": self.names[0], "sha256": SHA, **facts, "models": models}
            | {"degraded": degraded, "in_flight": 0, "queue": 0}
        )

    async def classify(self, request):
        body = await request.body()
        self.asked.append(
            dict(request.query_params) | {"at": monotonic(), "body": body, "key": request.headers.get("x-api-key", "")}
        )
        if self.key and request.headers.get("x-api-key") != self.key:
            return JSONResponse(
                {"error": "this server asks for its API key", "code": "unauthorized", "request_id": "k"}, 401
            )
        if self.faults:
            status, content, headers = self.faults.pop(0)
            return JSONResponse(content, status, headers)
        return JSONResponse(self.contract(request.query_params) | self.answer)

    def contract(self, query) -> dict:
        labels = ("pullover", "t-shirt / top", "long-sleeved shirt with buttons", "coat", "dress")
        scores = (0.8712, 0.0934, 0.0218, 0.0091, 0.0045)
        rows = [
            {"index": i, "label": label, "score": score}
            for i, (label, score) in enumerate(zip(labels, scores, strict=True))
        ]
        return {
            "id": "abc",
            "model": query.get("model", self.names[0]),
            "version": SHA[:12],
            "precision": "int8",
            "degraded": False,
            "cached": False,
            "predictions": rows[: int(query["top_k"])],
            "timing_ms": {"queue": 0.4, "decode": 1.9, "infer": 1.2, "total": 3.8},
        }


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "imgc serve", "version": "0.1.0"},
    "paths": {
        "/v1/classify": {
            "post": {
                "summary": "Classify an image",
                "parameters": [
                    {"name": "top_k", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}}
                ],
                "requestBody": {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}},
                "responses": {"200": {"description": "the best classes"}},
            }
        }
    },
}


@contextmanager
def listening(app) -> Iterator[str]:
    """Run an application on a free port and yield its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium on the path: `make browser` installs Debian's")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup")
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    sync_api.expect.set_options(timeout=15_000)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def real_address(onnx_file, browser) -> Iterator[str]:  # no server where there is no browser
    with listening(create_app(ServeConfig(models=[onnx_file], threads=2))) as address:
        yield address


class Switch:
    """An application that is another one in each test, so that one server does for all of them."""

    def __init__(self) -> None:
        self.app = Canned().app

    async def __call__(self, scope, receive, send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def switch(browser) -> Iterator[Switch]:
    switch = Switch()
    with listening(switch) as address:
        switch.address = address
        yield switch


@pytest.fixture
def canned(switch) -> Canned:
    canned = Canned()
    canned.address, switch.app = switch.address, canned.app
    return canned


class Tab:
    """A page of the browser, with all that it said and asked for on the way."""

    def __init__(self, page) -> None:
        self.page = page
        self.refusals_expected = False  # Chromium itself reports every HTTP error on the console
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP', e.violatedDirective))"
        )

    def _hear(self, message) -> None:
        refusal = self.refusals_expected and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not refusal:
            self.complaints.append(message.text)

    def check(self) -> None:
        assert self.complaints == []
        here = self.page.url.split("/")[2]
        assert {url for url in self.requests if not url.startswith((f"http://{here}/", "blob:", "data:"))} == set()


@pytest.fixture
def open_tab(browser):
    tabs = []

    def open_tab(address: str, **options) -> Tab:
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        tab = Tab(context.new_page())
        tabs.append(tab)
        tab.page.goto(address)
        return tab

    yield open_tab
    for tab in tabs:
        tab.check()
        tab.page.context.close()


@pytest.fixture
def real(open_tab, real_address):
    return open_tab(real_address)


def choose(page, *images: tuple[str, bytes]) -> None:
    page.locator("#file").set_input_files(
        [{"name": name, "mimeType": "image/jpeg", "buffer": content} for name, content in images]
    )


def first_label(page):
    return page.get_by_role("list", name="Best classes").get_by_role("listitem").first


def expect(locator):
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(locator)


def figure_of(page, list_id: str, name: str):
    return page.locator(f"#{list_id} div", has=page.get_by_text(name, exact=True)).locator("dd")


def figure(page, list_id: str, name: str) -> str:
    return figure_of(page, list_id, name).inner_text()


# --- the real server ---


def test_a_chosen_image_gets_bars_with_the_right_class_first(real, image):
    choose(real.page, ("sea.jpg", image(BLUE)))
    expect(first_label(real.page)).to_contain_text("blue")
    meters = real.page.get_by_role("meter")
    assert meters.count() == 3
    shares = [float(meter.get_attribute("aria-valuenow")) for meter in meters.all()]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert meters.first.get_attribute("aria-label") == "blue"
    assert real.page.get_by_role("img", name="sea.jpg").is_visible()
    expect(real.page.locator("#announce")).to_have_text(re.compile(r"blue, \d+\.\d %"))
    assert figure(real.page, "timing", "Round trip").endswith(" ms")
    assert figure(real.page, "identity", "Precision") == "fp32"
    assert figure(real.page, "stats", "Samples") == "1"


def test_several_images_are_asked_about_in_turn_and_kept_in_the_strip(real, image):
    choose(real.page, *((f"{name}.jpg", image(colour)) for name, colour in (("a", RED), ("b", GREEN), ("c", BLUE))))
    strip = real.page.get_by_role("list", name="Last images").get_by_role("button")
    expect(strip).to_have_count(3)
    assert [item.inner_text() for item in strip.all()] == ["blue", "green", "red"]
    assert real.page.locator("#progress").inner_text() == "3 of 3"
    real.page.get_by_role("button", name="a.jpg: red").click()
    expect(first_label(real.page)).to_contain_text("red")
    assert real.page.get_by_role("img", name="a.jpg").is_visible()


def test_what_is_no_image_shows_the_servers_words_and_the_next_one_works(real, image):
    real.refusals_expected = True
    choose(real.page, ("notes.jpg", b"just text"))
    alert = real.page.get_by_role("alert")
    expect(alert).to_contain_text("Not an image this server reads")
    assert "HTTP 415" in alert.inner_text()
    assert real.page.locator("#result").is_hidden()
    choose(real.page, ("good.jpg", image(RED)))
    expect(first_label(real.page)).to_contain_text("red")
    assert alert.is_hidden()
    assert figure(real.page, "stats", "Errors") == "1"


def test_the_keyboard_alone_opens_the_chooser(real, image):
    expect(real.page.locator("#state")).to_contain_text("ready")
    with real.page.expect_file_chooser() as chooser:  # from before the Tabs: it takes the browser a moment to listen
        for _ in range(10):
            real.page.keyboard.press("Tab")
            if real.page.evaluate("document.activeElement.id") == "choose":
                break
        assert real.page.locator("#choose").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
        real.page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files([{"name": "k.jpg", "mimeType": "image/jpeg", "buffer": image(GREEN)}])
    expect(first_label(real.page)).to_contain_text("green")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_an_image_may_be_dropped_or_pasted(real, image, kind):
    give = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "given.jpg", {type: "image/jpeg"}));
        const event = kind === "drop" ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
                                      : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
        document.getElementById("drop").dispatchEvent(event);
    }"""
    real.page.evaluate(give, [kind, list(image(RED))])
    expect(first_label(real.page)).to_contain_text("red")


def test_the_cameras_frames_are_classified_until_it_is_stopped(real):
    button = real.page.get_by_role("button", name="Start camera")
    button.click()
    expect(real.page.get_by_role("meter")).to_have_count(3)
    expect(figure_of(real.page, "stats", "Samples")).to_have_text(re.compile(r"[5-9]|\d\d+"))
    assert real.page.locator("#video").is_visible()
    assert real.page.get_by_role("list", name="Last images").get_by_role("button").count() >= 1
    real.page.evaluate("window.track = document.getElementById('video').srcObject.getTracks()[0]")
    real.page.get_by_role("button", name="Stop camera").click()
    expect(button).to_be_visible()
    assert real.page.locator("#video").is_hidden()
    assert real.page.evaluate("window.track.readyState") == "ended"
    real.page.wait_for_timeout(300)
    asked = len(real.requests)
    real.page.wait_for_timeout(500)
    assert len(real.requests) == asked


def test_frames_are_asked_about_one_at_a_time(real):
    watch = """() => {
        const ask = fetch;
        window.most = 0; let now = 0;
        window.fetch = async (...all) => {
            window.most = Math.max(window.most, ++now);
            try { return await ask(...all); } finally { now--; }
        };
    }"""
    expect(real.page.locator("#state")).to_contain_text("ready")
    real.page.evaluate(watch)
    real.page.get_by_role("button", name="Start camera").click()
    expect(figure_of(real.page, "stats", "Samples")).to_have_text(re.compile(r"[5-9]|\d\d+"))
    assert real.page.evaluate("window.most") == 1


# --- canned answers ---


def test_badges_identity_and_parts_of_the_latency(open_tab, canned, image):
    canned.answer = {"degraded": True, "cached": True}
    page = open_tab(canned.address).page
    choose(page, ("a.jpg", image()))
    expect(page.locator("#badge-degraded")).to_be_visible()
    assert page.locator("#badge-cached").is_visible()
    assert [figure(page, "timing", name) for name in ("Queue", "Decode", "Inference", "Server total")] == [
        "0.40 ms",
        "1.90 ms",
        "1.20 ms",
        "3.80 ms",
    ]
    assert figure(page, "timing", "Other") == "0.30 ms"
    assert figure(page, "identity", "Model") == "shirts"
    assert figure(page, "identity", "SHA-256") == SHA[:12]
    assert figure(page, "stats", "Samples") == "0"
    assert figure(page, "stats", "Round trip p50") == "–"
    assert figure(page, "stats", "Cached") == "1"
    assert figure(page, "stats", "Cached p50").endswith(" ms")
    canned.answer = {}
    choose(page, ("b.jpg", image()))
    expect(page.locator("#badge-degraded")).to_be_hidden()
    assert page.locator("#badge-cached").is_hidden()
    assert figure(page, "stats", "Samples") == "1"


def test_the_models_and_the_number_of_classes_can_be_chosen(open_tab, canned, image):
    canned.names = ["shirts", "shoes"]
    page = open_tab(canned.address).page
    picker = page.get_by_label("Model")
    expect(picker).to_be_visible()
    choose(page, ("a.jpg", image()))
    expect(page.get_by_role("meter")).to_have_count(5)
    picker.select_option("shoes")
    expect(page.locator("#identity")).to_contain_text("shoes")
    page.get_by_label("Classes shown").fill("2")
    page.get_by_label("Classes shown").press("Enter")
    expect(page.get_by_role("meter")).to_have_count(2)
    assert [(one.get("model"), one["top_k"]) for one in canned.asked] == [
        ("shirts", "5"),
        ("shoes", "5"),
        ("shoes", "2"),
    ]
    page.get_by_label("Classes shown").fill("99")
    page.get_by_label("Classes shown").press("Enter")
    assert page.get_by_label("Classes shown").input_value() == "10"


def test_the_strip_keeps_the_newest_twelve(open_tab, canned, image):
    page = open_tab(canned.address).page
    choose(page, *((f"{number}.jpg", image()) for number in range(14)))
    expect(page.locator("#progress")).to_have_text("14 of 14")
    strip = page.get_by_role("list", name="Last images").get_by_role("button")
    expect(strip.first).to_have_attribute("title", "13.jpg")
    assert [item.get_attribute("title") for item in strip.all()] == [f"{number}.jpg" for number in range(13, 1, -1)]


def test_a_click_on_the_drop_zone_opens_the_chooser_too(open_tab, canned):
    page = open_tab(canned.address).page
    with page.expect_file_chooser():
        page.locator("#drop").click()


def test_one_model_needs_no_picker(open_tab, canned):
    page = open_tab(canned.address).page
    expect(page.locator("#state")).to_contain_text("ready")
    assert page.locator("#model").is_hidden()


def test_a_key_is_asked_for_when_it_is_needed_sent_and_never_stored(open_tab, canned, image):
    canned.key = "secret-1"
    tab = open_tab(canned.address)
    tab.refusals_expected = True
    page = tab.page
    assert page.locator("#key").is_hidden()
    choose(page, ("a.jpg", image()), ("b.jpg", image(BLUE)))
    field = page.get_by_label("API key")
    expect(field).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("API key")
    field.fill("secret-1")
    field.press("Enter")
    expect(page.get_by_role("list", name="Last images").get_by_role("button")).to_have_count(2)
    assert field.is_hidden()
    assert [one["key"] for one in canned.asked] == ["", "secret-1", "secret-1"]
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert "secret-1" not in page.url


def test_errors_can_be_read(open_tab, canned, image):
    content = {"error": "too many requests are waiting", "code": "overloaded", "request_id": "r-17"}
    canned.faults = [(503, content, {"Retry-After": "2"})]
    tab = open_tab(canned.address)
    tab.refusals_expected = True
    choose(tab.page, ("a.jpg", image()))
    alert = tab.page.get_by_role("alert")
    expect(alert).to_have_text("Too many requests are waitingHTTP 503 · overloaded · try again in 2 s · request r-17")
    tab.page.route("**/v1/classify*", lambda route: route.abort())
    choose(tab.page, ("a.jpg", image()))
    expect(alert).to_contain_text("The server cannot be reached")


def test_text_from_the_server_stays_text(open_tab, canned, image):
    evil = "<img src=x onerror=alert(1)>"
    canned.answer = {"model": evil, "predictions": [{"index": 0, "label": evil, "score": 1}]}
    page = open_tab(canned.address).page
    choose(page, ("a.jpg", image()))
    expect(first_label(page)).to_contain_text(evil)
    assert page.locator("#answer img").count() == 0


def test_answers_without_the_newer_fields_are_shown(open_tab, canned, image):
    canned.answer = {"timing_ms": {"total": 3}, "precision": None, "predictions": []}
    page = open_tab(canned.address).page
    choose(page, ("a.jpg", image()))
    expect(page.locator("#timing")).to_contain_text("Server total")
    assert "Decode" not in page.locator("#timing").inner_text()


def test_a_server_that_is_not_ready_is_said_to_be_so(open_tab, canned):
    canned.health_status = 503
    tab = open_tab("about:blank")
    tab.refusals_expected = True
    tab.page.goto(canned.address)
    expect(tab.page.locator("#state")).to_have_text("not ready")


def test_a_busy_server_gets_a_pause_from_the_camera(open_tab, canned):
    canned.faults = [(503, {"error": "busy", "code": "overloaded", "request_id": "r"}, {"Retry-After": "1"})]
    tab = open_tab(canned.address)
    tab.refusals_expected = True
    tab.page.get_by_role("button", name="Start camera").click()
    expect(tab.page.get_by_role("alert")).to_contain_text("Busy")
    expect(tab.page.get_by_role("meter")).to_have_count(5)
    first, second = canned.asked[:2]
    assert second["at"] - first["at"] > 0.95  # Retry-After is 1 s
    assert all(one["body"].startswith(b"\xff\xd8\xff") for one in canned.asked)


def test_where_there_is_no_camera_the_page_says_why(open_tab, canned):
    tab = open_tab("about:blank")
    tab.page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    tab.page.goto(canned.address)
    expect(tab.page.locator("#camera-reason")).to_contain_text("HTTPS")
    assert tab.page.locator("#camera").is_hidden()


def test_a_camera_that_is_refused_says_so(open_tab, canned):
    tab = open_tab("about:blank")
    tab.page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    tab.page.goto(canned.address)
    tab.page.get_by_role("button", name="Start camera").click()
    expect(tab.page.locator("#camera-reason")).to_contain_text("was not allowed")


# --- figures ---


def test_percentiles_rate_and_the_cached_apart(open_tab, canned):
    page = open_tab(canned.address).page
    summary = page.evaluate(
        """async () => {
            const { Stats, percentile } = await import("/static/stats.js");
            const stats = new Stats();
            for (let i = 1; i <= 300; i++) stats.answer({ tripMs: i, totalMs: i / 2, cached: false }, 30 * i);
            for (let i = 0; i < 50; i++) stats.answer({ tripMs: 1, totalMs: 1, cached: true }, 9000);
            stats.error();
            const [none, one] = [percentile([], 0.5), percentile([7], 0.95)];
            return { ...stats.summary(9000), later: stats.summary(15000).perS, none, one };
        }"""
    )
    # the last 200 answers: trips of 151 to 300 ms, and the 50 cached ones
    assert summary == {
        "errors": 1,
        "samples": 150,
        "tripP50": 225,
        "tripP95": 293,
        "totalP50": 112.5,
        "totalP95": 146.5,
        "cached": 50,
        "cachedP50": 1,
        "perS": 35,
        "later": pytest.approx((300 - 166 + 50) / 10, abs=0.11),
        "none": None,
        "one": 7,
    }


# --- looks and access ---


@pytest.fixture(scope="module")
def artifacts() -> Path:
    folder = Path(os.environ.get("IMGC_TEST_ARTIFACTS", ROOT / "build" / "test-artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_fits_in_light_and_dark_on_phone_and_desk(open_tab, canned, image, artifacts, scheme, width):
    canned.names = ["shirts", "a-rather-long-name-of-a-second-model-0123456789"]
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    page = open_tab(canned.address, **options).page
    choose(page, *((f"{name}.jpg", image(colour, size=(640, 480))) for name, colour in (("a", RED), ("b", GREEN))))
    expect(page.get_by_role("list", name="Last images").get_by_role("button")).to_have_count(2)
    for path, name in (("/", "page"), ("/docs", "docs")):
        if path != "/":
            page.goto(canned.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=artifacts / f"{name}-{scheme}-{width}.png", full_page=True)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in re.findall(r"\d+", ground)) < 380) == (scheme == "dark")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_enough_contrast(open_tab, canned, image, scheme):
    page = open_tab(canned.address, color_scheme=scheme).page
    choose(page, ("a.jpg", image()))
    expect(page.get_by_role("meter")).to_have_count(5)
    weakest = page.evaluate(WEAKEST_CONTRAST)
    assert weakest >= 4.5  # WCAG 2, AA, text of normal size


def test_every_control_has_a_name_and_every_image_a_text(open_tab, canned, image):
    canned.names, canned.key = ["shirts", "shoes"], "k"
    tab = open_tab(canned.address)
    tab.refusals_expected = True
    page = tab.page
    choose(page, ("a.jpg", image()))
    page.get_by_label("API key").fill("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("meter")).to_have_count(5)
    page.evaluate("document.getElementById('key-form').hidden = false")
    shot = page.locator("body").aria_snapshot()
    for line in shot.splitlines():
        if re.match(r"\s*- '?(button|link|textbox|combobox|spinbutton|meter|img)\b", line):
            assert re.search(r'"[^"]+"', line), line
    for wanted in ('button "Choose images"', 'combobox "Model"', 'spinbutton "Classes shown"', 'textbox "API key"'):
        assert wanted in shot
    visible = [one for one in page.locator(CONTROLS).all() if one.is_visible()]
    controls = re.findall(r"- '?(?:button|link|textbox|combobox|spinbutton)\b", shot)
    assert len(visible) == len(controls)
    assert page.locator("#announce").get_attribute("role") == "status"
    assert page.locator("img:not([alt])").count() == 0


def test_motion_is_left_out_for_those_who_want_none(open_tab, canned, image):
    page = open_tab(canned.address, reduced_motion="reduce").page
    choose(page, ("a.jpg", image()))
    expect(page.get_by_role("meter")).to_have_count(5)
    moving = "e => getComputedStyle(e, '::before').transitionProperty"
    assert page.get_by_role("meter").first.evaluate(moving) == "none"
