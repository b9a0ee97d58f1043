"""What a stage claims (`StageOutput`) and what the runner sealed (`Artifact`)."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from compress.core.formats import Format
from compress.core.spec import ModelSpec

Metrics = dict[str, float | int | str | bool | None]


class StageOutput(BaseModel):
    """What a stage says it made: a file inside its own folder, not yet hashed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_name: str
    format: Format
    spec: ModelSpec | None
    metrics: Metrics = Field(default_factory=dict)


class Artifact(BaseModel):
    """A sealed file: what later stages, gates and reports may rely on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage_id: str
    kind: str
    format: Format
    path: Path
    sha256: str
    size_bytes: int
    spec: ModelSpec | None
    metrics: Metrics
