from __future__ import annotations

import re
from pathlib import Path

import pytest

from compress.serve.page import routes

FOLDER = Path(routes.__file__).parent
FILES = ["api.js", "boxes.js", "camera.js", "index.html", "page.css", "page.js", "stats.js", "view.js"]


def test_the_page_and_its_parts_come_under_a_strict_policy(client):
    html = client.get("/")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in html.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["media-src"] == "'self' blob:"
    assert "unsafe" not in html.headers["content-security-policy"]
    assert "camera=(self)" in html.headers["permissions-policy"]
    parts = re.findall(r'(?:src|href)="(static/[^"]+)"', html.text)
    assert sorted(parts) == ["static/page.css", "static/page.js"]
    for name in FILES:
        if name != "index.html":
            reply = client.get(f"/static/{name}")
            assert reply.status_code == 200
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")


def test_every_module_that_a_module_imports_is_served(client):
    found = {name for file in FOLDER.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', file.read_text())}
    assert found == {"api.js", "boxes.js", "camera.js", "stats.js", "view.js"}
    assert all(client.get(f"/static/{name}").status_code == 200 for name in found)


def test_nothing_in_the_page_breaks_the_policy_or_leaves_the_host():
    files = sorted(file for file in FOLDER.iterdir() if file.suffix in (".js", ".css", ".html"))
    assert [file.name for file in files] == FILES
    for file in files:
        text = file.read_text()
        assert len(text.splitlines()) <= 300, file.name
        assert not re.search(r"https?://", text), file.name
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|innerHTML|<script>|<style>|eval\(|Storage", text), file.name


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fpyproject.toml",
        "/static//etc/passwd",
        "/static/page.html",
        "/static/",
    ],
)
def test_no_other_file_can_be_had(client, path):
    reply = client.get(path)
    assert reply.status_code == 404
    assert reply.json()["code"] == "not_found"
