"""`imgc tune`: from a goal to a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.options import RUNS, AsJson, RunsDir, reporter_of
from compress.cli.output import echo

if TYPE_CHECKING:
    from compress.tune.devices import Device as Profile
    from compress.tune.goal import Goal
    from compress.tune.schema import TuneReport

_KNOBS = ("model", "px", "kept %", "scheme", "hard-swish", "patience")
_FIGURES = ("drop pp", "size", "ms", "")
_TEXT_COLUMNS = 1
_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def tune(
    ctx: typer.Context,
    data: Annotated[
        Path,
        typer.Option("--data", help="Folder with one folder a class, a CSV, or images with boxes, as for imgc init."),
    ],
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of the file: 1MB (a million bytes), 900KB, 1MiB.")
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0.01, help="Of one image on one thread, median, measured here.")
    ] = None,
    max_drop_pp: Annotated[
        float | None,
        typer.Option(min=0.0, max=100.0, help="Of top-1 or mAP against the same network in float, unpruned."),
    ] = None,
    runtime: Annotated[str | None, typer.Option(metavar="tflite|onnx", help="What runs the file.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME|FILE",
            help="Device to search for, its limits and speed: a name, a YAML file, or a bench.json measured there.",
        ),
    ] = None,
    budget: Annotated[str, typer.Option(metavar="TIME", help="To search: 30m, 2h, 90s; all sessions together.")] = "2h",
    trials: Annotated[int | None, typer.Option(min=1, help="Settings to try at most.")] = None,
    archs: Annotated[
        list[str] | None,
        typer.Option("--arch", help="Architecture to search. Repeatable. Default: those with weights."),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option("--weights", metavar="imagenet|none|FILE", help="Weights to start from; a file for each --arch."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the search; the same name resumes. Default: the folder's.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="SQL database of the study, to share it. Default: SQLite in runs/."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Of fine-tuning. Default: by the number of images.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same suggestions.")] = 0,
    device: Annotated[str, typer.Option("--train-on", help="Where torch computes: cpu or cuda.")] = "cpu",
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Search architecture, image size, pruning and int8 for the best model within your limits."""
    from compress.cli.output import print_json
    from compress.cli.tune_session import Session, search
    from compress.errors import GateError
    from compress.tune.devices import read_device

    known = read_device(profile) if profile else None
    session = Session(
        data=data,
        goal=_goal(max_size, max_latency_ms, max_drop_pp, known),
        runtime=_runtime(runtime, known),
        profile=known,
        budget_s=_seconds(budget),
        trials=trials,
        archs=tuple(archs or ()),
        weights=tuple(weights or ()),
        name=name,
        storage=storage,
        epochs=epochs,
        seed=seed,
        device=device,
        runs_dir=runs_dir,
    )
    report, folder = search(session, reporter_of(ctx))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(report, folder)
    if report.chosen is None:
        raise GateError(report.reason, hint=_hint(report))


def _goal(max_size: str | None, max_latency_ms: float | None, max_drop_pp: float | None, known: Profile | None) -> Goal:
    """Return the limits of the command line; those of the device where it says nothing."""
    from compress.tune.goal import Goal

    size = _bytes(max_size) if max_size else None
    if known is not None:
        size = size or known.max_size_bytes
        max_latency_ms = max_latency_ms or known.max_latency_ms
    memory = known.max_memory_bytes if known else None
    return Goal(max_size_bytes=size, max_latency_ms=max_latency_ms, max_drop_pp=max_drop_pp, max_memory_bytes=memory)


def _runtime(given: str | None, known: Profile | None) -> Any:  # noqa: ANN401 - one of two words
    from compress.errors import UsageError

    if given not in (None, "tflite", "onnx"):
        raise UsageError(f"--runtime {given}: give tflite or onnx")
    if known is not None and given not in (None, known.runtime):
        raise UsageError(f"--runtime {given}: {known.name} runs {known.runtime}", hint="leave --runtime out")
    return known.runtime if known else given or "tflite"


def _bytes(text: str) -> int:
    from compress.errors import UsageError

    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)", text.strip())
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        raise UsageError(f"--max-size {text}: not a size", hint="1MB is a million bytes, 1MiB 1,048,576; also KB, KiB")
    return int(float(found[1]) * unit)


def _seconds(text: str) -> float:
    from compress.errors import UsageError

    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh])", text.strip().lower())
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"--budget {text}: not a time", hint="90s, 30m or 2h")
    return float(found[1]) * _SECONDS[found[2]]


def _hint(report: TuneReport) -> str:
    """Return which single limit would have to give, and how far."""
    options = {"max_size_bytes": "--max-size {:.0f}", "max_latency_ms": "--max-latency-ms {:.2f}"}
    options |= {"max_drop_pp": "--max-drop-pp {:.2f}", "max_memory_bytes": "a device with {:.0f} bytes of memory"}
    ways = [f"{options[way.limit].format(way.needed)} ({way.run})" for way in report.ways_out]
    if not report.tried:
        return "imgc tune ... --budget, with the same --name, goes on"
    if ways:
        return f"what would have to give, one of: {'; '.join(ways)}"
    return "more than one limit would have to give"


def _print(report: TuneReport, folder: Path) -> None:
    from compress.benchmark.row_accuracy import ACCURACY
    from compress.cli.output import print_table
    from compress.cli.run_files import short_path
    from compress.report.table import host_text

    metric = ACCURACY[report.task].name
    columns = (*_KNOBS, f"{metric} %", *_FIGURES)
    unit = "estimated" if report.estimated else "measured here"
    print_table(f"tune {report.name}: validation images; ms {unit}", columns, _rows(report), left=_TEXT_COLUMNS)
    echo(f"{len(report.given_up)} settings given up; {report.spent_s:.0f} s of search; front: none beats it in all")
    echo(host_text(report.host))
    if report.chosen is None:
        return
    echo(f"chosen: {report.chosen}: {report.reason}")
    if (test := report.test) is not None:
        pct, (low, high), float_pct = test.accuracy
        echo(
            f"on the test images (n = {test.n_images}, asked once): {metric} {pct:.2f} %"
            f" ({low:.1f}-{high:.1f}), its float network {float_pct:.2f} %, drop {test.drop_pp:.2f} pp"
        )
        limit = report.goal.max_drop_pp
        if limit is not None and test.drop_pp > limit:
            echo(f"on the test images it drops by more than the {limit:.10g} pp that hold on the validation ones")
    if report.file is not None:
        echo(f"model: {short_path(Path(report.file))}")
    echo(f"recipe: {short_path(folder / 'recipe.yaml')}")
    echo(f"next: imgc report {report.run}, or imgc serve")


def _rows(report: TuneReport) -> list[tuple[str, ...]]:
    from compress.cli.output import size_text

    rows: list[tuple[str, ...]] = []
    for one in sorted(report.tried, key=lambda found: -found.point.accuracy_pct):
        knobs, point = one.knobs, one.point
        mark = ["chosen"] if point.name == report.chosen else ["front"] if one.pareto else []
        mark += [f"over {limit}" for limit in one.misses]
        kept = f"{100 * min(1.0, one.share):.0f}"
        rows.append(
            (
                *(knobs.arch, str(knobs.input_px), kept, knobs.scheme, knobs.hard_swish, str(knobs.patience)),
                *(f"{point.accuracy_pct:.2f}", f"{point.drop_pp:.2f}", size_text(point.size_bytes)),
                *(f"{point.latency_ms:.2f}", ", ".join(mark)),
            )
        )
    return rows
