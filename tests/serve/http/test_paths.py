"""Routes behind a proxy's path and with a slash too many."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from compress.serve.http.paths import Paths


@pytest.fixture
def behind_proxy(onnx_file):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, root_path="/vision/"))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/classify/", "/v2/health/ready/", "/v2/models/colours/", "/readyz/", "/metrics/"])
def test_a_slash_too_many_is_the_same_route(client, image, path):
    reply = client.post(path, content=image()) if path.startswith("/v1") else client.get(path)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("path", ["/v1/classify//", "/docs/", "/static/page.css/", "//v1/classify"])
def test_other_paths_are_not_guessed(client, image, path):
    assert client.post(path, content=image()).status_code == 404


@pytest.mark.parametrize("prefix", ["", "/vision"])
def test_a_proxy_may_remove_its_path_or_leave_it(behind_proxy, image, prefix):
    assert behind_proxy.post(f"{prefix}/v1/classify", content=image()).json()["predictions"][0]["label"] == "red"
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/static/page.js", "/v2/models/colours"):
        assert behind_proxy.get(prefix + path).status_code == 200, path


def test_the_page_without_its_slash_is_sent_to_itself_with_one(behind_proxy):
    reply = behind_proxy.get("/vision", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (308, "/vision/")


def test_the_document_names_the_proxys_path(behind_proxy, client):
    assert behind_proxy.get("/vision/openapi.json").json()["servers"] == [{"url": "/vision"}]
    assert "http://127.0.0.1:8000/vision/v1/classify" in behind_proxy.get("/vision/docs").text
    assert "servers" not in client.get("/openapi.json").json()


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.css", "/static/page.js", "/static/api.js"])
def test_the_pages_links_are_relative(client, path):
    text = client.get(path).text
    assert not re.search(r"(?:href|src)=\"/|from \"/|fetch\(\"/|url\(/", text)
    assert text


def test_a_key_is_asked_for_under_the_proxys_path_too(onnx_file, image):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, root_path="/vision", api_key="secret"))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.post("/vision/v1/classify/", content=image()).status_code == 401
        assert client.get("/vision/metrics/").status_code == 401


def test_a_path_that_only_begins_like_the_proxys_is_another_one():
    scope = {"path": "/visionary/v1/classify", "raw_path": b""}
    assert Paths("/vision").own(scope) is scope


@pytest.mark.parametrize("path", ["vision", "/a b", "//x", "/é", "/"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="a root path is one or more of /NAME"):
        ServeConfig(root_path=path)
