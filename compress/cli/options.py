"""Options that several commands share, and the settings every command can ask for. Light: no pydantic, no backend."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.core.preprocess import Preprocess
    from compress.core.stage import Reporter

RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Folder that holds the runs.", show_default=True)]
Run = Annotated[str | None, typer.Option("--run", help="Run to work on, by its name. Default: runs/latest.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="STAGE|FILE", help="Input model: a stage of the run, or a file. Default: newest."),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="Class folders, or a CSV manifest; for a run that has no images yet.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any other option of the stage, e.g. fit.batch_size=16. Repeatable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write what was measured as JSON.")]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML, one case for each.")
]


def _known_device(value: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d{1,2})?", value):
        raise typer.BadParameter(f"{value}: give cpu, cuda or cuda:N")
    if value != "cpu":
        _require_cuda(value)
    return value


def _require_cuda(value: str) -> None:
    """Refuse a device that is not there before anything is begun, not in the first stage that computes."""
    try:
        import torch
    except ModuleNotFoundError:
        return  # the command says which extra it needs
    number = int(value.partition(":")[2] or 0)
    if number >= torch.cuda.device_count():
        raise typer.BadParameter(f"{value}: PyTorch finds {torch.cuda.device_count()} CUDA devices here; give cpu")


Device = Annotated[
    str, typer.Option("--device", callback=_known_device, help="Where torch computes: cpu, cuda or cuda:N.")
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="Refuse operations whose result may differ from run to run. On one CPU host runs are equal without it; "
        "on CUDA it also chooses reproducible kernels, which are slower.",
    ),
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=256, help="Threads of the runtime.")]
PreprocessText = Annotated[
    str | None,
    typer.Option(
        "--preprocess",
        metavar="JSON|FILE|NAME[:PX]",
        help="Another tool's file: how images are prepared; imagenet, tf (-1..1), unit, caffe, raw (0..255), or JSON.",
    ),
]

Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="For another tool's file: its class names, one a line."),
]

RUNS = Path("runs")


@dataclass(frozen=True)
class GlobalOptions:
    """What the options before the command say."""

    quiet: bool = False


def global_options(ctx: typer.Context) -> GlobalOptions:
    """Return the options that the root command stored."""
    return ctx.obj if isinstance(ctx.obj, GlobalOptions) else GlobalOptions()


def reporter_of(ctx: typer.Context) -> Reporter:
    """Return the reporter that fits the terminal and `--quiet`."""
    from compress.cli.reporter import make_reporter

    return make_reporter(quiet=global_options(ctx).quiet)


def parse_preprocess(text: str | None, file: Path | None = None) -> Preprocess | None:
    """Return the preprocessing that `--preprocess` gives, None where it is not given.

    Args:
        text: JSON, the name of a JSON file, or a preset with or without its side.
        file: the model, whose input says the side where a preset does not; it was tried before.

    Raises:
        UsageError: none of these, or not a preprocessing.
    """
    from pydantic import ValidationError

    from compress.core.preprocess import PRESETS, Preprocess, preset
    from compress.core.regular_file import MAX_JSON_BYTES, read_regular
    from compress.errors import UsageError
    from compress.runtime.open import open_side_px

    if text is None:
        return None
    try:
        found = preset(text, open_side_px(file) if file is not None and text in PRESETS else None)
        if found is not None:
            return found
        return Preprocess.model_validate_json(
            read_regular(Path(text), MAX_JSON_BYTES) if text.lower().endswith(".json") else text
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"--preprocess: {f'{where}: ' if where else ''}{first['msg']}", hint=_PREPROCESS) from error
    except ValueError as error:
        raise UsageError(f"--preprocess {text}: {error}", hint=_PREPROCESS) from None
    except OSError as error:
        raise UsageError(f"--preprocess {text}: cannot be read ({error.strerror})", hint=_PREPROCESS) from None


_PREPROCESS = 'for example: --preprocess imagenet:224, a JSON file, or \'{"resize_px": 256, "crop_px": 224}\''
