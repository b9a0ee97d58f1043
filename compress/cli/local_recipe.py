"""./imgc.yaml beside the verbs: what it says of a stage is what the command line need not say."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from compress.cli.output import echo
from compress.recipe.load import is_model_file, load_recipe
from compress.recipe.schema import stage_kinds
from compress.recipe.siblings import is_sibling

LOCAL_RECIPE = Path("imgc.yaml")
Tree = dict[str, Any]


def local_recipe() -> Tree:
    """Return ./imgc.yaml as plain data with absolute paths, {} where there is none."""
    if not LOCAL_RECIPE.is_file():
        return {}
    loaded = load_recipe(LOCAL_RECIPE)
    for text in loaded.warnings:
        echo(f"warning: {text}", err=True)
    return loaded.resolved


def block_of(local: Tree, sealed: list[Tree], kind: str, given: Collection[str] = ()) -> Tree:
    """Return ./imgc.yaml's options for this kind, of its second such stage when the run has one already, and so on.

    What the file says about other stages is left out where this run has no such stage; so is what the command line says
    in another way.

    Args:
        local: the file as plain data.
        sealed: the run's stages so far.
        kind: of the new stage.
        given: the options that the command line gives it.
    """
    blocks = [stage for stage in local.get("stages", ()) if stage["kind"] == kind]
    if not blocks:
        return {}
    ids = {stage["id"] for stage in sealed}
    done = sum(stage["kind"] == kind and not is_sibling(stage["id"], stage.get("like"), ids) for stage in sealed)
    block = {key: value for key, value in blocks[min(done, len(blocks) - 1)].items() if key not in ("id", "from")}
    absent = [key for key in ("teacher", "baseline") if not all(_is_known(name, ids) for name in _names(block, key))]
    unwanted = {*absent, "models", *_displaced(kind, given)}
    return {key: value for key, value in block.items() if key not in unwanted}


def _displaced(kind: str, given: Collection[str]) -> set[str]:
    """Return the options of the ways that were not taken, where one was."""
    ways = stage_kinds()[kind].alternatives
    taken = [way for way in ways if not set(way).isdisjoint(given)]
    return {option for way in ways if taken and way not in taken for option in way}


def _names(block: Tree, key: str) -> list[str]:
    """Return the references of an option that holds one, a list, or nothing."""
    value = block.get(key) or []
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]


def _is_known(reference: str, ids: set[str]) -> bool:
    return reference in ids or is_model_file(reference)
