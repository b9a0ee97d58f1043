"""`StageConfig` and `RunContext`: what the planner must know of a stage, and what a stage may touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from compress.core.artifact import Artifact
from compress.core.dataset import DataConfig
from compress.core.formats import Format
from compress.core.names import STAGE_ID


@dataclass(frozen=True)
class Training:
    """What a stage does to the weights of its network, as far as the planner asks.

    Attributes:
        epochs: passes over the training images.
        alpha: share of a teacher's answers in the loss, 0..1.
        weights: what a network that starts here starts from; None where the stage goes on from its input.
        fit: options of the training loop as plain data.
    """

    epochs: int = 0
    alpha: float = 0.0
    weights: str | None = None
    fit: Mapping[str, Any] = field(default_factory=dict)


class OwnImages(NamedTuple):
    """How a stage does without the recipe's images: `option` names some, and `key` has this value."""

    key: str
    value: str
    option: str


class StageConfig(BaseModel):
    """Base of every room's config. Frozen, no unknown keys, importable without any backend.

    Class attributes say what the planner must know:
        consumes: formats the main input (`from`) may have; empty when the stage needs no input model.
        produces: format of the artifact.
        entry_point: "module:function" of `run(config, inputs, ctx) -> StageOutput`, imported only to run it.
        version: raised when the stage would make another result from the same config.
        uses_data: whether the images are read (their fingerprint is then part of the stage key).
        needs_data: whether it cannot do without them, whatever its options (see `must_have_data`).
        backends: distributions whose versions are part of the stage key.
        unkeyed: options that change nothing of what the stage makes, and are not part of its key.
        renamed: keys of earlier versions to the names that they have now; the old ones are still read.
        suffixes: last words of the ids that `expand` gives; empty where the stage stands for itself alone.
        alternatives: ways to say the same thing, each with its options; a stage takes one of them.
        knobs: keys that the stage's verb has an option for, such as `keep` or `fit.epochs`; `--set` reaches the others.
        instead_of_input: the two options that together stand in for an input model; None where nothing does.
        instead_of_data: how the stage does without the recipe's images; None where it cannot, or needs none anyway.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    consumes: ClassVar[frozenset[Format]] = frozenset()
    entry_point: ClassVar[str] = ""
    version: ClassVar[int] = 1
    uses_data: ClassVar[bool] = True
    needs_data: ClassVar[bool] = True
    of_the_moment: ClassVar[bool] = False  # what it finds holds where and when it ran: never taken from elsewhere
    backends: ClassVar[tuple[str, ...]] = ()
    unkeyed: ClassVar[frozenset[str]] = frozenset()
    renamed: ClassVar[Mapping[str, str]] = {}
    suffixes: ClassVar[tuple[str, ...]] = ()
    knobs: ClassVar[tuple[str, ...]] = ()
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()
    instead_of_input: ClassVar[tuple[str, str] | None] = None
    instead_of_data: ClassVar[OwnImages | None] = None

    kind: str = Field(description="Kind of the stage.")
    id: str = Field(
        default="",
        description="Name of the stage in its run, unique there: 1 to 48 of a-z 0-9 _ and -. Default: the kind, then "
        "kind-2, kind-3 and so on.",
    )
    from_: str | None = Field(
        default=None,
        alias="from",
        description="Input model: the id of a stage above, or a model file. Default: the newest model above that fits.",
    )

    @field_validator("id")
    @classmethod
    def _id_is_a_file_name(cls, value: str) -> str:
        if value and not STAGE_ID.fullmatch(value):
            raise ValueError(f"id must match {STAGE_ID.pattern}, found '{value}'")
        return value

    @property
    def produces(self) -> Format:
        """Return the format of the artifact this stage will make."""
        raise NotImplementedError

    def references(self) -> dict[str, str | None]:
        """Return role -> stage id or model file; None means: the newest compatible stage above.

        The main input has the role "from"; a stage with no input returns an empty dict.
        """
        return {"from": self.from_} if self.consumes else {}

    def references_among(self, above: Sequence[str]) -> dict[str, str | None]:
        """Return role -> reference where these stages stand above and could be read; see `takes_all`."""
        return self.references()

    @property
    def takes_all(self) -> bool:
        """Return whether every model above is an input, of which there has to be one."""
        return False

    def wants(self, role: str) -> frozenset[Format]:
        """Return the formats that the input in this role may have."""
        return self.consumes

    def newest_kind(self, role: str) -> str | None:
        """Return the kind whose newest stage fills a role that names none; None: the newest stage of any kind."""
        return None

    def expand(self) -> tuple[StageConfig, ...]:
        """Return the stages that this one stands for, itself where it stands for no others; its id is written in."""
        return (self,)

    @property
    def training(self) -> Training:
        """Return what this stage does to its network's weights."""
        return Training()

    @property
    def compared_with(self) -> str | None:
        """Return the stage or file that this one exists to be compared with, None for a stage of the chain itself."""
        return None

    @property
    def wants_sibling(self) -> bool:
        """Return whether the recipe asks for the stage that `make_sibling` makes."""
        return False

    def make_sibling(self, lineage: Sequence[StageConfig], beside: str | None) -> StageConfig | None:
        """Return the stage whose model this one's is to be compared with, still under this one's id; None for none.

        Args:
            lineage: the stages that this one comes from, the first one first, itself last; ids and inputs written in.
            beside: id of the sibling of the stage that it reads, None where that has none.
        """
        return None

    def changed(self, **changes: Any) -> Self:  # noqa: ANN401 - values of any option
        """Return the stage with other values of some options, by the names that a recipe gives them."""
        return type(self).model_validate({**self.model_dump(by_alias=True), **changes})

    def files(self) -> dict[str, Path]:
        """Return option name -> file that this stage reads besides its inputs (weights, say); hashed into the key."""
        return {}

    def folders(self) -> dict[str, Path]:
        """Return option name -> images that this stage reads besides the images: a folder, or a CSV manifest.

        They enter the key by what they hold, not by where they lie.
        """
        return {}

    @property
    def must_have_data(self) -> bool:
        """Return whether this stage, with these options, cannot do without the recipe's images."""
        return self.uses_data and self.needs_data


class Reporter(Protocol):
    """Where a stage says what it does. The command line prints; tests collect."""

    def info(self, text: str) -> None:
        """Say one line of progress that is worth keeping."""

    def warn(self, text: str) -> None:
        """Say one line that the user should act on."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show a bar of `total` units; the value is a function `advance(done=1, note="")`."""


class Advance(Protocol):
    """Moves a progress bar."""

    def __call__(self, done: int = 1, note: str = "") -> None:
        """Count `done` more units; `note` is a short text such as the loss."""


class SilentReporter:
    """A reporter that says nothing."""

    def info(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show nothing."""
        return nullcontext(_no_advance)


def _no_advance(done: int = 1, note: str = "") -> None:
    """Count nothing."""


@dataclass(frozen=True)
class RunContext:
    """What a stage may touch: one folder, one seed, one device, one reporter, the data block.

    `deterministic` says that torch refuses operations that may give other bits each time; a stage need not ask.

    `stage_dir` is the only place a stage may write. It survives a kill, so that a checkpoint in it is found again
    by the next attempt with the same key.
    """

    stage_dir: Path
    seed: int
    data: DataConfig | None
    device: str = "cpu"
    reporter: Reporter = field(default_factory=SilentReporter)
    deterministic: bool = False


StageInputs = Mapping[str, Artifact]  # role -> sealed artifact
