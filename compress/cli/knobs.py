"""Options that are fields of a config: name, type, help, bounds and default are the field's, declared there alone.

A config needs pydantic, which `imgc --help` must not import: such a command gets these options when it is asked for.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Config = TypeVar("Config", bound="BaseModel")
_META = "compress.cli.knobs"
_METAVARS = {  # where the type alone would say too little
    **{"weights": "imagenet|none|FILE", "teacher": "STAGE|FILE", "baseline": "STAGE|FILE"},
    **{"calibration": "FOLDER|CSV", "exclude": "LAYER", "protect": "LAYER", "preprocess": "JSON|FILE|NAME[:PX]"},
    "labels": "FILE",
}
_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z`])")


def given_knobs(ctx: typer.Context) -> dict[str, Any]:
    """Return key -> value of the options that a command got from its config; None means not given."""
    return dict(ctx.meta[_META])


def options_for(config: type[BaseModel], keys: Sequence[str]) -> list[Any]:
    """Return the command line's parameters for these keys of a config, a key inside a block as in `fit.epochs`."""

    def knobs(**_: object) -> None:
        """Take what Typer reads the signature of."""

    knobs.__signature__ = Signature([option_for(config, key) for key in keys])  # type: ignore[attr-defined]
    app = typer.Typer(add_completion=False)
    app.command()(knobs)
    return typer.main.get_command(app).params


def option_for(config: type[BaseModel], key: str) -> Parameter:
    """Return the option for one key as a parameter of a function that Typer understands.

    Its bounds are told in the help and held by the config itself, which sees what recipes say too.
    """
    field = _field_at(config, key)
    bare = _bare(field.annotation)
    kind: Any = str
    if get_origin(bare) is tuple:
        kind = list[str]
    elif bare in (bool, int, float):
        kind = bare
    words = "|".join(map(str, get_args(bare))) if get_origin(bare) is Literal else None
    name = key.rpartition(".")[2]
    flag = f"--{name.replace('_', '-')}"
    if bare is bool and field.default is True:
        flag += f"/--no-{name.replace('_', '-')}"
    option = typer.Option(flag, metavar=_METAVARS.get(name, words), help=help_for(config, key), show_default=False)
    return Parameter(_name_of(key), Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option])


def help_for(config: type[BaseModel], key: str) -> str:
    """Return the first sentence of a field's description, what it says of the default, and its bounds.

    Of a key in a block that is absent by default, the block's description comes first and its default counts.
    """
    field = _field_at(config, key)
    first, defaults = _told(field)
    block = config.model_fields[key.partition(".")[0]]
    facts = []
    if "." in key and block.default is None:
        outer, defaults = _told(block)
        first = f"{outer} {first}"
    elif _is_plain(field.default):
        facts.append(f"default: {'on' if field.default is True else field.default}")
    if get_origin(_bare(field.annotation)) is tuple:
        facts.append("repeatable")
    facts += [text for text in (_range_text(field),) if text]
    facts += [f"key: {key}"] if "." in key else []
    return " ".join([first, *defaults]) + (f"  [{'; '.join(facts)}]" if facts else "")


def _told(field: FieldInfo) -> tuple[str, list[str]]:
    """Return the first sentence of a description, and those on the default."""
    first, *others = _SENTENCES.split(field.description or "")
    return first, [text for text in others if text.startswith("Default")]


