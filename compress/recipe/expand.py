"""A stage of a recipe with its id and its input written in; `format: all` is two stages."""

from __future__ import annotations

from pathlib import Path

from compress.core.json_types import JsonObject
from compress.core.stage import StageConfig
from compress.recipe.ids import EXPORT_FORMATS


def expanded(config: StageConfig, stage_id: str, source: str | Path | None) -> list[StageConfig]:
    """Return the stage with its id and input written in; an export of `all` as one stage for each format.

    Raises:
        ValidationError: an id that is too long once a format's name is added.
    """
    changes: JsonObject = {"id": stage_id}
    if source is not None:
        changes["from"] = str(source)
    if getattr(config, "format", None) != "all":
        return [changed(config, changes)]
    return [changed(config, {**changes, "id": f"{stage_id}-{fmt}", "format": fmt}) for fmt in EXPORT_FORMATS]


def changed(config: StageConfig, changes: JsonObject) -> StageConfig:
    """Return the stage with other values of some options."""
    return type(config).model_validate({**config.model_dump(by_alias=True), **changes})
