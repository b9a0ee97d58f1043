"""`commands.md`: every command with its arguments and options, from the Typer app; `exit-codes.md` from the errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from compress import errors
from compress.cli.main import app
from docs_tools.schema_tables import markdown_table

_HEAD = """\
# Commands

`imgc COMMAND --help` prints the same. `--debug` and `--quiet` stand before the command: `imgc --debug run imgc.yaml`.
"""
_EXIT_HEAD = """\
# Exit codes

A failure prints what was found, what is allowed and what to try next, without a traceback.
"""
_MEANING = {
    0: "done",
    2: "the recipe, the command line or the data is wrong",
    3: "a backend is missing; the message names the extra to install",
    4: "a stage failed",
    5: "a gate or a limit does not hold",
}


def command_page() -> str:
    """Return the page: one section a command, in the order of `imgc --help`."""
    root = get_command(app)
    parts = [_HEAD]
    for name, command in _commands("imgc", root):
        parts.append(_section(name, command))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's classes of click are private
    """Yield "imgc verb" and the command, groups before what is in them; hidden ones are old spellings."""
    yield name, command
    for child, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from _commands(f"{name} {child}", one)


def _section(name: str, command: Any) -> str:  # noqa: ANN401 - as above
    context = command.make_context(name, [], resilient_parsing=True)  # some options are made only now
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            rows.append([f"`{record[0]}`", " ".join(record[1].split())])
    text = inspect.cleandoc(command.help or "")
    return f"## {name}\n\n```text\n{usage}\n```\n\n{text}\n\n{markdown_table(('option', 'meaning'), rows)}"


def exit_code_page() -> str:
    """Return the page: each exit code, and the errors that end with it."""
    found = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.ImgcError)]
    found.remove(errors.ImgcError)
    rows = [["0", _MEANING[0], ""]]
    for code in sorted({one.exit_code for one in found}):
        names = ", ".join(f"`{one.__name__}`" for one in found if one.exit_code == code)
        rows.append([str(code), _MEANING[code], names])
    rows.append(["128 + N", "signal N ended it: 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; what is sealed stays", ""])
    table = markdown_table(("code", "meaning", "errors"), rows)
    meanings = "\n".join(f"- `{one.__name__}`: {inspect.cleandoc(one.__doc__ or '')}" for one in found)
    return f"{_EXIT_HEAD}\n{table}\n\n{meanings}\n"
