"""A model file that somebody named: vouched for by the seal of a run, or tried in a process of its own first."""

from __future__ import annotations

from pathlib import Path

from compress.pipeline.seal import check_sealed
from compress.runtime.trial import Purpose, try_out


def vouch(path: Path, purpose: Purpose = "run") -> None:
    """Return where a model file may be opened in this process: it is what a run sealed, or it was tried.

    `purpose`: see `try_out`.

    Raises:
        StageError: it lies in a run and is not what was sealed there.
        ModelFileError: the trial failed.
    """
    if not check_sealed(path):
        try_out(path, purpose)
