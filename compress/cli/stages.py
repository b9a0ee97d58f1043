"""The verbs that run one stage: `train prune distill quantize export`. `benchmark` has a module of its own.

Each command has the name of its stage kind and an option for each knob of its config (`compress.cli.knobs`);
`--set key=value` reaches all others. A knob that is not given is left to ./imgc.yaml's stage of the same kind, then to
the stage's own default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compress.cli.knobs import given_knobs
from compress.cli.options import (
    RUNS,
    AsJson,
    Data,
    Deterministic,
    Device,
    From,
    Run,
    RunsDir,
    Set,
    parse_preprocess,
)


def train(
    ctx: typer.Context,
    data: Data = None,
    name: Annotated[str | None, typer.Option(help="Name of the run to start.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.")] = None,
    sets: Set = None,
    device: Device = "cpu",
    deterministic: Deterministic = False,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Start a run: fine-tune a network on images.

    They are named by ./imgc.yaml (see imgc init), or by --data.
    """
    from compress.cli.execute import start_run
    from compress.cli.one_stage import StageRequest

    request = StageRequest("train", given_knobs(ctx), None, sets or [], None, data, runs_dir, device, deterministic)
    start_run(ctx, request, name=name, seed=seed, as_json=as_json)


def prune(
    ctx: typer.Context,
    from_: From = None,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    deterministic: Deterministic = False,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Remove the least important channels, down to a budget: --keep or one of the --target options.

    The stock network of the same MACs, trained alike, is made beside it unless --no-sibling: it says what pruning is
    worth.
    """
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    request = StageRequest("prune", given_knobs(ctx), from_, sets or [], run, data, runs_dir, device, deterministic)
    add_stage(ctx, request, as_json=as_json)


def distill(
    ctx: typer.Context,
    from_: From = None,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    deterministic: Deterministic = False,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Learn from the answers of one or more teachers, to recover what pruning cost."""
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    request = StageRequest("distill", given_knobs(ctx), from_, sets or [], run, data, runs_dir, device, deterministic)
    add_stage(ctx, request, as_json=as_json)


def quantize(
    ctx: typer.Context,
    from_: From = None,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    deterministic: Deterministic = False,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Turn a float model into an int8 ONNX model.

    The model is a stage of the run, a file (--from), or an architecture and its weights (--arch, --weights).
    """
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    knobs: dict[str, Any] = given_knobs(ctx)
    _prepare(knobs, from_)
    request = StageRequest("quantize", knobs, from_, sets or [], run, data, runs_dir, device, deterministic)
    add_stage(ctx, request, as_json=as_json)


def export(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Model file to convert; the same as --from FILE.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also copy the exported model here.")] = None,
    from_: From = None,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Write an ONNX or TFLite file and check it against its source."""
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest, format_of_out
    from compress.errors import UsageError

    if file and from_:
        raise UsageError("give the input once: as an argument or with --from")
    knobs = given_knobs(ctx)
    knobs["format"] = knobs["format"] or format_of_out(out)
    source = str(file) if file else from_
    _prepare(knobs, source)
    request = StageRequest("export", knobs, source, sets or [], run, data, runs_dir, device)
    add_stage(ctx, request, as_json=as_json, out=out)


def _prepare(knobs: dict[str, Any], source: str | None) -> None:
    """Put the preprocessing that the command line gives into words of the config; a preset's side is the file's."""
    from compress.cli.run_files import given_model
    from compress.core.preprocess import PRESETS

    text = knobs["preprocess"]
    file = Path(source) if source and Path(source).is_file() else None
    if text in PRESETS and file is not None:
        given_model(file)
    if prepare := parse_preprocess(text, file):
        knobs["preprocess"] = prepare.model_dump(mode="json")
