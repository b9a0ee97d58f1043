"""One session of `imgc tune`: what the command line says becomes a study, a search and its end."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from compress.cli.recipe_draft import data_block, slug
from compress.cli.tune_weights import weights_of
from compress.core.dataset import DataConfig, task_of
from compress.core.digest import sha256_json
from compress.core.json_types import JsonObject
from compress.core.stage import Reporter
from compress.data.dataset import load_dataset
from compress.errors import UsageError
from compress.models.arch_names import FRESH
from compress.pipeline.run_dir import run_path, writing
from compress.tune.goal import Goal
from compress.tune.outcome import SearchRequest, conclude
from compress.tune.schema import TuneReport
from compress.tune.search import SearchBudget, SearchSession
from compress.tune.space import Base, Runtime
from compress.tune.study import open_study
from compress.tune.task import TASKS
from compress.tune.trial import TrialContext

if TYPE_CHECKING:
    from compress.tune.devices import Device

_NAME_LENGTH = 24  # the runs of a search add an architecture and more
_DATA: TypeAdapter[DataConfig] = TypeAdapter(DataConfig)


@dataclass(frozen=True)
class Session:
    """What the command line says; fields as the options."""

    data: Path
    goal: Goal
    runtime: Runtime
    profile: Device | None
    budget_s: float
    trials: int | None
    archs: tuple[str, ...]
    weights: tuple[str, ...]
    name: str | None
    storage: str | None
    epochs: int | None
    seed: int
    device: str
    runs_dir: Path


def search(session: Session, reporter: Reporter) -> tuple[TuneReport, Path]:
    """Search, or go on searching; return what was found, and the folder of its files.

    Raises:
        UsageError: options that contradict each other, or another process searches under this name.
        DataError: the images cannot be used.
        ImgcError: the test of the chosen model failed.
    """
    data = _DATA.validate_python({**data_block(session.data, Path.cwd()), "path": session.data})
    weights = weights_of(task_of(data), session.archs, session.weights)
    name = session.name or slug(session.data.resolve().stem)[:_NAME_LENGTH]
    if len(name) > _NAME_LENGTH:
        raise UsageError(f"--name {name}: at most {_NAME_LENGTH} characters, the runs of the search add theirs")
    folder = run_path(session.runs_dir, f"{name}-tune")
    base = _base(session, data, weights, reporter)
    profile = session.profile
    context = TrialContext(session.runs_dir, name, session.device, profile.ms_per_mmac if profile else None, reporter)
    with writing(folder):
        storage = session.storage or f"sqlite:///{folder / 'study.db'}"
        owner = f"{platform.node()}:{folder}"
        study = open_study(storage, name, owner, tuple(weights), session.seed, _settings(session, base), base.task)
        SearchSession(
            study, base, session.goal, SearchBudget(session.budget_s, session.trials), tuple(weights), context
        ).run()
        asked = SearchRequest(session.goal, base, context, profile.name if profile else None)
        return conclude(study, asked, folder), folder


def _base(session: Session, data: DataConfig, weights: dict[str, str], reporter: Reporter) -> Base:
    dataset = load_dataset(data, seed=session.seed, reporter=reporter, task=None)
    task = TASKS[dataset.task]
    count = len(dataset.splits["train"])
    fresh = all(value == FRESH for value in weights.values())
    return Base(
        data={**data_block(session.data.resolve(), Path.cwd())},
        weights=weights,
        runtime=session.runtime,
        target=session.profile.target if session.profile else None,
        seed=session.seed,
        epochs=session.epochs or task.epochs(count, fresh),
        steps=ceil(count / task.batch),
        task=dataset.task,
    )


def _settings(session: Session, base: Base) -> JsonObject:
    """Return what must stay the same while a study lives; limits and budget may change."""
    return {
        "data": base.data["path"],
        "archs": sorted(base.weights),
        "weights": sha256_json(base.weights)[:12],
        "runtime": base.runtime,
        "target": base.target,
        "speed": session.profile.ms_per_mmac if session.profile else None,
        "epochs": base.epochs,
        "seed": base.seed,
    }
