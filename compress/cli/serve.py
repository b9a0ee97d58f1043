"""`imgc serve`: answer HTTP requests with a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import RUNS, Run, RunsDir, reporter_of


def serve(
    ctx: typer.Context,
    artifact: Annotated[
        Path | None, typer.Argument(help="An .onnx or .tflite file. Default: the run's newest.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 8000,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Pictures worked on at once. Default: cores / workers.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Server processes.")] = 1,
    max_queue: Annotated[int, typer.Option(min=0, max=100_000, help="Requests that may wait; more are told 503.")] = 32,
    timeout_ms: Annotated[int, typer.Option(min=1, max=3_600_000, help="Longest time to a reply.")] = 10_000,
    max_body_mib: Annotated[int, typer.Option(min=1, max=256, help="Largest picture file taken, in MiB.")] = 10,
    run: Run = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Serve a model over HTTP.

    POST a picture to /v1/classify, or drop one on the page at /.
    """
    from compress.cli.run_files import given_model, servable_model
    from compress.serve.config import MIB, ServeConfig
    from compress.serve.run import serve as serve_until_stopped

    config = ServeConfig(
        artifact=given_model(artifact) if artifact else servable_model(run, runs_dir),
        host=host,
        port=port,
        threads=threads,
        workers=workers,
        max_queue=max_queue,
        timeout_ms=timeout_ms,
        max_body_bytes=max_body_mib * MIB,
    )
    serve_until_stopped(config, reporter=reporter_of(ctx))
