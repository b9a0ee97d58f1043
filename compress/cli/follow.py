"""Under torchrun, what the processes other than the first do with a command: help in its fits, and say nothing."""

from __future__ import annotations

import typer

from compress.core.place import place

FAILED = 4
_WRITING = ("run", "train", "prune", "distill", "quantize", "export", "benchmark", "bench")


def leave_to_first(command: str | None) -> None:
    """Return in the first process; in any other one help it to carry out a command, then exit."""
    if place().rank == 0:
        return
    if command not in _WRITING:
        raise typer.Exit
    from compress.pipeline.crew import follow

    raise typer.Exit(0 if follow() else FAILED)
