"""A single verb is a recipe of one more stage: the sealed stages of a run, which are reused, and the new one.

What is not said on the command line comes from ./imgc.yaml's stage of the same kind, if there is such a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from compress.cli.local_recipe import LOCAL_RECIPE, Tree, block_of, local_recipe
from compress.cli.recipe_draft import data_block, slug
from compress.cli.verb_hints import for_verb
from compress.core.formats import SUFFIX, Format
from compress.errors import RecipeError, UsageError
from compress.models.arch_names import WEIGHT_SUFFIXES
from compress.models.arch_tensors import fitting_archs
from compress.pipeline.current import current_run, load_run
from compress.pipeline.lock import LockedStage, read_lock
from compress.pipeline.run_dir import LATEST, RESOLVED_NAME, run_path
from compress.recipe.ids import free_id
from compress.recipe.load import LoadedRecipe, is_model_file, recipe_from_dict
from compress.recipe.plan import PlannedStage, plan
from compress.recipe.schema import stage_kinds
from compress.recipe.siblings import SUFFIX as SIBLING

_BEGINNING = ("arch", "weights", "input_px")  # options of a stage that reads no model


@dataclass(frozen=True)
class StageRequest:
    """What a verb was asked for.

    Attributes:
        kind: the stage's kind.
        knobs: dotted option -> value; None means not given.
        source: stage id or file to read; None means the newest that fits.
        sets: further `key=value` options.
        run: run to add to; None means the latest.
        data: images for a run that has none yet.
        runs_dir: folder of all runs.
        device: where torch computes.
        deterministic: whether torch refuses what may give other bits each time.
    """

    kind: str
    knobs: Mapping[str, Any]
    source: str | None
    sets: list[str]
    run: str | None
    data: Path | None
    runs_dir: Path
    device: str
    deterministic: bool = False


@dataclass(frozen=True)
class StageDraft:
    """A recipe that ends in the new stage, and where it is to run.

    Attributes:
        loaded: the recipe.
        sealed: ids of the stages that the run has done already and that stay as they are.
        new: the stages that were asked for.
        runs_dir: folder of all runs.
        name: of the run.
    """

    loaded: LoadedRecipe
    sealed: frozenset[str]
    new: tuple[PlannedStage, ...]
    runs_dir: Path
    name: str


def draft_run(request: StageRequest, name: str | None, seed: int | None) -> StageDraft:
    """Return a recipe that starts a run with one stage.

    Raises:
        UsageError: nobody says which images; or an option that cannot be.
    """
    local = local_recipe()
    tree: Tree = {"imgc": 1, "name": "", "seed": 0, **{key: local[key] for key in ("name", "seed") if key in local}}
    tree["data"] = _data_of(request) or local.get("data")
    if tree["data"] is None:
        raise UsageError(
            f"no images: there is no --data and no {LOCAL_RECIPE} here", hint="imgc init IMAGES, or --data IMAGES"
        )
    if request.data:
        tree["name"] = slug(request.data.resolve().stem)
    tree["name"] = _own_run(request, name or tree["name"], "--name" if name else None)
    tree["seed"] = tree["seed"] if seed is None else seed
    return _drafted(tree, [], _with_fitting_arch(request, local), local, request.runs_dir)


def _with_fitting_arch(request: StageRequest, local: Tree) -> StageRequest:
    """Return the request with the architecture that its weights' file fits, where nobody names one."""
    weights = str(request.knobs.get("weights") or "")
    named = (
        request.knobs.get("arch") or block_of(local, [], request.kind).get("arch") or "arch" in given_options(request)
    )
    if named or not weights.lower().endswith(WEIGHT_SUFFIXES) or not Path(weights).is_file():
        return request
    fitting = fitting_archs(Path(weights))
    return replace(request, knobs={**request.knobs, "arch": fitting[0]}) if fitting else request


