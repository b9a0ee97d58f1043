"""Runs a snippet as a user would: the lines that it prints for an image of the folder that holds it and the model."""

from __future__ import annotations

import functools
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from evals.clients.clients import NPM_FOLDER

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def in_python(work: Path, text: str, image: str) -> list[str]:
    (work / "program.py").write_text(text)
    return _printed([sys.executable, "program.py", image], work)


def in_node(work: Path, text: str, image: str) -> list[str]:
    if shutil.which("node") is None or not (NPM_FOLDER / "onnxruntime-node").is_dir():
        pytest.skip("no node, or no onnxruntime-node: make clients")
    if not (work / "node_modules").exists():
        (work / "node_modules").symlink_to(NPM_FOLDER)
    (work / "program.mjs").write_text(text)
    return _printed(["node", "program.mjs", image], work)


def in_browser(work: Path, text: str, images: Sequence[str]) -> list[list[str]]:
    """Return the lines that one page shows for each image."""
    runtime = NPM_FOLDER / "onnxruntime-web" / "dist"
    if CHROMIUM is None or not runtime.is_dir():
        pytest.skip("no chromium, or no onnxruntime-web: make browser clients")
    sync_api = pytest.importorskip("playwright.sync_api")
    (work / "index.html").write_text(text)
    for file in runtime.glob("ort*wasm*"):
        if file.suffix in (".js", ".mjs", ".wasm"):
            (work / file.name).symlink_to(file)
    with _served(work) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/index.html")
        found = []
        for image in images:
            page.evaluate("document.querySelector('pre').textContent = ''")
            page.set_input_files("input", work / image)
            page.wait_for_function("document.querySelector('pre').textContent", timeout=30_000)
            found.append(page.text_content("pre").splitlines())
        browser.close()
    return found


def _printed(command: list[str], work: Path) -> list[str]:
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
