"""The study: which settings were tried and what came of them, in Optuna's SQL storage, so that several may share it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.benchmark.row_accuracy import ACCURACY
from compress.core.dataset import Task
from compress.core.json_types import Json
from compress.errors import UsageError, missing_backend
from compress.tune.goal import TrialResult
from compress.tune.space import FILLS, PATIENCE, Knobs, has_hard_swish
from compress.tune.task import TASKS

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna import Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_SETTINGS, _OWNER, _POINT, _SECONDS = "settings", "owner", "point", "seconds"
_KNOBS, _REASON, _SHARE = "knobs", "reason", "share"


@dataclass(frozen=True)
class RunningTrial:
    """A setting that is being tried."""

    trial: Trial
    knobs: Knobs


@dataclass(frozen=True)
class CompletedTrial:
    """A setting that was tried to the end.

    Attributes:
        knobs: the setting.
        share: of the parameters that it kept.
        point: what came of it.
        seconds: kind of stage -> what it took, also where it was taken from another run.
    """

    knobs: Knobs
    share: float
    point: TrialResult
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class PrunedTrial:
    """A setting that was given up, and why."""

    knobs: Knobs
    reason: str


class Study:
    """One study of three goals: accuracy up, size down, latency down."""

    def __init__(self, study: OptunaStudy, owner: str, archs: Sequence[str], task: Task) -> None:
        """Wrap an open study; `owner` is whose interrupted trials are gone on with."""
        self._study = study
        self._owner = owner
        self._archs = tuple(archs)
        self._task = task

    def ask(self, knobs: Knobs | None = None) -> RunningTrial:
        """Return the next setting to try: this one, else what Optuna suggests (TPE, Bergstra et al. 2011)."""
        if knobs is not None:
            self._study.enqueue_trial(knobs.model_dump())
        with _quiet():
            trial = self._study.ask(_distributions(self._archs, self._task))
        chosen = Knobs.model_validate(trial.params)
        if not has_hard_swish(chosen.arch):
            chosen = chosen.model_copy(update={"hard_swish": "float"})
        trial.set_user_attr(_OWNER, self._owner)
        trial.set_user_attr(_KNOBS, chosen.model_dump())
        return RunningTrial(trial, chosen)

    def finish(self, asked: RunningTrial, share: float, point: TrialResult, seconds: Mapping[str, float]) -> None:
        """Record what came of a setting."""
        asked.trial.set_user_attr(_POINT, point.model_dump())
        asked.trial.set_user_attr(_SHARE, share)
        asked.trial.set_user_attr(_SECONDS, dict(seconds))
        with _quiet():
            self._study.tell(asked.trial, (point.accuracy_pct, float(point.size_bytes), point.latency_ms))

    def drop(self, asked: RunningTrial, reason: str, *, failed: bool = False) -> None:
        """Record that a setting was given up because it is hopeless, or that it failed."""
        from optuna.trial import TrialState

        asked.trial.set_user_attr(_REASON, reason)
        with _quiet():
            self._study.tell(asked.trial, state=TrialState.FAIL if failed else TrialState.PRUNED)

    def pass_over(self, asked: RunningTrial) -> None:
        """Let go of a suggestion that is not to be tried."""
        from optuna.trial import TrialState

        with _quiet():
            self._study.tell(asked.trial, state=TrialState.FAIL)

    def resume(self) -> list[RunningTrial]:
        """Return the settings that this owner began and did not end, each asked for anew.

        The old trial ends when the new one has begun, so that a session that is killed in between loses no setting.
        """
        from optuna.trial import TrialState

        asked: dict[Knobs, RunningTrial] = {}
        for one in [one for one in self._trials() if one.state is TrialState.RUNNING and self._is_own(one)]:
            knobs = Knobs.model_validate(one.user_attrs[_KNOBS])
            if knobs not in asked:
                asked[knobs] = self.ask(knobs)
            self._study.tell(one.number, state=TrialState.FAIL)
        return list(asked.values())

    def tried(self) -> list[CompletedTrial]:
        """Return what was tried to the end, by anybody, in the order of the trials."""
        return [
            CompletedTrial(
                Knobs.model_validate(one.user_attrs[_KNOBS]),
                one.user_attrs[_SHARE],
                TrialResult.model_validate(one.user_attrs[_POINT]),
                one.user_attrs[_SECONDS],
            )
            for one in self._trials()
            if _POINT in one.user_attrs
        ]

    def dropped(self) -> list[PrunedTrial]:
        """Return what was given up, and why."""
        return [
            PrunedTrial(Knobs.model_validate(one.user_attrs[_KNOBS]), one.user_attrs[_REASON])
            for one in self._trials()
            if _REASON in one.user_attrs
        ]

    def taken(self) -> list[Knobs]:
        """Return every setting that was tried, given up, or is being tried by somebody."""
        from optuna.trial import TrialState

        return [
            Knobs.model_validate(one.user_attrs[_KNOBS])
            for one in self._trials()
            if _KNOBS in one.user_attrs
            and (one.state is TrialState.RUNNING or _POINT in one.user_attrs or _REASON in one.user_attrs)
        ]

    def note(self, name: str, value: object = None) -> object:
        """Return what was noted under a name, None for nothing; with a value, note it first."""
        if value is not None:
            self._study.set_user_attr(name, value)
        return self._study.user_attrs.get(name)

    def spent_s(self, more_s: float = 0.0) -> float:
        """Return how long this owner has searched, after adding `more_s` seconds."""
        name = f"spent_s:{self._owner}"
        spent = float(self._study.user_attrs.get(name, 0.0)) + more_s
        if more_s:
            self._study.set_user_attr(name, spent)
        return spent

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _is_own(self, trial: FrozenTrial) -> bool:
        return trial.user_attrs.get(_OWNER) == self._owner and _KNOBS in trial.user_attrs


def open_study(
    storage: str,
    name: str,
    owner: str,
    archs: Sequence[str],
    seed: int,
    settings: Mapping[str, Json],
    task: Task = "classify",
) -> Study:
    """Return the study of a name, a new one where there is none.

    Args:
        storage: an SQLAlchemy URL.
        name: of the study.
        owner: of the trials that this process begins.
        archs: architectures that are searched.
        seed: of Optuna's suggestions.
        settings: what must be the same whenever the study is gone on with.
        task: what the networks learn.

    Raises:
        UsageError: the storage cannot be opened, or the study was begun with other settings.
        BackendMissingError: Optuna is not installed.
    """
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise missing_backend("optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with _quiet():
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=["maximize", "minimize", "minimize"],
                sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=4),
                load_if_exists=True,
            )
    except (SQLAlchemyError, ValueError, ImportError) as error:
        where = storage.split("@")[-1]  # what stands before it may be a password
        raise UsageError(f"--storage {where}: {str(error).splitlines()[0]}", hint="an SQLAlchemy URL") from error
    with _quiet():
        study.set_metric_names([ACCURACY[task].field, "size_bytes", "latency_ms"])
    known = study.user_attrs.get(_SETTINGS)
    if known is None:
        study.set_user_attr(_SETTINGS, dict(settings))
    elif known != dict(settings):
        other = [key for key in settings if known.get(key) != settings[key]]
        found = "; ".join(f"{key} was {known.get(key)}, is {settings[key]}" for key in other)
        raise UsageError(f"the study '{name}' was begun otherwise: {found}", hint="give another --name")
    return Study(study, owner, archs, task)


def _distributions(archs: Sequence[str], task: Task) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution

    return {
        "arch": CategoricalDistribution(tuple(archs)),
        "input_px": CategoricalDistribution(TASKS[task].sides_px),
        "fill": CategoricalDistribution(FILLS),
        "scheme": CategoricalDistribution(("int8_static", "int8_qat")),
        "hard_swish": CategoricalDistribution(("float", "gate")),
        "patience": CategoricalDistribution(PATIENCE),
    }


class _quiet(warnings.catch_warnings):  # noqa: N801 - used as the context manager that it is
    """Keep Optuna's notices that a sampler is experimental off the terminal."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("ignore")
