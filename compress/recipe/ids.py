"""Stage ids: what a stage is called when its recipe does not say."""

from __future__ import annotations

from collections.abc import Sequence

EXPORT_FORMATS = ("onnx", "tflite")  # what `format: all` becomes: `<id>-onnx`, `<id>-tflite`


def with_default_ids(named: Sequence[tuple[str, str]]) -> list[str]:
    """Return an id for each (kind, id or ""): the given one, else the kind, else kind-2, kind-3 ...

    Given ids are kept as they are, even when two are equal; the planner refuses those.
    """
    taken = {stage_id for _, stage_id in named if stage_id}
    result = []
    for kind, stage_id in named:
        chosen = stage_id or free_id(kind, taken)
        taken.add(chosen)
        result.append(chosen)
    return result


def free_id(base: str, taken: set[str]) -> str:
    """Return `base`, or `base-2`, `base-3` ...: the first that is free, also as the stem of an expanded export."""
    number = 1
    while True:
        candidate = base if number == 1 else f"{base}-{number}"
        if not taken.intersection({candidate, *(f"{candidate}-{fmt}" for fmt in EXPORT_FORMATS)}):
            return candidate
        number += 1
