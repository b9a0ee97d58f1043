"""`environment.json`: the machine and the versions of the newest attempt at a run."""

from __future__ import annotations

from typing import Any


def environment(device: str) -> dict[str, Any]:
    """Return JSON-able facts: the host as `compress.runtime.host` describes it, and the device asked for."""
    from compress.runtime.host import host

    return {"schema_version": 1, "device": device, **host()}
