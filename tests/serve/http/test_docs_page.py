from __future__ import annotations

import json
import re
import shlex
from html import unescape
from html.parser import HTMLParser

import pytest

from compress.serve.http.docs_page import docs_html

ERROR = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "hint": {"type": ["string", "null"]}},
}

TAGS = set(
    re.findall(
        r"\w+",
        """html head meta title link body header h1 h2 h3 span nav a main ul li section p div
    table thead tbody tr th td code pre br""",
    )
)


def document(operation: dict, *, method: str = "post", path: str = "/v1/classify", **more) -> dict:
    return {
        "openapi": "3.1.0",
        "info": {"title": "imgc serve", "version": "1.2"},
        "paths": {path: {method: operation}},
        "components": {"schemas": {"Error": ERROR}},
        **more,
    }


def curl(html: str) -> list[str]:
    return shlex.split(unescape(re.search(r"<code>(curl .*?)</code>", html, re.S)[1]))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


class Balance(HTMLParser):
    """Fails where a tag is not closed, closed out of turn, or an id is given twice."""

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_form(html: str) -> None:
    balance = Balance()
    balance.feed(html)
    assert balance.open == []
    assert len(balance.ids) == len(set(balance.ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= {unescape(one) for one in balance.ids}


def test_parameters_bodies_and_responses_are_all_told():
    html = docs_html(
        document(
            {
                "summary": "Classify an image",
                "description": "Fields called `file`.",
                "parameters": [
                    {
                        "name": "top_k",
                        "in": "query",
                        "description": "how many classes",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5},
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
                },
                "responses": {
                    "200": {"description": "the best classes"},
                    "503": {
                        "description": "overloaded",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                    },
                },
            }
        )
    )
    check_form(html)
    text = words(html)
    assert "POST /v1/classify Classify an image Fields called file ." in text
    assert "top_k query integer 5 at least 1, at most 1000 how many classes" in text
    assert "Request body, required Content type Schema image/* string (binary)" in text
    assert "200 the best classes" in text
    assert "503 overloaded Error" in text
    assert '<a href="#schema-Error">Error</a>' in html
    assert "Fields Name Type Always there error string yes code string yes hint string or null" in text
    assert curl(html)[-5:] == [
        "http://127.0.0.1:8000/v1/classify?top_k=5",
        "-H",
        "Content-Type: image/jpeg",
        "--data-binary",
        "@image.jpg",
    ]


def test_whatever_the_document_holds_is_escaped():
    evil = "<script>alert(1)</script>\"'&"
    html = docs_html(
        document(
            {
                "summary": evil,
                "description": f"`{evil}`",
                "parameters": [
                    {
                        "name": evil,
                        "in": evil,
                        "description": evil,
                        "required": True,
                        "schema": {"type": evil, "pattern": evil},
                    },
                    {"name": "a", "in": "query", "schema": {"enum": [evil], "default": evil}},
                ],
                "requestBody": {"content": {evil: {"schema": {"format": evil, "type": "string"}}}},
                "responses": {evil: {"description": evil, "content": {evil: {"schema": {"properties": {evil: {}}}}}}},
            },
            path=f"/{evil}",
            info={"title": evil, "version": evil, "description": evil},
            servers=[{"url": f"https://{evil}"}],
            components={"schemas": {evil: {"properties": {evil: {"$ref": f"#/components/schemas/{evil}"}}}}},
        )
    )
    assert "<script" not in html
    assert set(re.findall(r"<([a-z0-9]+)", html)) <= TAGS
    check_form(html)


def test_the_curl_line_of_each_kind_of_body_is_one_shell_command():
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    key = {"name": "X-API-Key", "in": "header", "required": True, "schema": {"type": "string"}}
    schema = {
        "required": ["inputs", "flag"],
        "properties": {
            "inputs": {"type": "array", "items": {"required": ["shape"], "properties": {"shape": {"type": "integer"}}}},
            "flag": {"type": "boolean", "default": False},
            "note": {"type": "string"},
        },
    }
    body = {"content": {"application/json": {"schema": schema}}}
    item = {"parameters": [name], "post": {"parameters": [key], "requestBody": body}}
    html = docs_html({"paths": {"/v2/{name}/infer": item}})
    assert curl(html)[2:] == [
        "-H",
        "X-API-Key: X-API-KEY",
        "http://127.0.0.1:8000/v2/NAME/infer",
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps({"inputs": [{"shape": 1}], "flag": False}),
    ]
    form = {"content": {"multipart/form-data": {"schema": {"properties": {"file": {"type": "string"}}}}}}
    assert curl(docs_html(document({"requestBody": form})))[-2:] == ["-F", "file=@image.jpg"]
    assert curl(docs_html(document({}, method="delete")))[2:4] == ["-X", "DELETE"]
    assert curl(docs_html(document({}, method="get")))[-1] == "http://127.0.0.1:8000/v1/classify"


@pytest.mark.parametrize(
    ("url", "start"),
    [("https://images.example/api", "https://images.example/api/v1"), ("/api/", "http://127.0.0.1:8000/api/v1")],
)
def test_the_address_is_the_documents_own(url, start):
    assert curl(docs_html(document({}, servers=[{"url": url}])))[-1].startswith(start)


def test_an_empty_document_and_references_that_lead_nowhere_or_in_circles_are_survived():
    check_form(docs_html({}))
    circle = {"$ref": "#/components/responses/A"}
    html = docs_html(document({"responses": {"200": circle}}, components={"responses": {"A": circle}}))
    assert "200" in html
    nowhere = {"parameters": [{"$ref": "#/components/parameters/none"}], "responses": {"200": {"$ref": "#/x/y"}}}
    check_form(docs_html(document(nowhere)))
    endless: dict = {"type": "array"}
    endless["items"] = endless
    body = {"content": {"application/json": {"schema": endless}}}
    assert "…" in docs_html(document({"requestBody": body}))


def test_the_servers_own_document_has_every_operation(client):
    openapi = client.get("/openapi.json").json()
    html = docs_html(openapi)
    check_form(html)
    operations = [
        (method, path) for path, item in openapi["paths"].items() for method in item if method != "parameters"
    ]
    assert len(operations) >= 4
    for method, path in operations:
        assert f'<span class="method">{method.upper()}</span> {path}</h2>' in html
    assert html.count(">curl ") == len(operations)
    assert "<script" not in html
    assert " style=" not in html


def test_a_key_is_shown_where_it_is_asked_for():
    schemes = {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}, "Bearer": {"type": "http"}}
    components = {"securitySchemes": schemes}
    html = docs_html(document({"security": [{"ApiKey": []}, {"Bearer": []}]}, components=components))
    assert curl(html)[-3:-1] == ["-H", "X-API-Key: X-API-KEY"]
    assert "X-API-Key header string required" in words(html)
    assert "X-API-Key" not in docs_html(document({}, components=components))
