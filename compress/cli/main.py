"""The root command. It imports the modules of the commands, which import what is heavy only when they run."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from compress.cli import (
    archs,
    benchmark,
    bundle,
    data,
    describe,
    doctor,
    init,
    models,
    recipes,
    report,
    serve,
    snippet,
    stages,
    tune,
)
from compress.cli.errors import ImgcGroup
from compress.cli.follow import leave_to_first
from compress.cli.knobs import command_of, command_with
from compress.cli.options import GlobalOptions
from compress.cli.output import echo
from compress.cli.standard_streams import hold_standard_streams
from compress.package import VERSION

# torch's OpenMP threads spin for milliseconds before they sleep. On a machine that does anything else they then wait
# for each other: two trainings on 2 cores ran at 75 images/s each, with this at 124 (alone: 240-280 and 213).
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

app = typer.Typer(
    name="imgc",
    cls=ImgcGroup,
    help="From images to a small, fast, trustworthy image classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help: importing rich.markdown alone costs 80 ms of the 300 allowed
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"imgc {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From images to a small, fast, trustworthy image classifier.

    Start with: imgc init IMAGES, then imgc run imgc.yaml (or verb by verb: imgc train, imgc prune, ...).
    """
    hold_standard_streams()
    ctx.obj = GlobalOptions(quiet=quiet)  # `debug` is read by ImgcGroup, of the context
    leave_to_first(ctx.invoked_subcommand)


app.command("init", cls=command_with("compress.core.dataset:FolderData", "on_bad_image", "on_leak"))(init.init)
app.command("run")(recipes.run)
app.command("plan")(recipes.plan)

app.command("train", cls=command_of("train"))(stages.train)
app.command("prune", cls=command_of("prune"))(stages.prune)
app.command("distill", cls=command_of("distill"))(stages.distill)
app.command("quantize", cls=command_of("quantize"))(stages.quantize)
app.command("export", cls=command_of("export"))(stages.export)
app.add_typer(benchmark.app, name="benchmark")
app.add_typer(benchmark.app, name="bench", hidden=True)

app.command("evaluate")(models.evaluate)
app.command("predict")(models.predict)
app.command("inspect")(models.inspect)
app.command("describe")(describe.describe)
app.command("report")(report.report)
app.command("bundle")(bundle.bundle)
app.command("serve")(serve.serve)
app.command("snippet")(snippet.snippet)
app.command("tune")(tune.tune)

app.command("archs")(archs.archs)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
