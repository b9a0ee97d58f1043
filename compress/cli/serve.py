"""`imgc serve`: answer HTTP requests with model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import RUNS, AsJson, Labels, PreprocessText, Run, RunsDir, parse_preprocess, reporter_of

if TYPE_CHECKING:
    from compress.serve.settings import Settings


def serve(
    ctx: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]FILE|RUN...",
            help="An .onnx or .tflite file, or a run's folder; several with names. Default: the run's newest.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="YAML or TOML file with settings.")] = None,
    host: Annotated[str | None, typer.Option(help="Address; 0.0.0.0 lets other machines in. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [8000]")] = None,
    root_path: Annotated[str | None, typer.Option(help="Path under which a proxy shows the server. [/]")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. [1]")] = None,
    threads: Annotated[int | None, typer.Option(help="Images at once in a process. [cores / workers]")] = None,
    timeout_ms: Annotated[int | None, typer.Option(help="Longest time to a reply. [1000]")] = None,
    max_queue: Annotated[int | None, typer.Option(help="Requests that may wait; more are told 503. [64]")] = None,
    max_body_mib: Annotated[int | None, typer.Option(help="Largest image file, in MiB. [10]")] = None,
    max_batch: Annotated[int | None, typer.Option(help="Waiting images in one call, where it gains. [1]")] = None,
    cache_mib: Annotated[int | None, typer.Option(help="Memory for known answers; 0: none. [16]")] = None,
    degrade: Annotated[Path | None, typer.Option(help="A faster model of the same classes, used under load.")] = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
    memory_limit_mib: Annotated[int | None, typer.Option(help="Memory of a process. [the container's]")] = None,
    drain_ms: Annotated[int | None, typer.Option(help="Time of 'not ready, but serving' after SIGTERM. [0]")] = None,
    rate_limit: Annotated[float | None, typer.Option(help="Requests per second of one client. [any]")] = None,
    cors_origin: Annotated[list[str] | None, typer.Option(help="Web origin whose pages may call. [none]")] = None,
    log_requests: Annotated[float | None, typer.Option(help="Share of requests logged, 0..1. [0]")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Show all settings and leave.")] = False,
    as_json: AsJson = False,
    run: Run = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Serve models over HTTP.

    POST an image to /v1/classify (a detector: /v1/detect), drop one on the page at /, or speak the Open Inference
    Protocol at /v2. Settings come from --config, then IMGC_SERVE_* (the API key only so: IMGC_SERVE_API_KEY), then
    these options.
    """
    from compress.cli.run_files import given_model
    from compress.serve.config import MIB
    from compress.serve.run import serve as serve_until_stopped
    from compress.serve.settings import gather

    flags: dict[str, object] = {
        "models": _sources(models, config, run, runs_dir, needed=not print_config),
        "host": host,
        "port": port,
        "root_path": root_path,
        "workers": workers,
        "threads": threads,
        "timeout_ms": timeout_ms,
        "max_queue": max_queue,
        "max_body_bytes": None if max_body_mib is None else max_body_mib * MIB,
        "max_batch": max_batch,
        "cache_mib": cache_mib,
        "degrade": degrade,
        "labels": labels,
        "memory_limit_mib": memory_limit_mib,
        "drain_ms": drain_ms,
        "rate_limit": rate_limit,
        "cors_origins": cors_origin or None,
        "log_requests": log_requests,
    }
    if preprocess is not None:
        first = _first_file(flags["models"])
        flags["preprocess"] = parse_preprocess(preprocess, given_model(first) if first else None)
    settings = gather(flags, config)
    if print_config:
        _print_settings(settings, as_json)
        return
    for path in settings.config.files:
        given_model(path)
    serve_until_stopped(settings.config, reporter=reporter_of(ctx))


def _sources(
    given: list[str] | None, config: Path | None, run: str | None, runs_dir: Path, *, needed: bool
) -> list[dict[str, object]] | None:
    """Return the models of the command line; None where a file or a variable says them; else the run's newest.

    Where none is needed and no run is named, a run that is not there is no mistake.
    """
    import os

    from compress.cli.run_files import servable_model
    from compress.errors import UsageError
    from compress.serve.settings import PREFIX

    if given:
        return [_source(text) for text in given]
    if config is not None or f"{PREFIX}MODELS" in os.environ:
        return None
    try:
        return [{"path": servable_model(run, runs_dir)}]
    except UsageError:
        if needed or run is not None:
            raise
        return None


def _first_file(models: object) -> Path | None:
    return Path(str(models[0]["path"])) if isinstance(models, list) and models else None


def _source(text: str) -> dict[str, object]:
    from compress.cli.run_files import given_model, servable_model

    name, equals, rest = text.partition("=")
    named = bool(equals) and "/" not in name and not Path(text).exists()
    path = Path(rest if named else text)
    folder = path.resolve()
    is_run = path.is_dir()
    found = servable_model(folder.name, folder.parent) if is_run else given_model(path, "look")
    return {"path": found, "name": name if named else None}


def _print_settings(settings: Settings, as_json: bool) -> None:
    from compress.cli.output import print_json, print_table
    from compress.serve.settings import settings_rows

    rows = settings_rows(settings)
    if as_json:
        print_json({name: {"value": value, "from": origin} for name, value, origin in rows})
    else:
        print_table("", ("setting", "value", "from"), rows, left=3)
