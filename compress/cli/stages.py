"""The verbs that run one stage: `train quantize export`. `prune distill benchmark` have modules of their own.

Each command has the name of its stage kind and typed options for the main knobs; `--set key=value` reaches all others.
A knob that is not given is left to ./imgc.yaml's stage of the same kind, then to the stage's own default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import (
    RUNS,
    AsJson,
    Data,
    Deterministic,
    Device,
    Epochs,
    From,
    PreprocessText,
    Run,
    RunsDir,
    Set,
    parse_preprocess,
)

Target = Annotated[
    str | None,
    typer.Option(
        metavar="cpu-xnnpack|ort-x86|ort-arm|mcu", help="What the int8 model is to run on; checked by node name."
    ),
]


def train(
    ctx: typer.Context,
    data: Data = None,
    arch: Annotated[str | None, typer.Option(help="Architecture, e.g. mobilenet_v3_small.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="imagenet|none|FILE", help="Weights to start from.")] = None,
    epochs: Epochs = None,
    input_px: Annotated[int | None, typer.Option("--input-px", help="Side of the square the network sees.")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
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

    knobs = {"arch": arch, "weights": weights, "fit.epochs": epochs, "input_px": input_px, "fit.lr": lr}
    request = StageRequest("train", knobs, None, sets or [], None, data, runs_dir, device, deterministic)
    start_run(ctx, request, name=name, seed=seed, as_json=as_json)


def quantize(
    ctx: typer.Context,
    scheme: Annotated[str | None, typer.Option(metavar="int8_static|int8_qat|dynamic|auto", help="How.")] = None,
    arch: Annotated[
        str | None, typer.Option(help="Start a run from this architecture's --weights instead of a stage.")
    ] = None,
    weights: Annotated[str | None, typer.Option(metavar="imagenet|none|FILE", help="Weights of --arch.")] = None,
    input_px: Annotated[int | None, typer.Option("--input-px", help="Side of the square input of --arch.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|CSV",
            help="Images that set the ranges, no labels needed. Default: --data's; "
            "for a model of the bundled data set its own.",
        ),
    ] = None,
    calibration_count: Annotated[int | None, typer.Option(help="How many of them.")] = None,
    target: Target = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Leave this layer float; `*` and `?` as in file names. Repeatable."),
    ] = None,
    sensitivity: Annotated[
        bool | None, typer.Option("--sensitivity", help="Also rank the layers by what each costs.")
    ] = None,
    max_drop_pp: Annotated[
        float | None,
        typer.Option("--max-drop-pp", help="Points of top-1 it may lose; else the worst layers stay float."),
    ] = None,
    min_agreement_pct: Annotated[
        float | None,
        typer.Option("--min-agreement-pct", help="Least share of equal answers; the same, without labels."),
    ] = None,
    preprocess: PreprocessText = None,
    epochs: Epochs = None,
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

    prepare = parse_preprocess(preprocess)
    knobs = {
        "scheme": scheme,
        "arch": arch,
        "weights": weights,
        "input_px": input_px,
        "calibration": calibration,
        "calibration_count": calibration_count,
        "target": target,
        "exclude": exclude or None,
        "sensitivity": sensitivity,
        "max_drop_pp": max_drop_pp,
        "min_agreement_pct": min_agreement_pct,
        "preprocess": prepare.model_dump(mode="json") if prepare else None,
        "fit.epochs": epochs,
    }
    add_stage(
        ctx,
        StageRequest("quantize", knobs, from_, sets or [], run, data, runs_dir, device, deterministic),
        as_json=as_json,
    )


def export(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="Model file to convert; the same as --from FILE.")] = None,
    format_: Annotated[str | None, typer.Option("--format", metavar="onnx|tflite|all", help="File format.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="auto|fp32|fp16|int8", help="Number format.")] = None,
    opset: Annotated[int | None, typer.Option(help="ONNX operator set.")] = None,
    target: Target = None,
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
    knobs = {"format": format_ or format_of_out(out), "precision": precision, "opset": opset, "target": target}
    source = str(file) if file else from_
    add_stage(
        ctx, StageRequest("export", knobs, source, sets or [], run, data, runs_dir, device), as_json=as_json, out=out
    )
