"""`imgc benchmark`: of a run's models as one more stage; below it the commands that measure files, and compare."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from compress.cli import benchmark_files, bundle, compare, scenarios
from compress.cli.knobs import command_with, config_of, given_knobs, group_with
from compress.cli.options import RUNS, AsJson, Data, Device, Run, RunsDir, Set
from compress.cli.output import echo

_CONFIG = config_of("benchmark")
_FLAGS = ("--json", "--profile", "--quick")  # of the old spellings; every other option of theirs takes a value


class _OldWords(TyperGroup):
    """Takes the spellings of version 0.1 for one more release, and names the new one on stderr."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own types are private
        """Put the command's name first where the old spelling left it out."""
        command = command_meant(args, self.commands)
        if command is not None:
            args = [command, *(word for word in args if (command, word) != ("compare", "--compare"))]
            echo(f"hint: old spelling; from the next release on: {ctx.command_path} {' '.join(args)}", err=True)
        return super().parse_args(ctx, args)


def command_meant(args: Sequence[str], known: Collection[str]) -> str | None:
    """Return the command that an old spelling means, None where the spelling is a new one."""
    if not args or args[0] in known or {"-h", "--help"} & set(args):
        return None
    if "--compare" in args:
        return "compare"
    if any(word == "--scenario" or word.startswith("--scenario=") for word in args):
        return "scenarios"
    word = _first_value(args)
    if word is None or word in known or (get_close_matches(word, known, cutoff=0.8) and not Path(word).exists()):
        return None
    return "bundle" if Path(word).is_dir() else "files"


def _first_value(args: Sequence[str]) -> str | None:
    """Return the first word that is neither an option nor the value of one."""
    value_follows = False
    for word in args:
        if value_follows or word.startswith("-"):
            value_follows = not value_follows and word not in _FLAGS and "=" not in word
        else:
            return word
    return None


app = typer.Typer(
    cls=group_with(_CONFIG, _OldWords),
    invoke_without_command=True,
    rich_markup_mode=None,
    subcommand_metavar="[COMMAND]",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def benchmark(
    ctx: typer.Context,
    run: Run = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "cpu",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Measure accuracy, size, latency and memory of a run's models; the commands below measure other things."""
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx, ctx.invoked_subcommand)
        return
    from compress.cli.execute import add_stage
    from compress.cli.one_stage import StageRequest

    request = StageRequest("benchmark", given_knobs(ctx), None, sets or [], run, data, runs_dir, device)
    add_stage(ctx, request, as_json=as_json)


app.command("files", cls=command_with(_CONFIG, "repeats", "budget_s", "quick"))(benchmark_files.files)
app.command("bundle", cls=command_with(_CONFIG, "repeats", "budget_s", "quick"))(bundle.benchmark)
app.command("compare")(compare.compare)
app.command("scenarios")(scenarios.scenarios)


def _refuse_options(ctx: typer.Context, command: str) -> None:
    """Raise UsageError for an option of a run before another command: it would be ignored.

    Raises:
        UsageError: naming it.
    """
    from compress.errors import UsageError

    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{option.opts[0]} before `{command}` is about a run", hint=f"imgc benchmark {command} --help"
            )
