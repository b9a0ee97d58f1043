"""The root command. It imports the modules of the commands, which import what is heavy only when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from compress.cli import data, doctor, init, models, recipes, report, serve, stages
from compress.cli.errors import ImgcGroup
from compress.cli.options import Settings

app = typer.Typer(
    name="imgc",
    cls=ImgcGroup,
    help="From photographs to a small, fast, trustworthy image classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"imgc {version('imgc')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """From photographs to a small, fast, trustworthy image classifier.

    Start with: imgc init PHOTOS, then imgc run imgc.yaml (or verb by verb: imgc train, imgc prune, ...).
    """
    ctx.obj = Settings(quiet=quiet, debug=debug)


CHAIN, STAGES, MODELS, ROOM = "Whole chains", "Single stages", "Models and runs", "Surroundings"

app.command("init", rich_help_panel=CHAIN)(init.init)
app.command("run", rich_help_panel=CHAIN)(recipes.run)
app.command("plan", rich_help_panel=CHAIN)(recipes.plan)

app.command("train", rich_help_panel=STAGES)(stages.train)
app.command("prune", rich_help_panel=STAGES)(stages.prune)
app.command("distill", rich_help_panel=STAGES)(stages.distill)
app.command("quantize", rich_help_panel=STAGES)(stages.quantize)
app.command("export", rich_help_panel=STAGES)(stages.export)
app.command("benchmark", rich_help_panel=STAGES)(stages.benchmark)
app.command("bench", hidden=True)(stages.benchmark)

app.command("evaluate", rich_help_panel=MODELS)(models.evaluate)
app.command("predict", rich_help_panel=MODELS)(models.predict)
app.command("inspect", rich_help_panel=MODELS)(models.inspect)
app.command("report", rich_help_panel=MODELS)(report.report)
app.command("serve", rich_help_panel=MODELS)(serve.serve)

app.command("doctor", rich_help_panel=ROOM)(doctor.doctor)
app.add_typer(data.app, name="data", rich_help_panel=ROOM)
