"""`plan`: a typed recipe -> stages in run order, each with an id and with what it reads. Opens no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from compress.core.dataset import CsvData, DataConfig, FolderData, is_manifest
from compress.core.formats import Format, format_of
from compress.core.json_types import JsonObject
from compress.core.stage import StageConfig
from compress.errors import RecipeError
from compress.recipe.ids import with_default_ids
from compress.recipe.load import LoadedRecipe, is_model_file
from compress.recipe.locate import nearest_word
from compress.recipe.schema import STAGE_METRICS, Gate
from compress.recipe.siblings import SUFFIX, is_sibling, twin_of


@dataclass(frozen=True)
class PlannedStage:
    """One stage, ready to run.

    Attributes:
        index: place in the run, from 1.
        config: the stage's options with its id filled in.
        inputs: role -> id of a stage above, or an absolute model file.
    """

    index: int
    config: StageConfig
    inputs: dict[str, str | Path]

    @property
    def id(self) -> str:
        """Return the stage's id, unique in the run."""
        return self.config.id

    @property
    def folder_name(self) -> str:
        """Return the name of the stage's folder in the run, such as `02-prune`."""
        return f"{self.index:02d}-{self.id}"


@dataclass(frozen=True)
class Plan:
    """A run as it will be carried out."""

    name: str
    seed: int
    data: DataConfig | None
    stages: tuple[PlannedStage, ...]
    gates: tuple[Gate, ...]

    def resolved(self) -> JsonObject:
        """Return the plan as a recipe with every default, id and input written out; planning it gives this plan."""
        return {
            "imgc": 1,
            "name": self.name,
            "seed": self.seed,
            "data": None if self.data is None else self.data.model_dump(mode="json"),
            "stages": [stage.config.model_dump(mode="json", by_alias=True) for stage in self.stages],
            "gates": [gate.model_dump(mode="json", exclude_none=True) for gate in self.gates],
        }


def plan(loaded: LoadedRecipe) -> Plan:
    """Return the stages in run order, with ids, expanded exports and resolved inputs.

    Raises:
        RecipeError: a reference, a file, the data or a gate that cannot be right; begins with file:line:column.
    """
    return _Planner(loaded).plan()


