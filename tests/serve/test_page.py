from __future__ import annotations

import re
from pathlib import Path

import pytest

from compress.serve import page


def test_the_page_and_its_parts_come_under_a_strict_policy(client):
    html = client.get("/")
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    policy = html.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    parts = re.findall(r'(?:src|href)="(/[^"]+)"', html.text)
    assert sorted(parts) == ["/static/page.css", "/static/page.js"]
    for part in parts:
        reply = client.get(part)
        assert reply.status_code == 200
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_nothing_in_the_page_breaks_the_policy_or_leaves_the_host():
    files = sorted((Path(page.__file__).parent / "page").iterdir())
    assert [file.name for file in files] == ["index.html", "page.css", "page.js"]
    for file in files:
        text = file.read_text()
        assert not re.search(r"https?://", text), file.name
        assert not re.search(r"\sstyle=|\son[a-z]+=\"|innerHTML|<script>|<style>|eval\(", text), file.name


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
