"""Writes a toy recipe from stages and runs it."""

from __future__ import annotations

from pathlib import Path

from toy_stages import ToyRecipe

from compress.core.digest import sha256_file
from compress.pipeline.runner import RunOutcome, run_recipe
from compress.recipe.load import LoadedRecipe, recipe_from_dict

LINE = [
    {"kind": "train"},
    {"kind": "prune"},
    {"kind": "distill"},
    {"kind": "quantize"},
    {"kind": "export", "format": "all"},
]


class Talk:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def recipe(stages, folder: Path, *, name="demo", **more) -> LoadedRecipe:
    return recipe_from_dict({"imgc": 1, "name": name, "stages": stages, **more}, folder, schema=ToyRecipe)


def run(stages, folder: Path, *, name="demo", reporter=None, **more) -> RunOutcome:
    return run_recipe(recipe(stages, folder, name=name, **more), runs_dir=folder / "runs", reporter=reporter)


def hashes(result: RunOutcome) -> dict[str, str]:
    """Return id -> SHA-256 of the file as it lies there."""
    return {stage.id: sha256_file(result.run_dir / stage.artifact.path) for stage in result.lock.stages}
