"""`ServeResults`: what the measurement of the server has found so far, as JSON; parts may be measured one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from compress.core.storage import write_text
from evals.serve.calm import Large, Start, Steady
from evals.serve.endure import Restarts, Soak
from evals.serve.overload import OverloadFound
from evals.serve.rounds import LoadFound

PARTS = ("load", "overload", "steady", "large", "start", "soak", "restarts")


class ServeResults(BaseModel):
    """One field a part, None where it was not measured yet.

    Attributes:
        host: facts of the machine, of the last part measured.
        baselines: versions of the baseline servers.
    """

    model_config = ConfigDict(extra="forbid")

    host: dict[str, Any] = {}
    baselines: dict[str, str] = {}
    load: LoadFound | None = None
    overload: OverloadFound | None = None
    steady: list[Steady] | None = None
    large: list[Large] | None = None
    start: list[Start] | None = None
    soak: Soak | None = None
    restarts: Restarts | None = None


def read_found(path: Path) -> ServeResults:
    """Return what the file holds; nothing measured when there is none.

    Raises:
        ValidationError: the file is not one of these.
    """
    return ServeResults.model_validate_json(path.read_bytes()) if path.exists() else ServeResults()


def write_found(path: Path, found: ServeResults) -> None:
    """Write it, atomically."""
    write_text(path, found.model_dump_json(indent=2) + "\n")