def _own_run(request: StageRequest, name: str, asked_with: str | None) -> str:
    """Return a name for a run that begins anew; a run that has grown further is not cut back to one stage.

    Args:
        request: the stage that the run begins with.
        name: the name wanted.
        asked_with: option that asked for it, None where nobody did and another will do.

    Raises:
        UsageError: the name was asked for and belongs to such a run.
    """
    if _may_begin(request, name):
        return name
    if asked_with:
        sealed = ", ".join(stage.id for stage in _sealed_stages(request.runs_dir, name))
        raise UsageError(
            f"run '{name}' has the stages {sealed}, which a new {request.kind} stage would remove",
            hint=f"choose another {asked_with}",
        )
    return next(free for n in count(2) if _may_begin(request, free := f"{name}-{n}"))


def _may_begin(request: StageRequest, name: str) -> bool:
    """Return whether no run of that name would lose more than an earlier try of the same stage."""
    return [stage.kind for stage in _sealed_stages(request.runs_dir, name)] in ([], [request.kind])


def _sealed_stages(runs_dir: Path, name: str) -> tuple[LockedStage, ...]:
    lock = read_lock(run_path(runs_dir, name))
    return tuple(lock.stages) if lock else ()


def draft_stage(request: StageRequest) -> StageDraft:
    """Return the recipe of a run with one more stage.

    Raises:
        UsageError: there is no run and no file to read; or an option that cannot be.
        RecipeError: the stage cannot read what it was given.
    """
    local = local_recipe()
    if arch := _arch_of(request, local):
        return _draft_from_arch(request, local, arch)
    if request.source and is_model_file(request.source) and _begins_a_run(request, Path(request.source)):
        name = request.run or _own_run(request, slug(Path(request.source).stem), None)
        data = _data_of(request) or local.get("data")
        tree: Tree = {"imgc": 1, "name": name, "seed": local.get("seed", 0), "data": data}
        return _drafted(tree, [], request, local, request.runs_dir)
    run_dir = current_run(request.runs_dir, request.run)
    tree, sealed = _sealed_recipe(run_dir)
    if request.data and tree.get("data"):
        raise UsageError(f"--data: run '{run_dir.name}' has its own images", hint="start another: imgc train --data")
    tree["data"] = tree.get("data") or _data_of(request)
    return _drafted({**tree, "name": run_dir.name}, sealed, request, local, run_dir.parent)


def _arch_of(request: StageRequest, local: Tree) -> str | None:
    """Return the architecture that a stage is to start from, None where it reads a model."""
    if stage_kinds()[request.kind].instead_of_input is None or request.source:
        return None
    arch = request.knobs.get("arch") or block_of(local, [], request.kind).get("arch")
    return str(arch) if arch else None


def _draft_from_arch(request: StageRequest, local: Tree, arch: str) -> StageDraft:
    """Return a recipe that starts a run with a stage that reads no model; `--run` names it.

    The images of ./imgc.yaml are for its own classes: with --arch and --calibration they are not asked for.
    """
    asked = request.knobs.get("arch") and request.knobs.get("calibration")
    data = _data_of(request) or (None if asked else local.get("data"))
    name = _own_run(request, request.run or slug(arch), "--run" if request.run else None)
    tree: Tree = {"imgc": 1, "name": name, "seed": local.get("seed", 0), "data": data}
    return _drafted(tree, [], request, local, request.runs_dir)


def _drafted(tree: Tree, sealed: list[Tree], request: StageRequest, local: Tree, runs_dir: Path) -> StageDraft:
    """Put the new stage below the sealed ones and plan it."""
    ids = {stage["id"] for stage in sealed}
    stage = {
        **block_of(local, sealed, request.kind, given_options(request)),
        "kind": request.kind,
        "id": free_id(request.kind, ids),
    }
    for key, value in request.knobs.items():
        if value is not None:
            _put(stage, key, value)
    if request.source:
        _check_source(request.source, ids)
        if request.knobs.get("arch") is None:  # what ./imgc.yaml says of another beginning
            stage = {key: value for key, value in stage.items() if key not in _BEGINNING}
        stage["from"] = request.source
    # a run that begins may say more of its images; later they are what its stages were made from
    sets = [
        text if text.startswith("data.") and not sealed else f"stages.{len(sealed)}.{text}" for text in request.sets
    ]
    tree = {key: value for key, value in tree.items() if value is not None} | {"stages": [*sealed, stage]}
    try:
        loaded = recipe_from_dict(tree, Path.cwd(), source=f"imgc {request.kind}", overrides=sets)
        planned = plan(loaded)
    except RecipeError as error:
        raise for_verb(error, request.kind) from error
    return StageDraft(loaded, frozenset(ids), _asked_for(planned.stages, ids), runs_dir, planned.name)


