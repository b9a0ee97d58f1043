"""`imgc data`: make data sets that need no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import reporter_of

app = typer.Typer(help="Make data sets that need no network.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make data sets that need no network."""


@app.command()
def defects(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder to make; it must be absent or empty.")],
    seed: Annotated[int, typer.Option(help="Same seed, same images.")] = 0,
    size_px: Annotated[int, typer.Option("--size-px", min=64, max=256, help="Side of each image.")] = 96,
    train: Annotated[int, typer.Option(min=7, max=100_000, help="Images to train on, over all classes.")] = 2800,
    val: Annotated[int, typer.Option(min=7, max=100_000, help="Images to validate on.")] = 350,
    test: Annotated[int, typer.Option(min=7, max=100_000, help="Images to test on.")] = 700,
) -> None:
    """Generate surface-inspection images: ok, scratch, crack, dent, hole, stain, rust."""
    from compress.core.dataset import DefectsData
    from compress.data.defects.write import write_defects
    from compress.errors import UsageError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder", hint="choose another --out, or remove it")
    config = DefectsData(kind="defects", size_px=size_px, train=train, val=val, test=test, seed=seed)
    write_defects(out, config, reporter_of(ctx))
    typer.echo(f"wrote {train + val + test} images to {out}")
    typer.echo(f"next: imgc init {out} --weights none")
