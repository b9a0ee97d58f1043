"""Where recomputable files live: `$IMGC_CACHE`, else the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the cache folder (not created here)."""
    if chosen := os.environ.get("IMGC_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "imgc"
