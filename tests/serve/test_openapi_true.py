"""The server's OpenAPI document held against the server: generated requests, good and bad, answered as it says."""

from __future__ import annotations

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.python.asgi import get_client
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from compress.serve.app import create_app
from compress.serve.config import ServeConfig

pytestmark = pytest.mark.slow
EXAMPLES = 20
# random bytes are no image, which no schema can say: such a body is refused and documented as such
EXCLUDED = [positive_data_acceptance]


def operations_of(app):
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = [result.ok() for result in schema.get_all_operations()]
    assert len(found) >= 15
    return found


def hold(operation, client, mode, statuses=None):
    """Send generated requests; where a model is named, every other one names a model that is served."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), served=st.booleans())
    def requests(case, served):
        if served and "name" in case.path_parameters:
            case.path_parameters["name"] = "colours"
        response = case.call(session=client)
        assert response.status_code != 500
        assert statuses is None or response.status_code in statuses
        case.validate_response(response, excluded_checks=EXCLUDED)

    with suppress(Unsatisfiable):  # nothing can be wrong with a request that has no parts
        requests()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_every_reply_is_documented(onnx_file, mode):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, timeout_ms=10_000, allowed_hosts=("testserver",)))
    with get_client(app) as client:
        for operation in operations_of(app):
            hold(operation, client, mode)


@pytest.mark.parametrize(
    ("limits", "status"), [({"api_key": "secret"}, 401), ({"rate_limit": 1e-6}, 429)], ids=["key", "rate"]
)
def test_who_is_not_let_in_is_told_so_as_documented(onnx_file, limits, status):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, allowed_hosts=("testserver",), **limits))
    with get_client(app) as client:
        client.post("http://testserver/v1/classify")  # the burst of one
        for operation in operations_of(app):
            case = operation.Case(path_parameters={"name": "colours", "version": "1"})
            response = case.call(session=client)
            assert response.status_code in (200, 503, status)
            assert (response.status_code == status) == operation.path.startswith(
                ("/v1/", "/v2/models", "/v2/repository", *(["/metrics"] if status == 401 else []))
            )
            assert str(status) in operation.definition.raw["responses"] or response.status_code != status, (
                operation.label
            )
            case.validate_response(response, excluded_checks=[*EXCLUDED, ignored_auth])
