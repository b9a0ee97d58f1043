"""What /openapi.json says of the protocol is what the routes do."""

from __future__ import annotations

from starlette.routing import Route

from compress.serve.oip.openapi import ERROR, oip_openapi
from compress.serve.oip.routes import oip_routes

DOCUMENT = oip_openapi()


def _refs(node: object) -> set[str]:
    if isinstance(node, dict):
        return {node["$ref"]} if "$ref" in node else set().union(*map(_refs, node.values()), set())
    return set().union(*map(_refs, node), set()) if isinstance(node, list) else set()


def test_every_route_is_described_and_nothing_else():
    routes = [route for route in oip_routes(None, None, 1) if isinstance(route, Route)]
    served = {(route.path, method.lower()) for route in routes for method in route.methods - {"HEAD"}}
    described = {
        (path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    }
    assert described == served
    assert len(served) == 10


def test_every_reference_is_there_and_every_schema_used():
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert _refs(DOCUMENT) == schemas | {ERROR}


def test_every_refusal_has_the_error_schema():
    infer = DOCUMENT["paths"]["/v2/models/{name}/infer"]["post"]["responses"]
    assert set(infer) == {"200", "400", "401", "404", "413", "415", "422", "429", "500", "503", "504"}
    for item in DOCUMENT["paths"].values():
        for method in set(item) - {"parameters"}:
            for status, response in item[method]["responses"].items():
                if status != "200":
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": ERROR}


def test_a_path_names_its_parameters():
    for path, item in DOCUMENT["paths"].items():
        names = {parameter["name"] for parameter in item.get("parameters", [])}
        assert names == {name for name in ("name", "version") if f"{{{name}}}" in path}
