"""Under torchrun, what the processes other than the first do with a command: help in its fits, and say nothing."""

from __future__ import annotations

import typer

from compress.distributed.process_rank import process_rank

FAILED = 4
_WRITING = ("run", "train", "prune", "distill", "quantize", "export", "benchmark", "bench")


def leave_to_first(command: str | None) -> None:
    """Return in the first process; in any other one help it to carry out a command, then exit."""
    if process_rank().rank == 0:
        return
    if command not in _WRITING:
        raise typer.Exit
    from compress.distributed.distributed_run import follow
    from compress.pipeline.call import run_ordered

    raise typer.Exit(0 if follow(run_ordered) else FAILED)
