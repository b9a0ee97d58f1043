"""Under torchrun, what the processes other than the first do with a command: help in its fits, and say nothing."""

from __future__ import annotations

import typer

from compress.distributed.process_rank import process_rank

FAILED = 4


def leave_to_first(command: str | None) -> None:
    """Return in the first process; in any other one help it to carry out a command, then exit."""
    if process_rank().rank == 0:
        return
    from compress.distributed.distributed_run import follow
    from compress.pipeline.call import run_ordered
    from compress.recipe.schema import stage_kinds

    if command not in ("run", *stage_kinds(), "bench"):
        raise typer.Exit

    raise typer.Exit(0 if follow(run_ordered) else FAILED)
