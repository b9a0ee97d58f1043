"""Where the server's settings come from: defaults, then a file, then `IMGC_SERVE_*`, then flags; the last one wins."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from pydantic import ValidationError

from compress.core.yaml_nodes import parse
from compress.errors import RecipeError, UsageError
from compress.serve.config import ServeConfig, source_in

PREFIX = "IMGC_SERVE_"
_MAX_BYTES = 1 << 20
_RESERVED = ("IMGC_SERVE_CONFIG", "IMGC_SERVE_CREW")  # how a server process hears from its parent
_HINT = "imgc serve FILE --print-config shows every setting"
_LISTS = ("models", "cors_origins", "allowed_hosts")  # written with commas in a variable
_SECRETS = ("api_key",)


@dataclass(frozen=True)
class Settings:
    """The effective settings, and for each where it came from: `default`, `file:line`, a variable or a flag."""

    config: ServeConfig
    origins: dict[str, str]


def gather(
    flags: Mapping[str, object], file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Return the effective settings.

    Args:
        flags: what the command line said; None: it did not.
        file: a YAML or TOML file with fields of `ServeConfig`; relative model paths in it are relative to it.
        environment: None: this process's.

    Raises:
        UsageError: a file that cannot be read or says a thing twice, an unknown field, a value that is not allowed;
            names its origin.
    """
    layers: list[tuple[str, Mapping[str, object]]] = []
    if file is not None:
        layers += [(origin, {name: value}) for name, (value, origin) in _in_file(file).items()]
    layers += [(PREFIX + name.upper(), {name: value}) for name, value in _in_environment(environment).items()]
    given = {name: value for name, value in flags.items() if value is not None}
    layers += [(_flag(name), {name: value}) for name, value in given.items()]
    values: dict[str, object] = {}
    origins = dict.fromkeys(ServeConfig.model_fields, "default")
    for origin, layer in layers:
        for name, value in layer.items():
            _check_known(name, origin)
            values[name], origins[name] = value, origin
    try:
        return Settings(ServeConfig.model_validate(values), origins)
    except ValidationError as error:
        raise _bad_value(error, origins) from error


def settings_rows(settings: Settings) -> list[tuple[str, str, str]]:
    """Return (name, value, origin) of every setting; the key is not shown."""
    values = settings.config.model_dump(mode="json")
    values["models"] = ", ".join(
        f"{one['name']}={one['path']}" if one["name"] else one["path"] for one in values["models"]
    )
    for name in ("cors_origins", "allowed_hosts"):
        values[name] = ", ".join(values[name])
    return [
        (name, "none" if value in (None, "") else str(value), settings.origins[name]) for name, value in values.items()
    ]


def _in_file(file: Path) -> dict[str, tuple[object, str]]:
    """Return name -> (value, origin); TOML's reader does not tell lines, so there the origin is the file."""
    if not file.is_file():
        raise UsageError(f"{file}: no such file", hint=_HINT)
    if file.stat().st_size > _MAX_BYTES:
        raise UsageError(f"{file}: larger than {_MAX_BYTES} bytes, so no settings file")
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = _in_toml(text, file) if file.suffix.lower() == ".toml" else _in_yaml(text, file)
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 text ({error.reason})") from error
    return {name: (_beside(file, name, value), origin) for name, (value, origin) in found.items()}


def _in_toml(text: str, file: Path) -> dict[str, tuple[object, str]]:
    try:
        return {name: (value, str(file)) for name, value in tomllib.loads(text).items()}
    except RecursionError as error:
        raise UsageError(f"{file}: nested too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: {error}") from error


def _in_yaml(text: str, file: Path) -> dict[str, tuple[object, str]]:
    try:
        root = parse(text, str(file), secrets=_SECRETS)
    except RecipeError as error:
        raise UsageError(error.message, hint=error.hint or _HINT) from error
    if not isinstance(root.value, dict):
        raise UsageError(f"{root.at}: need `setting: value` lines, found {root.raw or 'a list'}", hint=_HINT)
    return {name: (node.plain(), f"{file}:{(node.key_at or node.at).line}") for name, node in root.value.items()}


def _beside(file: Path, name: str, value: object) -> object:
    """Return a value with the paths in it made relative to the file's folder."""
    if name in ("degrade", "labels") and isinstance(value, str):
        return file.parent / value
    if name == "models" and isinstance(value, dict):
        return {key: file.parent / str(path) for key, path in value.items()}
    if name == "models" and isinstance(value, list):
        sources = [source_in(one) if isinstance(one, str) else one for one in value]
        return [{**one, "path": file.parent / str(one["path"])} if _has_path(one) else one for one in sources]
    return value


def _has_path(source: object) -> TypeGuard[dict[str, object]]:
    return isinstance(source, dict) and "path" in source


def _in_environment(environment: Mapping[str, str] | None) -> dict[str, object]:
    found = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for variable in sorted(found):
        if variable.startswith(PREFIX) and variable not in _RESERVED:
            name = variable.removeprefix(PREFIX).lower()
            text = found[variable]
            values[name] = [part.strip() for part in text.split(",") if part.strip()] if name in _LISTS else text
    return values


def _flag(name: str) -> str:
    return "argument" if name == "models" else f"--{name.replace('_', '-')}"


def _check_known(name: str, origin: str) -> None:
    if name in ServeConfig.model_fields:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, ServeConfig.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else _HINT
    raise UsageError(f"{origin}: no setting is called {name!r}", hint=hint)


def _bad_value(error: ValidationError, origins: Mapping[str, str]) -> UsageError:
    """Return one line for each fault; what only the whole can say has no origin; a key is never shown."""
    lines = []
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else ""
        place = f"{origins[name]}: {'.'.join(str(part) for part in item['loc'])}: " if name else ""
        message = item["msg"].removeprefix("Value error, ")
        found = "" if name in _SECRETS or item["type"] == "value_error" else f" (found {str(item['input'])[:80]!r})"
        lines.append(f"{place}{message}{found}")
    return UsageError("\n".join(lines), hint=_HINT)
