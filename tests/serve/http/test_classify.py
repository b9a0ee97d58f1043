"""`POST /v1/classify` over HTTP: what a request may ask for, who may ask, and that each leaves its place again."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from compress.serve.app import app_of
from compress.serve.config import MIB, ServeConfig
from compress.serve.core import service as module
from compress.serve.core.service import Service
from compress.serve.errors import RequestError
from compress.serve.http.classify import Classify
from compress.serve.http.images import Wishes, deadline_of, wishes_in

URL = "/v1/classify"


@contextmanager
def serving(models, **settings):
    """Yield a client and the service that it asks."""
    service = Service(
        ServeConfig(**{"models": models, "threads": 1, "timeout_ms": 60_000, "stuck_ms": 600_000, **settings})
    )
    with TestClient(app_of(service), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client, service


def wait_until(condition) -> None:
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.002)


def sample(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).rsplit(" ", 1)[1])


# answers ----------------------------------------------------------------------------------------------------------


def test_a_known_image_gets_the_first_answer_again_and_is_no_latency_sample(onnx_file, image):
    with serving([onnx_file]) as (client, service):
        first, second = (client.post(URL, content=image()).json() for _ in range(2))
        assert (first["cached"], second["cached"]) == (False, True)
        assert second["predictions"] == first["predictions"]
        assert [second["timing_ms"][stage] for stage in ("queue", "decode", "infer")] == [0, 0, 0]
        assert {stage: sum(one.counts) for stage, one in service.metrics.stages.items()} == dict.fromkeys(
            ("read", "decode", "queue", "infer", "total"), 1
        )
        assert sample(client, "imgc_cache_hits_total") == sample(client, "imgc_cache_misses_total") == 1
        assert sample(client, 'imgc_requests_total{code="200"}') >= 2


def test_fewer_classes_of_a_known_image_are_the_first_of_the_same_answer(onnx_file, image):
    with serving([onnx_file]) as (client, _):
        all_three = client.post(URL, content=image()).json()
        one = client.post(URL, params={"top_k": 1}, content=image()).json()
    assert one["cached"]
    assert one["predictions"] == all_three["predictions"][:1]


def test_several_images_of_a_form_are_answered_in_order_and_a_bad_one_fails_alone(onnx_file, image):
    files = [("file", ("a.jpg", image())), ("file", ("b", b"hello")), ("file", ("c", image((20, 60, 230))))]
    with serving([onnx_file]) as (client, service):
        reply = client.post(URL, files=files)
        assert service.admission.inside == 0
    results = reply.json()["results"]
    assert [one["filename"] for one in results] == ["a.jpg", "b", "c"]
    assert results[1]["code"] == "unsupported_media_type"
    assert [results[i]["predictions"][0]["label"] for i in (0, 2)] == ["red", "blue"]


def test_models_are_asked_for_by_name(onnx_file, tflite_file, image):
    with serving([f"a={onnx_file}", f"b={tflite_file}"]) as (client, service):
        for query, name in (("", "a"), ("?model=a", "a"), ("?model=b", "b")):
            body = client.post(URL + query, content=image()).json()
            assert (body["model"], body["version"]) == (name, service.models[name].version)
            assert body["predictions"][0]["label"] == "red"
        assert [one["name"] for one in client.get("/readyz").json()["models"]] == ["a", "b"]


@pytest.mark.parametrize("name", ["c", "", "A", "../a", "..%2f..%2fetc%2fpasswd", "%2Fetc%2Fpasswd", "a%00", "a/../a"])
def test_another_name_is_no_model_and_opens_no_file(onnx_file, image, name):
    with serving([f"a={onnx_file}"]) as (client, _):
        reply = client.post(f"{URL}?model={name}", content=image())
    assert (reply.status_code, reply.json()["code"]) == (404, "unknown_model")
    assert reply.json()["error"].endswith("(served: a)")


def test_under_load_the_smaller_model_answers_and_says_so(onnx_file, tflite_file, image, monkeypatch):
    with serving([onnx_file], degrade=tflite_file) as (client, service):
        calm = client.post(URL, content=image()).json()
        monkeypatch.setattr(service, "predicted_wait_s", lambda: 30.0)
        loaded = client.post(URL, content=image()).json()
        declined = client.post(f"{URL}?allow_degraded=false", content=image()).json()
        assert client.get("/readyz").json()["degraded"]
        assert sample(client, "imgc_degrade_level") == 1
    first, smaller = (calm["version"], False), (service.degraded.version, True)
    assert [(one["version"], one["degraded"]) for one in (calm, loaded, declined)] == [first, smaller, first]
    assert {one["model"] for one in (calm, loaded, declined)} == {"colours"}, "as it was asked for"


# what a request may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "left_ms"), [(None, 1000), ("200", 200), ("1", 1), ("999999999", 1000)])
def test_a_request_may_ask_for_an_earlier_deadline_only(asked, left_ms):
    headers = Headers({} if asked is None else {"X-Timeout-Ms": asked})
    assert deadline_of(headers, 1000).timeout_ms == left_ms


@pytest.mark.parametrize("asked", ["", "0", "-5", "1.5", "1e3", "abc", " 5", "٣", "9" * 10])
def test_a_deadline_that_is_no_number_is_refused(asked):
    with pytest.raises(RequestError, match="X-Timeout-Ms") as caught:
        deadline_of(Headers(raw=[(b"x-timeout-ms", asked.encode())]), 1000)
    assert (caught.value.status, caught.value.code) == (400, "bad_request")


def test_the_earlier_deadline_is_kept(held, onnx_file, image):
    with serving([onnx_file]) as (client, _):
        held.go_on.clear()
        late = client.post(URL, content=image(), headers={"X-Timeout-Ms": "50"})
        held.go_on.set()
    assert (late.status_code, late.json()["code"]) == (504, "deadline")
    assert late.json()["error"].startswith("50 ms")


@pytest.mark.parametrize(
    ("query", "wishes"),
    [
        (b"", Wishes()),
        (b"top_k=1000", Wishes(top_k=1000)),
        (b"model=a&allow_degraded=NO", Wishes(model="a", allow_degraded=False)),
        (b"allow_degraded=1&other=%ff", Wishes(allow_degraded=True)),
        (b"model=", Wishes(model="")),
    ],
)
def test_the_query_says_what_is_wished(query, wishes):
    assert wishes_in(query, Classify.fields) == wishes


TOO_MANY_FIELDS = b"&".join([b"a=1"] * 33)


@pytest.mark.parametrize(
    "query",
    [b"top_k=1001", b"top_k=", b"top_k=-1", b"allow_degraded=", b"allow_degraded=maybe", b"\xff=1", TOO_MANY_FIELDS],
)
def test_a_wish_that_cannot_be_met_is_refused(query):
    with pytest.raises(RequestError) as caught:
        wishes_in(query, Classify.fields)
    assert caught.value.status == 400


# who may ask ------------------------------------------------------------------------------------------------------

KEYED = [("POST", URL), ("GET", "/v2/models/colours"), ("POST", "/v2/models/colours/infer"), ("GET", "/metrics")]
WRONG_KEYS = [{}, {"X-API-Key": "s3cre"}, {"Authorization": "Bearer s3cret2"}, {"X-API-Key": "é".encode()}]
OPEN = ["/", "/livez", "/healthz", "/readyz", "/docs", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready"]


def test_the_key_opens_what_costs_and_the_rest_is_open(onnx_file, image, monkeypatch):
    monkeypatch.setattr("compress.serve.http.limits._WRONG_KEYS_PER_S", 1000.0)
    with serving([onnx_file], api_key="s3cret") as (client, service):
        for method, path in KEYED:
            for headers in WRONG_KEYS:
                reply = client.request(method, path, content=image(), headers=headers)
                assert (reply.status_code, reply.json()["code"]) == (401, "unauthorized"), (path, headers)
                assert reply.headers["www-authenticate"] == "Bearer"
        for path in OPEN:
            assert client.get(path).status_code == 200, path
        for headers in ({"X-API-Key": "s3cret"}, {"Authorization": "bearer s3cret"}):
            assert client.post(URL, content=image(), headers=headers).status_code == 200
            assert client.get("/metrics", headers=headers).status_code == 200
        assert service.metrics.rejections["unauthorized"] == len(WRONG_KEYS) * len(KEYED)


def test_who_asks_too_often_is_told_when_to_come_again(onnx_file, image):
    with serving([onnx_file], rate_limit=0.01) as (client, service):  # one request at once, the next in 100 s
        assert client.post(URL, content=image()).status_code == 200
        again = client.post(URL, content=image())
        assert (again.status_code, again.json()["code"]) == (429, "too_many_requests")
        assert 90 <= int(again.headers["retry-after"]) <= 100
        assert client.get("/readyz").status_code == client.get("/metrics").status_code == 200
        assert service.metrics.requests[429] == 1


def test_a_page_from_elsewhere_may_call_only_when_its_origin_is_given(onnx_file, image):
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    with serving([onnx_file]) as (client, _):
        assert "access-control-allow-origin" not in client.options(URL, headers=asks).headers
        assert "access-control-allow-origin" not in client.post(URL, content=image(), headers=asks).headers
    with serving([onnx_file], cors_origins=["https://shop.example"], api_key="k") as (client, service):
        before = client.options(URL, headers={**asks, "Access-Control-Request-Headers": "x-api-key"})
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, asks["Origin"])
        refused = client.post(URL, content=image(), headers=asks)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, asks["Origin"])
        assert "X-Request-Id" in refused.headers["access-control-expose-headers"], "a script there may read it"
        other = client.post(URL, content=image(), headers={**asks, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        strange = client.options(URL, headers={**asks, "Origin": "https://evil.example"})
        assert strange.status_code == 400
        assert service.metrics.requests == {200: 1, 401: 2, 400: 1}, "a preflight counts as any request"
        assert all("x-request-id" in one.headers for one in (before, refused, other, strange))


def test_a_page_hears_of_a_bug_too(held, onnx_file, image, monkeypatch):
    monkeypatch.setattr("compress.serve.http.images.declared_type", lambda _: 1 / 0)
    with serving([onnx_file], cors_origins=["*"]) as (client, _):
        reply = client.post(URL, content=image(), headers={"Origin": "https://shop.example"})
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (500, "*")


# memory, and places given back ------------------------------------------------------------------------------------


def test_short_of_memory_it_answers_503_and_is_not_ready(onnx_file, image, monkeypatch):
    monkeypatch.setattr(module, "_WATCH_S", 0.005)
    used_mib = [95]
    with serving([onnx_file], memory_limit_mib=100) as (client, service):
        monkeypatch.setattr("compress.serve.core.memory_watch.resident_bytes", lambda: used_mib[0] * MIB)
        wait_until(lambda: service.admission.refusing)
        for reply, code in ((client.post(URL, content=image()), "overloaded"), (client.get("/readyz"), "not_ready")):
            assert (reply.status_code, reply.json()["code"]) == (503, code)
            assert int(reply.headers["retry-after"]) >= 1
        assert sample(client, 'imgc_rejections_total{reason="memory"}') == 1
        used_mib[0] = 10
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.post(URL, content=image()).status_code == 200


def _raise(error: BaseException):
    def predict(_):
        raise error

    return predict


FAILURES = {  # what is sent, with which headers, what the model does instead (None: its work), status, code
    "bad wish": (b"x", {"X-Timeout-Ms": "no"}, None, 400, "bad_request"),
    "no body": (b"", {}, None, 400, "empty_body"),
    "chunked and empty": ([], {}, None, 400, "empty_body"),
    "broken form": (b"--x", {"content-type": "multipart/form-data; boundary=x"}, None, 400, "bad_request"),
    "chunked and too large": ([bytes(900)] * 3, {}, None, 413, "too_large"),
    "text": (b"hello", {}, None, 415, "unsupported_media_type"),
    "broken image": (b"\xff\xd8\xff\xe0", {}, None, 422, "bad_image"),
    "bug": (None, {}, _raise(KeyError("x")), 500, "internal"),
    "no memory": (None, {}, _raise(MemoryError()), 500, "internal"),
    "not finite": (None, {}, lambda _: np.full((1, 3), np.nan, np.float32), 500, "bad_model_output"),
    "wrong number of answers": (None, {}, lambda _: np.zeros((2, 3), np.float32), 500, "internal"),
    "dead thread": (None, {}, _raise(SystemExit()), 500, "worker_lost"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", FAILURES)
def test_after_a_failure_nobody_is_inside(held, onnx_file, image, monkeypatch, name):
    monkeypatch.setattr(module, "_WATCH_S", 0.005)
    body, headers, predict, status, code = FAILURES[name]
    small = image(size=(16, 16))
    with serving([onnx_file], max_queue=0, max_body_bytes=1500) as (client, service):
        with monkeypatch.context() as broken:
            if predict is not None:
                broken.setattr(held, "predict", predict)
            content = small if body is None else iter(body) if isinstance(body, list) else body
            reply = client.post(URL, content=content, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (status, code)
        wait_until(lambda: service.ready)
        assert client.get("/readyz").json()["in_flight"] == 0
        assert service.admission.inside_bytes == 0
        assert client.post(URL, content=small).status_code == 200, "the only place is free"


def test_after_work_that_came_too_late_or_was_refused_nobody_is_inside(held, onnx_file, image):
    with serving([onnx_file], max_queue=0) as (client, service):
        held.go_on.clear()
        late = client.post(URL, content=image(), headers={"X-Timeout-Ms": "50"})
        full = client.post(URL, content=image())
        assert [one.json()["code"] for one in (late, full)] == ["deadline", "overloaded"]
        assert (client.get("/readyz").json()["in_flight"], service.admission.inside_bytes) == (1, len(image()))
        held.go_on.set()
        wait_until(lambda: client.get("/readyz").json()["in_flight"] == 0)
        assert service.admission.inside_bytes == 0


def test_after_a_stuck_thread_nobody_is_inside(held, onnx_file, image, monkeypatch):
    ahead, go_on, stuck = [0.0], threading.Event(), threading.Event()
    monkeypatch.setattr(module, "_WATCH_S", 0.005)
    monkeypatch.setattr("compress.serve.core.pool.monotonic", lambda: ahead[0])

    def hang(images_NCHW):
        stuck.set()
        assert go_on.wait(30)
        return np.zeros((1, 3), np.float32)

    with serving([onnx_file], max_queue=0, stuck_ms=50_000) as (client, service):
        with monkeypatch.context() as broken:
            broken.setattr(held, "predict", hang)

            def leap():
                stuck.wait(30)
                ahead[0] += 60

            threading.Thread(target=leap).start()
            lost = client.post(URL, content=image())
        assert (lost.status_code, lost.json()["code"]) == (500, "worker_lost")
        wait_until(lambda: service.ready)
        facts = client.get("/readyz").json()
        assert (facts["in_flight"], facts["workers_replaced"]) == (0, 1)
        assert client.post(URL, content=image()).status_code == 200
        go_on.set()


@pytest.mark.parametrize(
    ("hangs_up", "timeout_ms", "code"), [(False, 50, "deadline"), (True, 60_000, "incomplete_body")]
)
def test_after_a_body_that_never_came_nobody_is_inside(onnx_file, make_wire, monkeypatch, hangs_up, timeout_ms, code):
    monkeypatch.setattr("compress.serve.http.gateway._LINGER_S", 0.01)
    service = Service(ServeConfig(models=[onnx_file], threads=1, timeout_ms=timeout_ms))
    app, wire = app_of(service), make_wire([b"\xff\xd8\xff"], ends=False, hangs_up=hangs_up)

    async def scenario():
        async with app.app.router.lifespan_context(app.app):
            await asyncio.wait_for(app(wire.scope, wire.receive, wire.send), 30)

    asyncio.run(scenario())
    assert wire.json["code"] == code
    assert (service.admission.inside, service.admission.inside_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("query", "meant"), [("topk=3", "top_k"), ("top-k=3", "top_k"), ("allow_degrade=no", "allow_degraded")]
)
def test_a_misspelt_field_is_not_passed_over(client, image, query, meant):
    reply = client.post(f"/v1/classify?{query}", content=image())
    assert reply.status_code == 400
    assert reply.json()["error"].endswith(f"did you mean {meant}?")


def test_a_field_of_somebody_else_is(client, image):
    assert client.post("/v1/classify?utm_source=x&_=17", content=image()).status_code == 200
