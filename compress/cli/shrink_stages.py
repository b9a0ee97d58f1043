"""The verbs that make a trained network smaller and teach it again: `prune distill`. See `compress.cli.stages`."""

from __future__ import annotations

from typing import Annotated

import typer

from compress.cli.options import RUNS, AsJson, Data, Deterministic, Device, Epochs, From, Run, RunsDir, Set


def prune(
    ctx: typer.Context,
    keep: Annotated[
        float | None,
        typer.Option(help="Share of the channels to keep, above 0 and at most 1. Default without another budget: 0.7."),
    ] = None,
    importance: Annotated[
        str | None, typer.Option(metavar="l1|l2|bn_scale|taylor|fisher", help="What ranks channels.")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(metavar="local|global|isomorphic", help="Rank within a layer, over all, or over layers alike."),
    ] = None,
    target_macs: Annotated[
        float | None, typer.Option("--target-macs", help="Instead of --keep: largest share of the MACs left.")
    ] = None,
    target_params: Annotated[
        float | None, typer.Option("--target-params", help="Instead of --keep: largest share of the parameters left.")
    ] = None,
    target_latency_ms: Annotated[
        float | None,
        typer.Option("--target-latency-ms", help="Instead of --keep: largest latency, measured here in --runtime."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="onnx|tflite", help="Where the latency before and after is measured.")
    ] = None,
    sensitivity: Annotated[
        bool | None,
        typer.Option("--sensitivity", help="Also measure what each group of layers can spare: table, JSON, heat map."),
    ] = None,
    allocation: Annotated[
        str | None, typer.Option(metavar="uniform|sensitivity", help="Equal shares, or the cheapest cuts first.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="Cut in so many steps; needs a recovery (--epochs) after each.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Recovery after each cut: passes over the training images.")
    ] = None,
    protect: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Keep this layer whole; `*` and `?` as in file names. Repeatable."),
    ] = None,
    sibling: Annotated[
        bool | None,
        typer.Option("--sibling/--no-sibling", help="Also train the stock narrower network to compare with (default)."),
    ] = None,
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

    knobs = {
        "keep": keep,
        "target_macs": target_macs,
        "target_params": target_params,
        "target_latency_ms": target_latency_ms,
        "runtime": runtime,
        "importance": importance,
        "scope": scope,
        "sensitivity": sensitivity,
        "allocation": allocation,
        "rounds": rounds,
        "recovery.epochs": epochs,
        "protect": protect or None,
        "sibling": sibling,
    }
    add_stage(
        ctx,
        StageRequest("prune", knobs, from_, sets or [], run, data, runs_dir, device, deterministic),
        as_json=as_json,
    )


def distill(
    ctx: typer.Context,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE|FILE",
            help="A stage, .safetensors or .onnx; repeated, their mean counts. Default: the run's train stage.",
        ),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="kd|dkd", help="Hinton's loss, or target and other classes decoupled.")
    ] = None,
    hints: Annotated[
        float | None, typer.Option(help="Weight of the teacher's feature maps (FitNets); 0 is off.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Softens both distributions.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Share of the teacher's answers in the loss, 0..1.")] = None,
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
    """Learn from the answers of one or more teachers, to recover what pruning cost."""
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    knobs = {
        "teacher": teacher or None,
        "loss": loss,
        "hints": hints,
        "temperature": temperature,
        "alpha": alpha,
        "fit.epochs": epochs,
    }
    add_stage(
        ctx,
        StageRequest("distill", knobs, from_, sets or [], run, data, runs_dir, device, deterministic),
        as_json=as_json,
    )
