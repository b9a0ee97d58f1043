"""`imgc data`: make data sets that need no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.knobs import checked, command_with, given_knobs
from compress.cli.options import reporter_of
from compress.cli.output import echo

app = typer.Typer(help="Make data sets that need no network.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make data sets that need no network."""


@app.command(cls=command_with("compress.core.dataset:DefectsData", "task", "size_px", "train", "val", "test", "seed"))
def defects(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must be absent or empty.")],
) -> None:
    """Generate surface-inspection images: ok, scratch, crack, dent, hole, stain, rust; or flaws with their boxes."""
    from compress.core.dataset import DefectsData
    from compress.data.defects.write import write_defects
    from compress.errors import UsageError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder", hint="choose another --out, or remove it")
    config = checked(DefectsData, given_knobs(ctx), kind="defects")
    write_defects(out, config, reporter_of(ctx))
    echo(f"wrote {config.train + config.val + config.test} images to {out}")
    echo(f"next: imgc init {out} --weights none")
