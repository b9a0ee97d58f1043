"""The models of a server, opened and warm."""

from __future__ import annotations

from pathlib import Path

from compress.core.labels import labels_in
from compress.errors import UsageError
from compress.serve.config import ServeConfig
from compress.serve.core.inference import Inference


def open_models(config: ServeConfig, threads: int) -> dict[str, Inference]:
    """Return the served models by name, in the order given, warm; errors as `Inference` raises them.

    Raises:
        UsageError: no model, or two of one name.
    """
    if not config.models:
        raise UsageError("no model is given", hint="imgc serve FILE, or `models: [FILE]` in the settings file")
    models: dict[str, Inference] = {}
    for source in config.models:
        model = _open(config, source.path, threads, source.name)
        if model.name in models:
            raise UsageError(
                f"{source.path}: a model called {model.name} is served already",
                hint=f"name them: imgc serve a={config.models[0].path} b={source.path}",
            )
        models[model.name] = model
    return models


def _open(config: ServeConfig, path: Path, threads: int, name: str | None = None) -> Inference:
    labels = labels_in(config.labels) if config.labels else None
    return Inference(
        path,
        threads,
        name=name,
        max_batch=config.max_batch,
        preprocess=config.preprocess,
        labels=labels,
        min_scores=config.min_scores,
    )


def open_degraded(config: ServeConfig, first: Inference, threads: int) -> Inference | None:
    """Return the smaller model that answers for the first under load; None: there is none.

    Raises:
        UsageError: it does something else, or has other labels.
    """
    if config.degrade is None:
        return None
    smaller = _open(config, config.degrade, threads)
    if smaller.spec.task != first.spec.task:
        raise UsageError(
            f"{config.degrade}: does not do what {first.name} does (one names images, the other finds boxes)",
            hint="give a model of the same task to --degrade",
        )
    if smaller.spec.labels != first.spec.labels:
        raise UsageError(
            f"{config.degrade}: has other labels than {first.name} "
            f"({smaller.spec.num_classes} and {first.spec.num_classes} classes), so it cannot answer for it",
            hint="give a model of the same classes to --degrade",
        )
    return smaller
