"""One session of `imgc tune`: what the command line says becomes a study, a search and its end."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from compress.cli.recipe_draft import data_block, slug
from compress.core.dataset import CsvData, FolderData, is_manifest
from compress.core.digest import sha256_json
from compress.core.json_types import JsonObject
from compress.core.stage import Reporter
from compress.data.dataset import load_dataset
from compress.errors import UsageError
from compress.models.arch_names import ARCH_NAMES, PUBLISHED_OR_FRESH
from compress.models.arch_tensors import fitting_archs
from compress.pipeline.run_dir import run_path, writing
from compress.recipe.epochs import epochs_for
from compress.tune.goal import Goal
from compress.tune.outcome import SearchRequest, conclude
from compress.tune.schema import TuneReport
from compress.tune.search import SearchBudget, SearchSession
from compress.tune.space import Base, Runtime
from compress.tune.stage_time import BATCH
from compress.tune.study import open_study
from compress.tune.trial import TrialContext

if TYPE_CHECKING:
    from compress.tune.devices import Device

_NAME_LENGTH = 24  # the runs of a search add an architecture and more
_DEFAULT_ARCHS = ("mobilenet_v3_small", "squeezenet1_1", "mobilenetv2_100")


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
    weights = _weights(session.archs, session.weights)
    name = session.name or slug(session.data.resolve().stem)[:_NAME_LENGTH]
    if len(name) > _NAME_LENGTH:
        raise UsageError(f"--name {name}: at most {_NAME_LENGTH} characters, the runs of the search add theirs")
    folder = run_path(session.runs_dir, f"{name}-tune")
    base = _base(session, weights, reporter)
    profile = session.profile
    context = TrialContext(session.runs_dir, name, session.device, profile.ms_per_mmac if profile else None, reporter)
    with writing(folder):
        storage = session.storage or f"sqlite:///{folder / 'study.db'}"
        owner = f"{platform.node()}:{folder}"
        study = open_study(storage, name, owner, tuple(weights), session.seed, _settings(session, base))
        SearchSession(
            study, base, session.goal, SearchBudget(session.budget_s, session.trials), tuple(weights), context
        ).run()
        asked = SearchRequest(session.goal, base, context, profile.name if profile else None)
        return conclude(study, asked, folder), folder


def _weights(archs: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    """Return architecture -> weights: of the files, what fits them; else the word for all architectures.

    Raises:
        UsageError: no such architecture or file, or one of them has no counterpart.
    """
    for arch in archs:
        if arch not in ARCH_NAMES:
            raise UsageError(f"--arch {arch}: unknown; there are {', '.join(ARCH_NAMES)}")
    words = [one for one in given if one in PUBLISHED_OR_FRESH]
    if len(words) > 1 or (words and len(given) > 1):
        raise UsageError(f"--weights {words[0]}: stands alone", hint="a file for each --arch, or one word for all")
    if not given or words:
        word = words[0] if words else None
        return {arch: word or ("none" if arch == "tiny" else "imagenet") for arch in archs or _DEFAULT_ARCHS}
    found: dict[str, str] = {}
    for one in given:
        path = Path(one)
        if not path.is_file() or path.suffix.lower() != ".safetensors":
            raise UsageError(
                f"--weights {one}: no such .safetensors file", hint="imagenet, none, or a file for each --arch"
            )
        fitting = [arch for arch in fitting_archs(path) if not archs or arch in archs]
        if not fitting:
            raise UsageError(f"--weights {one}: fits none of {', '.join(archs) or 'our architectures'}")
        named = [arch for arch in fitting if path.name.startswith(f"{arch}.")]
        found[(named or fitting)[0]] = str(path.resolve())
    if missing := [arch for arch in archs if arch not in found]:
        raise UsageError(
            f"--arch {missing[0]}: no --weights file fits it", hint="give a --weights file for each --arch"
        )
    return found


def _base(session: Session, weights: dict[str, str], reporter: Reporter) -> Base:
    is_csv = is_manifest(session.data)
    config = CsvData(kind="csv", path=session.data) if is_csv else FolderData(path=session.data)
    dataset = load_dataset(config, seed=session.seed, reporter=reporter)
    block: JsonObject = {**data_block(session.data.resolve(), Path.cwd())}
    count = len(dataset.splits["train"].paths)
    fresh = all(value == "none" for value in weights.values())
    return Base(
        data=block,
        weights=weights,
        runtime=session.runtime,
        target=session.profile.target if session.profile else None,
        seed=session.seed,
        epochs=session.epochs or epochs_for(count, fresh=fresh),
        steps=ceil(count / BATCH),
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
