"""What a service says of itself: when it is ready, which models it has, and how it is at this moment."""

from __future__ import annotations

import pytest

from compress.serve.config import ServeConfig
from compress.serve.core.memory import Pressure
from compress.serve.core.metrics import prometheus_text
from compress.serve.core.service import Service
from compress.serve.errors import RequestError
from compress.serve.http.status import gauges, health, model_facts


@pytest.fixture
def service(onnx_file, tflite_file):
    sources = [{"name": "a", "path": onnx_file}, {"name": "b", "path": tflite_file}]
    service = Service(ServeConfig(models=sources, degrade=tflite_file, threads=1))
    service.ready = True
    return service


def test_health_names_the_first_model_and_all_of_them(service, onnx_file):
    body = health(service)
    assert (body["status"], body["model"], body["sha256"]) == ("ok", "a", service.first.sha256)
    assert [one["name"] for one in body["models"]] == ["a", "b"]
    assert [one["format"] for one in body["models"]] == ["onnx", "tflite"]
    assert body["models"][0].items() <= body.items(), "the first one's facts stand at the top too"
    assert (body["num_classes"], body["input_px"], body["labels_first"]) == (3, 32, ["red", "green", "blue"])
    assert (body["degraded"], body["in_flight"], body["queue"], body["workers_replaced"]) == (False, 0, 0, 0)


def test_many_labels_are_only_begun(service, monkeypatch):
    spec = service.first.spec.model_copy(update={"labels": tuple(str(n) for n in range(1000))})
    monkeypatch.setattr(service.first, "spec", spec)
    body = health(service)
    assert body["labels_first"] == ["0", "1", "2", "3", "4"]
    assert body["num_classes"] == 1000


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda service: setattr(service, "ready", False), "starting or stopping"),
        (lambda service: setattr(service, "draining", True), "starting or stopping"),
        (lambda service: setattr(service.alarm, "pressure", Pressure.HARD), "short of memory"),
    ],
)
def test_a_service_that_should_get_no_requests_says_503(service, spoil, words):
    spoil(service)
    with pytest.raises(RequestError, match=words) as caught:
        health(service)
    assert (caught.value.status, caught.value.code) == (503, "not_ready")
    assert "Retry-After" in caught.value.headers


def test_a_little_short_of_memory_is_still_ready(service):
    service.alarm.pressure = Pressure.SOFT
    assert health(service)["status"] == "ok"


def test_the_gauges_are_of_this_moment(service):
    assert gauges(service)["in_flight"] == gauges(service)["degrade_level"] == 0
    with service.admission.slot(10, 0.0, 1.0):
        service.degrader.active = True
        service.cache.used_bytes = 123
        found = gauges(service)
        assert health(service)["in_flight"] == 1
        assert health(service)["degraded"]
    assert (found["in_flight"], found["degrade_level"], found["cache_bytes"], found["processes"]) == (1, 1, 123, 1)
    assert found["resident_bytes"] > 1 << 20


def test_without_a_smaller_model_nothing_is_degraded(onnx_file):
    service = Service(ServeConfig(models=[onnx_file], threads=1))
    service.ready = service.degrader.active = True
    assert health(service)["degraded"] is False
    assert gauges(service)["degrade_level"] == 0
    assert [one["role"] for one in model_facts(service)] == ["first"]


def test_each_model_has_its_role_and_the_metrics_take_all_of_it(service):
    facts = model_facts(service)
    assert [(one["name"], one["role"]) for one in facts] == [("a", "first"), ("b", "other"), ("colours", "degraded")]
    text = prometheus_text(service.metrics.snapshot(gauges(service)), facts).decode()
    assert text.count("imgc_model_info{") == 3
    for name in gauges(service):
        assert f"\nimgc_{name} " in text