def given_options(request: StageRequest) -> set[str]:
    """Return the stage's options that the command line gives, by the first word of each."""
    knobs = {key for key, value in request.knobs.items() if value is not None}
    return {re.split(r"[.=]", text, maxsplit=1)[0] for text in (*knobs, *request.sets)}


def _asked_for(stages: tuple[PlannedStage, ...], sealed: set[str]) -> tuple[PlannedStage, ...]:
    """Return the stages that are new, without the siblings of sealed ones that an interrupted run still lacks."""
    new = (stage for stage in stages if stage.id not in sealed)
    return tuple(stage for stage in new if stage.id.removesuffix(SIBLING) not in sealed)


def check_out(out: Path, new: tuple[PlannedStage, ...]) -> None:
    """Refuse an `--out` that cannot hold what will be made.

    Raises:
        UsageError: two files for one name, a wrong suffix, or a folder.
    """
    if len(new) != 1:
        raise UsageError(f"--out {out}: one file name, but {len(new)} files", hint="choose --format onnx or tflite")
    wanted = SUFFIX[new[0].config.produces]
    if out.suffix.lower() != wanted:
        raise UsageError(f"--out {out}: must end in {wanted}")
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder")


def format_of_out(out: Path | None) -> str | None:
    """Return the export format that a file name asks for, None when it asks for none."""
    formats = {SUFFIX[fmt]: fmt.value for fmt in (Format.ONNX, Format.TFLITE)}
    return formats.get(out.suffix.lower()) if out else None


def _sealed_recipe(run_dir: Path) -> tuple[Tree, list[Tree]]:
    """Return a run's resolved recipe without stages, and its sealed stages; a stage that failed is not among them."""
    tree: Tree = dict(load_run(run_dir).resolved)
    lock = read_lock(run_dir)
    done = {stage.id for stage in lock.stages} if lock else set()
    stages = tree.pop("stages")
    sealed = [_as_it_was(stage, done) for stage in stages if stage["id"] in done]
    if len(sealed) < len(stages):
        tree.pop("gates", None)  # they may judge what is not there
    return tree, sealed


def _as_it_was(stage: Tree, done: set[str]) -> Tree:
    """Return a sealed stage; one that was pruned without a sibling gets none now, which nobody asked for."""
    alone = stage.get("sibling") and stage["id"] + SIBLING not in done
    return {**stage, "sibling": False} if alone else stage


def _has_run(request: StageRequest) -> bool:
    if request.run is None:
        return (request.runs_dir / LATEST / RESOLVED_NAME).is_file()
    return (run_path(request.runs_dir, request.run) / RESOLVED_NAME).is_file()


def _begins_a_run(request: StageRequest, source: Path) -> bool:
    """Return whether a file starts a run of its own: no run is there or named, or it comes from outside that run.

    A file beside the runs may be another one tomorrow; a run that holds sealed stages must not hang on it.
    """
    if request.run is not None or not _has_run(request):
        return not _has_run(request)
    return not source.resolve().is_relative_to((request.runs_dir / LATEST).resolve())


def _data_of(request: StageRequest) -> Tree | None:
    return dict(data_block(request.data, Path.cwd())) if request.data else None


def _check_source(source: str, ids: set[str]) -> None:
    if source not in ids and is_model_file(source) and not Path(source).is_file():
        raise UsageError(f"{source}: no such model file")


def _put(tree: Tree, dotted_key: str, value: object) -> None:
    *parents, last = dotted_key.split(".")
    for part in parents:
        if tree.get(part) is None:  # absent, or `recovery: null` in ./imgc.yaml
            tree[part] = {}
        tree = tree[part]
    tree[last] = value
