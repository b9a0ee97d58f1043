"""Holds a documented command against the real command line: it exists, its options exist, none is an old spelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from compress.cli.main import app

ROOT_OPTIONS = ("--debug", "--quiet", "-q", "--version", "--help", "-h")


def complaint(words: Sequence[str], *, complete: bool = True) -> str:
    """Return what is wrong with `imgc WORDS...`, empty if nothing; `complete`: arguments and values too."""
    command: Any = get_command(app)
    rest, name = list(words), "imgc"
    while rest and rest[0] in ROOT_OPTIONS:
        rest = rest[1:]
    if words and not rest:
        return ""
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"{name} has no command '{rest[0]}'"
        command, name = command.commands[rest[0]], f"{name} {rest[0]}"
        if command.hidden:
            return f"{name} is an old spelling"
        rest = rest[1:]
    parameters = command.get_params(command.make_context(name, [], resilient_parsing=True))
    options = {opt: parameter for parameter in parameters for opt in getattr(parameter, "opts", ())}
    for word in rest:
        flag = word.partition("=")[0]
        if flag.startswith("-") and flag in options and options[flag].hidden:
            return f"{name} {flag} is an old spelling"
    return _parse_fault(command, name, rest, complete)


def _parse_fault(command: Any, name: str, rest: list[str], complete: bool) -> str:
    try:
        command.make_context(name, rest)
    except Exception as error:  # the classes are private to Typer
        if complete or type(error).__name__ == "NoSuchOption":
            return f"{name}: {error}"
    return ""