class WithKnobs:
    """A command with options for keys of a config; mixed into Typer's own classes.

    Attributes:
        config: "module:class" of the config, imported only when the command is asked for.
        keys: the keys that have an option; None: those that the config names as its `knobs`.
    """

    config: ClassVar[str]
    keys: ClassVar[tuple[str, ...] | None] = None

    def make_context(self, *arguments: Any, **extra: Any) -> Any:  # noqa: ANN401 - Typer's own types are private
        """Add the options before anything is parsed or shown."""
        command: Any = self
        known = {parameter.name for parameter in command.params}
        command.params[:0] = [one for one in options_for(*self._source()) if one.name not in known]
        return super().make_context(*arguments, **extra)  # type: ignore[misc]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """Set the values aside for `given_knobs`, since the function has no parameters for them."""
        _, keys = self._source()
        values = {key: ctx.params.pop(_name_of(key)) for key in keys}
        listed = {key: list(value) or None for key, value in values.items() if isinstance(value, list | tuple)}
        ctx.meta[_META] = values | listed
        return super().invoke(ctx)  # type: ignore[misc]

    @classmethod
    def _source(cls) -> tuple[type[BaseModel], tuple[str, ...]]:
        module, name = cls.config.split(":")
        config = getattr(import_module(module), name)
        return config, config.knobs if cls.keys is None else cls.keys


def command_of(kind: str) -> type[TyperCommand]:
    """Return the class of the command that runs a stage of this kind."""
    return command_with(config_of(kind))


def config_of(kind: str) -> str:
    """Return where the config of a kind of stage is, without importing it."""
    return f"compress.{kind}.config:{kind.title()}Config"


def command_with(config_path: str, *names: str) -> type[TyperCommand]:
    """Return the class of a command with options for these keys of a config, or for its knobs; see `WithKnobs`."""

    class _Command(WithKnobs, TyperCommand):
        config = config_path
        keys = names or None

    return _Command


def group_with(config_path: str, base: type[TyperGroup] = TyperGroup) -> type[TyperGroup]:
    """Return the class of a group whose own options are the knobs of a config."""

    class _Group(WithKnobs, base):  # type: ignore[valid-type, misc]
        config = config_path

    return _Group


def checked(config: type[Config], given: Mapping[str, Any], **others: object) -> Config:
    """Return a config with the options that were given.

    Raises:
        UsageError: a value that cannot be.
    """
    from pydantic import ValidationError

    from compress.errors import UsageError

    try:
        return config.model_validate({key: value for key, value in given.items() if value is not None} | others)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][-1]).replace("_", "-")
        message = first["msg"].removeprefix("Input ")
        raise UsageError(f"{option} {first['input']}: {message}", hint="--help tells what is allowed") from error


def _name_of(key: str) -> str:
    """Return the name of an option's parameter, which no parameter of a command's function has."""
    return f"knob_{key.replace('.', '_')}"


def _field_at(config: type[BaseModel], key: str) -> FieldInfo:
    *blocks, name = key.split(".")
    for block in blocks:
        config = _bare(config.model_fields[block].annotation)
    return config.model_fields[name]


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - a type annotation
    """Return the annotation without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _range_text(field: FieldInfo) -> str:
    """Return the bounds of a number as `1<=x<=20`, "" where it has none."""
    bounds: dict[str, Any] = {}
    for fact in (*field.metadata, *_inner_facts(field.annotation)):
        bounds |= {name: getattr(fact, name) for name in ("ge", "gt", "le", "lt") if hasattr(fact, name)}
    low = next((f"{bounds[name]:g}{sign}" for name, sign in (("ge", "<="), ("gt", "<")) if name in bounds), "")
    high = next((f"{sign}{bounds[name]:g}" for name, sign in (("le", "<="), ("lt", "<")) if name in bounds), "")
    return f"{low}x{high}" if low or high else ""


def _inner_facts(annotation: Any) -> list[object]:  # noqa: ANN401 - a type annotation
    """Return what `Annotated[int, Field(ge=1)] | None` says of its number."""
    inner = [one for one in get_args(annotation) if get_origin(one) is Annotated]
    return [fact for one in inner for meta in one.__metadata__ for fact in getattr(meta, "metadata", ())]


def _is_plain(default: object) -> bool:
    """Return whether a default is worth showing: no None, no flag that is off, no block, nothing made by a function."""
    return (isinstance(default, str | int | float) and default is not False) or default is True