class _Planner:
    """Plans one recipe; holds what is planned so far and where things were written."""

    def __init__(self, loaded: LoadedRecipe) -> None:
        self._loaded = loaded
        self._recipe = loaded.recipe
        self._ids = with_default_ids([(stage.kind, stage.id) for stage in self._recipe.stages])
        self._stages: list[PlannedStage] = []
        self._beside: dict[str, str] = {}  # id of a pruned stage, or of one trained from it -> id of its sibling

    def plan(self) -> Plan:
        self._check_data_exists()
        for number, config in enumerate(self._recipe.stages):
            self._add(number, config)
        for number, gate in enumerate(self._recipe.gates):
            self._check_gate(number, gate)
        recipe = self._recipe
        return Plan(recipe.name, recipe.seed, recipe.data, tuple(self._stages), recipe.gates)

    def _add(self, number: int, config: StageConfig) -> None:
        """Plan one stage of the recipe, or the stages that it stands for."""
        self._check_files(number, config)
        inputs = self._inputs(number, config)
        known = {"id": self._ids[number]} | ({"from": str(inputs["from"])} if "from" in inputs else {})
        try:
            for stage in config.changed(**known).expand():
                if any(stage.id == above.id for above in self._stages):
                    raise self._error(f"there are two stages with the id '{stage.id}'", "stages", number, "id")
                self._append(stage, inputs)
        except ValidationError as error:  # an id that is too long once a format's name or `-sibling` is added
            raise self._error(error.errors()[0]["msg"], "stages", number, "id") from None

    def _append(self, config: StageConfig, inputs: dict[str, str | Path]) -> None:
        """Plan a stage, and the sibling that belongs beside it."""
        twin = twin_of(config.id, config.compared_with, [stage.id for stage in self._stages])
        self._stages.append(PlannedStage(len(self._stages) + 1, config, inputs))
        if twin is not None:
            self._beside[twin] = config.id
        elif config.compared_with is None and not self._is_compared(config.id):
            self._append_sibling(config, inputs)

    def _is_compared(self, stage_id: str) -> bool:
        """Return whether the recipe itself has the stage's sibling."""
        return stage_id + SUFFIX in self._ids or any(one.compared_with == stage_id for one in self._recipe.stages)

    def _append_sibling(self, config: StageConfig, inputs: dict[str, str | Path]) -> None:
        sibling = config.make_sibling(self._lineage(config.id), self._beside.get(str(inputs.get("from"))))
        if sibling is None:
            return
        own = config.references()
        other = {role: name for role, name in sibling.references().items() if name and name != own.get(role)}
        self._append(sibling.changed(id=config.id + SUFFIX), {**inputs, **other})

    def _lineage(self, stage_id: str) -> list[StageConfig]:
        """Return the stages that a stage comes from, the first one first, itself last."""
        above = {stage.id: stage for stage in self._stages}
        found: list[StageConfig] = []
        name: str | Path | None = stage_id
        while isinstance(name, str) and name in above:
            found.insert(0, above[name].config)
            name = above[name].inputs.get("from")
        return found

    def _inputs(self, number: int, config: StageConfig) -> dict[str, str | Path]:
        if config.must_have_data and self._recipe.data is None:
            own = config.instead_of_data
            raise self._error(
                f"stage '{self._ids[number]}' reads images, but the recipe has no data:",
                "stages",
                number,
                hint="add for example `data: {kind: folder, path: photos}`, or start with `imgc init IMAGES`"
                + (f"; {own.value} needs no more than `{own.option}: FOLDER`" if own else ""),
                code="no-data",
                facts={"stage": self._ids[number], "instead": own},
            )
        above = [stage.id for stage in self._stages if stage.config.produces in config.consumes]
        references = config.references_among(above)
        if config.from_ is not None and "from" not in references:
            raise self._error(f"stage '{self._ids[number]}' takes no 'from'", "stages", number, "from")
        if config.takes_all and not references:
            raise self._error(f"stage '{self._ids[number]}': there is no model above it", "stages", number)
        return {role: self._resolve(number, config, role, name) for role, name in references.items()}

    def _resolve(self, number: int, config: StageConfig, role: str, reference: str | None) -> str | Path:
        wanted = config.wants(role)
        if reference is None:
            return self._newest(number, config, role)
        loc = ("stages", number, *self._option(number, reference))
        above = {stage.id: stage for stage in self._stages}
        if reference in above:
            self._check_format(loc, role, reference, above[reference].config.produces, wanted)
            return reference
        if is_model_file(reference):
            path = Path(reference)
            if not path.is_file():
                raise self._error(f"the model file {path} does not exist", *loc)
            self._check_format(loc, role, reference, format_of(path), wanted)
            return path
        raise self._unknown(loc, number, reference)

    def _newest(self, number: int, config: StageConfig, role: str) -> str:
        """Return the newest stage above that fits, a sibling never."""
        wanted, kind = config.wants(role), config.newest_kind(role)
        above = [stage.id for stage in self._stages]
        for stage in reversed(self._stages):
            fits = stage.config.produces in wanted and kind in (None, stage.config.kind)
            if fits and not is_sibling(stage.id, stage.config.compared_with, above):
                return stage.id
        maker = f"{kind} stage" if kind else "stage"
        instead = config.instead_of_input
        raise self._error(
            f"stage '{self._ids[number]}' needs {_words(wanted)} as its {_role(role)}, and no {maker} above makes that",
            "stages",
            number,
            hint=f"add a stage above it, or name a model file: `{role}: model.safetensors`"
            + (f", or an `{instead[0]}:` and its `{instead[1]}:`" if instead else ""),
            code="no-input" if role == "from" else f"no-{_role(role)}",
            facts={"instead": instead},
        )

    def _check_format(
        self, loc: tuple[str | int, ...], role: str, reference: str, found: Format, wanted: frozenset[Format]
    ) -> None:
        if found in wanted:
            return
        stage_id = self._ids[int(loc[1])]
        fitting = [stage.id for stage in self._stages if stage.config.produces in wanted]
        raise self._error(
            f"stage '{stage_id}' takes {_words(wanted)} as its {_role(role)}, but '{reference}' is {found}",
            *loc,
            hint=f"stages above that would do: {', '.join(fitting)}"
            if fitting
            else f"name a model file of {_words(wanted)}, such as the one it was made from",
        )

    def _unknown(self, loc: tuple[str | int, ...], number: int, reference: str) -> RecipeError:
        own_id = self._ids[number]
        if reference in self._ids[number:]:
            where = "is this stage itself" if reference == own_id else "stands below it"
            return self._error(
                f"stage '{own_id}' reads '{reference}', which {where}: page order is run order",
                *loc,
                hint=f"move '{reference}' above '{own_id}'" if reference != own_id else "name a stage above it",
            )
        above = [stage.id for stage in self._stages]
        nearest = nearest_word(reference, above)
        return self._error(
            f"stage '{own_id}' reads '{reference}', which is neither a stage above nor a model file; "
            f"stages above: {', '.join(above) or 'none'}",
            *loc,
            hint=f"did you mean '{nearest}'?" if nearest else "a model file ends in .safetensors, .onnx or .tflite",
        )

    def _option(self, number: int, reference: str) -> tuple[str | int, ...]:
        """Return the place, within the stage, where a reference was written."""
        for key, child in self._loaded.root.find(("stages", number)).mapping.items():
            if child.value == reference and key not in ("kind", "id"):
                return (key,)
            for place, item in enumerate(child.items):
                if item.value == reference:
                    return (key, place)
        return ()

    def _check_data_exists(self) -> None:
        data = self._recipe.data
        if isinstance(data, FolderData | CsvData):
            fits = data.path.is_dir() if isinstance(data, FolderData) else data.path.is_file()
            if not fits:
                what = "folder" if isinstance(data, FolderData) else "manifest file"
                raise self._error(f"there is no {what} {data.path}", "data", "path")

    def _check_files(self, number: int, config: StageConfig) -> None:
        for option, path in config.files().items():
            if not path.is_file():
                raise self._error(f"{option}: the file {path} does not exist", "stages", number, *option.split("."))
        for option, path in config.folders().items():
            if path.is_dir() or (path.is_file() and is_manifest(path)):
                continue
            found = "is a file" if path.is_file() else "does not exist"
            loc: tuple[str | int, ...] = ("stages", number, *option.split("."))
            raise self._error(
                f"{option}: {path} {found}",
                *loc,
                hint="allowed: a folder of images, nested or flat, or a .csv or .tsv with a column `path`",
            )

    def _check_gate(self, number: int, gate: Gate) -> None:
        ids = [stage.id for stage in self._stages]
        for key, stage_id in (("at", gate.at), ("baseline", gate.baseline)):
            if stage_id is not None and stage_id not in ids:
                nearest = nearest_word(stage_id, ids)
                raise self._error(
                    f"gate on {gate.metric}: there is no stage '{stage_id}'; stages: {', '.join(ids)}",
                    *("gates", number, key),
                    hint=f"did you mean '{nearest}'?" if nearest else "",
                )
        if gate.metric not in STAGE_METRICS and not self._measured(gate.at):
            raise self._error(
                f"gate on {gate.metric}: no benchmark stage measures '{gate.at}'",
                *("gates", number),
                hint="add `- {kind: benchmark}` to the stages",
            )

    def _measured(self, stage_id: str) -> bool:
        benchmarks = [stage for stage in self._stages if stage.config.produces is Format.BENCH]
        return any(stage_id in stage.inputs.values() for stage in benchmarks)

    def _error(
        self, message: str, *loc: int | str, hint: str = "", code: str = "", facts: Mapping[str, object] | None = None
    ) -> RecipeError:
        at = str(self._loaded.position(*loc))
        return RecipeError(f"{at}: {message}", hint=hint, code=code, facts={"at": at, **(facts or {})})


def _words(formats: frozenset[Format]) -> str:
    return " or ".join(sorted(formats))


def _role(role: str) -> str:
    return {"from": "input"}.get(role, role.partition(":")[0])
