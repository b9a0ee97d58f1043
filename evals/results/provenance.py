"""When, where and by which code something is measured now."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compress.errors import UsageError
from compress.runtime.host import host
from evals.results.schema import LatencyDefinition, Measured

_ROOT = Path(__file__).parents[2]
_CODE = ("compress", "evals", "recipes", "requirements.lock")  # a page that is written anew changes no code


def measured_now(latency: LatencyDefinition | None = None) -> Measured:
    """Return today's date, this checkout's commit and this machine.

    Raises:
        UsageError: the code is in no checkout of git: a number without its code is worth nothing.
    """
    changes = _git("status", "--porcelain", "--", *_CODE)
    return Measured(
        date=datetime.now(UTC).date(),
        commit=_git("rev-parse", "--short", "HEAD"),
        changed=bool(changes),
        host=host(),
        latency=latency,
    )


def measured_then(file: Path, host_then: dict[str, Any], latency: LatencyDefinition | None) -> Measured:
    """Return the day a measurement was written, with the commit that was the newest of this checkout then.

    Raises:
        UsageError: the code is in no checkout of git.
    """
    then = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    commit = _git("log", "-1", f"--before={then.isoformat()}", "--format=%h")
    if not commit:
        raise UsageError(f"{file}: was written before the first commit of this checkout")
    return Measured(date=then.date(), commit=commit, host=host_then, latency=latency)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise UsageError(f"{_ROOT}: the commit of the code cannot be told: {done.stderr.strip()}")
    return done.stdout.strip()
