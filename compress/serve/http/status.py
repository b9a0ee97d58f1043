"""What monitors, balancers and the page want to know of a service."""

from __future__ import annotations

from compress.core.json_types import JsonObject
from compress.serve.core.inference import Inference
from compress.serve.core.memory import Pressure, resident_bytes
from compress.serve.core.service import Service
from compress.serve.errors import not_ready

_FIRST_LABELS = 5


def health(service: Service) -> JsonObject:
    """Return the models and the state of the service.

    Raises:
        RequestError: 503 while the service is not ready: starting, stopping, replacing a worker, short of memory.
    """
    if not service.ready or service.draining:
        raise not_ready()
    if service.alarm.pressure is Pressure.HARD:
        raise not_ready("the server is short of memory")
    first = service.first
    return {
        "status": "ok",
        **_facts(first),
        "model": first.name,
        "sha256": first.sha256,
        "models": [_facts(model) for model in service.models.values()],
        "degraded": service.degraded is not None and service.degrader.active,
        "in_flight": service.admission.inside,
        "queue": service.lanes.waiting(),
        "workers_replaced": service.metrics.workers_replaced,
    }


def _facts(model: Inference) -> JsonObject:
    spec = model.spec
    return {
        "name": model.name,
        "task": spec.task,
        "version": model.version,
        "precision": spec.precision.value,
        "runtime": model.runtime,
        "format": model.format.value,
        "num_classes": spec.num_classes,
        "input_px": spec.preprocess.crop_px,
        "max_batch": model.max_batch,
        "labels_first": list(spec.labels[:_FIRST_LABELS]),
    }


def gauges(service: Service) -> dict[str, float]:
    """Return what is so at this moment, for the metrics."""
    return {
        "queue_depth": service.lanes.waiting(),
        "in_flight": service.admission.inside,
        "cache_bytes": service.cache.used_bytes,
        "degrade_level": int(service.degraded is not None and service.degrader.active),
        "resident_bytes": resident_bytes(),
        "processes": 1,
    }


def model_facts(service: Service) -> list[dict[str, str]]:
    """Return the labels of the metric `imgc_model_info`, one set for each model, the smaller one last."""
    models = [(model, "first" if model is service.first else "other") for model in service.models.values()]
    if service.degraded is not None:
        models.append((service.degraded, "degraded"))
    return [
        {
            "name": model.name,
            "version": model.version,
            "precision": model.spec.precision.value,
            "runtime": model.runtime,
            "role": role,
        }
        for model, role in models
    ]
