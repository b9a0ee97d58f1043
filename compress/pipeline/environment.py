"""`environment.json`: the machine and the versions of the newest attempt at a run."""

from __future__ import annotations

from compress.distributed.process_rank import process_rank


def environment(device: str) -> dict[str, object]:
    """Return JSON-able facts: host (see `compress.runtime.host`), device asked for, processes that train together."""
    from compress.runtime.host import host

    return {"schema_version": 1, "device": device, "processes": process_rank().world_size, **host()}
