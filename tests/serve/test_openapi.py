"""What the document says of the application as a whole: one shape of errors, and the key."""

from __future__ import annotations

import pytest

from compress.serve.app import create_app
from compress.serve.config import ServeConfig


@pytest.fixture
def document_of(onnx_file):
    def make(**settings):
        return create_app(ServeConfig(models=[onnx_file], threads=1, **settings)).app.openapi()

    return make


def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_every_refusal_has_the_one_schema_of_errors(document_of):
    document = document_of()
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Error"}, name
    assert [name for name in document["components"]["schemas"] if "Error" in name] == ["Error"]


def test_with_a_key_what_is_behind_it_says_so(document_of):
    document = document_of(api_key="secret")
    schemes = document["components"]["securitySchemes"]
    assert schemes["ApiKey"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert schemes["Bearer"] == {"type": "http", "scheme": "bearer"}
    asking = {name for name, operation in operations(document).items() if "security" in operation}
    assert {"POST /v1/classify", "GET /metrics", "POST /v2/models/{name}/infer"} <= asking
    assert asking.isdisjoint({"GET /livez", "GET /readyz", "GET /healthz", "GET /v2", "GET /v2/health/live"})
    for name in asking:
        operation = operations(document)[name]
        assert operation["security"] == [{"ApiKey": []}, {"Bearer": []}], "either of them"
        assert "401" in operation["responses"]
    assert "secret" not in str(document)


def test_without_a_key_none_is_asked_for(document_of):
    document = document_of()
    assert "securitySchemes" not in document["components"]
    assert not [name for name, operation in operations(document).items() if "security" in operation]


def test_each_operation_but_the_sign_of_life_may_be_meant_for_another_host(document_of):
    told = {name for name, operation in operations(document_of()).items() if "421" in operation["responses"]}
    assert operations(document_of()).keys() - told == {"GET /livez"}
