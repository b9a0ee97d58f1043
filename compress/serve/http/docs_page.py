"""`docs_html`: the documentation page, written from the OpenAPI document alone. It needs no JavaScript."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import quote, urlencode

Node = dict[str, Any]  # a piece of an OpenAPI document

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("pattern", "matches {}"),
)
_DEPTH = 6  # a schema may contain itself
_NAMED = "#/components/schemas/"
_HERE = "http://127.0.0.1:8000"


def docs_html(openapi: Node) -> str:
    """Return the page: every operation with its parameters, bodies, responses and a curl line.

    Args:
        openapi: an OpenAPI 3 document; what it lacks is left out, what it holds is escaped.
    """
    return _Docs(openapi).html()


class _Docs:
    def __init__(self, document: Node) -> None:
        self.document = document
        servers = document.get("servers") or [{}]
        self.server = str(servers[0].get("url") or "")
        if not self.server.startswith(("http://", "https://")):  # one relative to this page
            self.server = _HERE + self.server.rstrip("/")

    def html(self) -> str:
        info = self.document.get("info", {})
        title = f"{info.get('title', 'API')} {info.get('version', '')}".strip()
        operations = list(self._operations())
        contents = "".join(
            f'<li><a href="#{_anchor(method, path)}">{method.upper()} {escape(path)}</a></li>'
            for method, path, _ in operations
        )
        description = f"<p>{_prose(info['description'])}</p>" if info.get("description") else ""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(title)}: documentation</title>\n"
            '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="static/page.css">\n</head>\n'
            f'<body class="docs">\n<header class="top"><h1>{escape(title)} <span>documentation</span></h1>'
            '<nav aria-label="Server"><a href="./">Try it</a> <a href="openapi.json">OpenAPI</a></nav></header>\n'
            f'<main>\n<nav class="card" aria-label="Operations">{description}'
            f'<ul class="contents" role="list">{contents}</ul></nav>\n'
            + "\n".join([*(self._operation(*one) for one in operations), *self._schemas()])
            + "\n</main>\n</body>\n</html>\n"
        )

    def _operations(self) -> Iterator[tuple[str, str, Node]]:
        for path, item in self.document.get("paths", {}).items():
            shared = item.get("parameters", [])
            for method in _METHODS:
                if method in item:
                    operation = item[method]
                    parameters = [*shared, *operation.get("parameters", []), *self._key(operation)]
                    yield method, path, {**operation, "parameters": parameters}

    def _key(self, operation: Node) -> list[Node]:
        """Return the header that carries an operation's key, as a parameter; none where it takes no key in one."""
        schemes = self.document.get("components", {}).get("securitySchemes", {})
        asked = (schemes.get(name, {}) for choice in operation.get("security", []) for name in choice)
        keys = [one for one in asked if one.get("type") == "apiKey" and one.get("in") == "header"]
        return [{"name": one["name"], "in": "header", "required": True, "schema": {"type": "string"}} for one in keys]

    def _operation(self, method: str, path: str, operation: Node) -> str:
        anchor = _anchor(method, path)
        summary = _prose(operation.get("summary", ""))
        description = operation.get("description", "")
        parameters = [self._resolve(one) for one in operation["parameters"]]
        body = self._resolve(operation.get("requestBody", {}))
        example = escape(self._curl(method, path, parameters, body))
        parts = [
            f'<section class="card" id="{anchor}" aria-labelledby="{anchor}-title">',
            f'<h2 id="{anchor}-title"><span class="method">{method.upper()}</span> {escape(path)}</h2>',
            f"<p>{summary}</p>" if summary else "",
            f'<p class="soft">{_prose(description)}</p>'
            if description and description != operation.get("summary")
            else "",
            self._parameters(parameters),
            self._body(body),
            self._responses(operation.get("responses", {})),
            "<h3>Example</h3>",
            f'<pre tabindex="0" aria-label="curl example"><code>{example}</code></pre>',
            "</section>",
        ]
        return "\n".join(part for part in parts if part)

    def _parameters(self, parameters: list[Node]) -> str:
        rows = []
        for one in parameters:
            schema = self._resolve(one.get("schema", {}))
            default = json.dumps(schema["default"]) if "default" in schema else ""
            if one.get("required"):
                default = "required"
            rows.append(
                [
                    _code(one.get("name", "")),
                    escape(one.get("in", "")),
                    self._type(schema),
                    escape(default),
                    escape(_bounds(schema)),
                    _prose(one.get("description", "")),
                ]
            )
        return _table("Parameters", ("Name", "In", "Type", "Default", "Bounds", "What"), rows)

    def _body(self, body: Node) -> str:
        rows = [
            [_code(media), self._type(content.get("schema", {}))] for media, content in body.get("content", {}).items()
        ]
        return _table("Request body" + (", required" if body.get("required") else ""), ("Content type", "Schema"), rows)

    def _responses(self, responses: Node) -> str:
        rows = []
        for status, response in responses.items():
            found = self._resolve(response)
            shapes = [self._type(content.get("schema", {})) for content in found.get("content", {}).values()]
            rows.append([_code(str(status)), _prose(found.get("description", "")), "<br>".join(shapes)])
        return _table("Responses", ("Status", "When", "Body"), rows)

    def _resolve(self, node: Node) -> Node:
        """Follow `$ref`s inside the document; one that leads nowhere is an empty node."""
        for _ in range(_DEPTH):
            reference = node.get("$ref")
            if reference is None:
                return node
            node = self.document
            for part in str(reference).removeprefix("#/").split("/"):
                node = node.get(part.replace("~1", "/").replace("~0", "~"), {})
        return {}

    def _schemas(self) -> Iterator[str]:
        """Yield a section for each named schema, which the types of the operations link to."""
        for name, schema in self.document.get("components", {}).get("schemas", {}).items():
            anchor = _anchor("schema", name)
            yield (
                f'<section class="card" id="{anchor}" aria-labelledby="{anchor}-title">\n'
                f'<h2 id="{anchor}-title">{escape(name)}</h2>\n{self._fields(schema)}\n</section>'
            )

    def _fields(self, schema: Node) -> str:
        if "properties" not in schema:
            return f"<p>{self._type(schema)}</p>"
        required = schema.get("required", [])
        rows = [
            [
                _code(name),
                self._type(field),
                "yes" if name in required else "",
                escape(_bounds(self._resolve(field))),
                _prose(self._resolve(field).get("description", "")),
            ]
            for name, field in schema["properties"].items()
        ]
        return _table("Fields", ("Name", "Type", "Always there", "Bounds", "What"), rows)

    def _type(self, schema: Node, depth: int = 0) -> str:
        """Return a schema's type as HTML: named ones as links, objects as `{name: type, name?: type}`."""
        reference = str(schema.get("$ref", ""))
        if reference.startswith(_NAMED):
            name = reference.removeprefix(_NAMED)
            return f'<a href="#{_anchor("schema", name)}">{escape(name)}</a>'
        schema = self._resolve(schema)
        if depth > _DEPTH:
            return "…"
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return " or ".join(dict.fromkeys(self._type(one, depth + 1) for one in schema[word]))
        if "enum" in schema or "const" in schema:
            return " or ".join(_code(json.dumps(value)) for value in schema.get("enum", [schema.get("const")]))
        if "properties" in schema:
            required = schema.get("required", [])
            fields = (
                f"{escape(name)}{'' if name in required else '?'}: {self._type(field, depth + 1)}"
                for name, field in schema["properties"].items()
            )
            return "{" + ", ".join(fields) + "}"
        kind = schema.get("type", "any")
        if kind == "array":
            return f"list of {self._type(schema.get('items', {}), depth + 1)}"
        name = " or ".join(kind) if isinstance(kind, list) else str(kind)
        return escape(f"{name} ({schema['format']})" if "format" in schema else name)

    def _curl(self, method: str, path: str, parameters: list[Node], body: Node) -> str:
        query = {}
        words = (
            ["curl", "-sS"] if method == "get" or (method == "post" and body) else ["curl", "-sS", "-X", method.upper()]
        )
        for one in parameters:
            schema = self._resolve(one.get("schema", {}))
            value = str(one.get("example", schema.get("default", one.get("name", "").upper())))
            if one.get("in") == "path":
                path = path.replace("{" + one["name"] + "}", quote(value, safe=""))
            elif one.get("in") == "query" and (one.get("required") or "default" in schema):
                query[one["name"]] = value.lower() if isinstance(schema.get("default"), bool) else value
            elif one.get("in") == "header" and one.get("required"):
                words += ["-H", f"{one['name']}: {value}"]
        words.append(self.server + path + (f"?{urlencode(query)}" if query else ""))
        return shlex.join([*words, *self._curl_body(body.get("content", {}))])

    def _curl_body(self, content: Node) -> list[str]:
        media = next(iter(content), "")
        if not media:
            return []
        if media == "multipart/form-data":
            fields = self._resolve(content[media].get("schema", {})).get("properties", {"file": {}})
            return [word for name in fields for word in ("-F", f"{name}=@image.jpg")]
        if media.endswith("json"):
            example = content[media].get("example") or self._example(content[media].get("schema", {}))
            return ["-H", f"Content-Type: {media}", "-d", json.dumps(example)]
        return ["-H", f"Content-Type: {media.replace('*', 'jpeg')}", "--data-binary", "@image.jpg"]

    def _example(self, schema: Node, depth: int = 0) -> object:
        """Return the least value that a schema asks for: what is required, of the right types."""
        schema = self._resolve(schema)
        for word in ("example", "default", "const"):
            if word in schema:
                return schema[word]
        for word in ("examples", "enum"):
            if schema.get(word):
                return schema[word][0]
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                return self._example(schema[word][0], depth + 1)
        if depth > _DEPTH:
            return None
        if schema.get("type") == "array":
            return [self._example(schema.get("items", {}), depth + 1)]
        if "properties" in schema:
            fields = schema["properties"]
            return {name: self._example(fields.get(name, {}), depth + 1) for name in schema.get("required", [])}
        plain = {"string": "text", "integer": 1, "number": 0.5, "boolean": True, "object": {}}
        return plain.get(str(schema.get("type")))


def _anchor(kind: str, name: str) -> str:
    return f"{kind}-" + re.sub("[^A-Za-z0-9_]", "-", name).strip("-")


def _bounds(schema: Node) -> str:
    return ", ".join(words.format(schema[key]) for key, words in _BOUNDS if key in schema)


def _prose(text: str) -> str:
    """Return a description as HTML: escaped, with what stands between backquotes as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text else ""


def _table(title: str, heads: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return a table of cells that are HTML already; nothing of no rows, no column where every cell is empty."""
    if not rows:
        return ""
    kept = [column for column in range(len(heads)) if any(row[column] for row in rows)]
    head = "".join(f'<th scope="col">{heads[column]}</th>' for column in kept)
    body = "".join("<tr>" + "".join(f"<td>{row[column]}</td>" for column in kept) + "</tr>" for row in rows)
    region = f'<div class="wide" role="region" aria-label="{title}" tabindex="0">'
    return f"<h3>{title}</h3>\n{region}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
