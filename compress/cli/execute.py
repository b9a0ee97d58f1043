"""Carry out a recipe for a command and say what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import typer

from compress.cli.bundled_calibration import with_bundled_calibration
from compress.cli.one_stage import StageDraft, StageRequest, check_out, draft_run, draft_stage, given_options
from compress.cli.options import reporter_of
from compress.cli.output import echo, print_json, size_text
from compress.cli.pruned import show_pruned
from compress.cli.quantized import show_quantized
from compress.cli.report import show_report
from compress.cli.run_files import short_path
from compress.core.artifact import Artifact
from compress.core.formats import Format
from compress.core.stage import StageConfig
from compress.core.storage import atomic_path
from compress.pipeline.explain import require_kept
from compress.pipeline.gates import require_gates
from compress.pipeline.lock import artifact_at
from compress.pipeline.run_dir import run_path
from compress.pipeline.runner import RunOutcome, run_recipe
from compress.pipeline.undo import undone_on_failure
from compress.report.json_report import Report
from compress.report.ship import snippet_command
from compress.report.siblings import SiblingRow, sibling_line
from compress.report.write import write_report

_SHOW: dict[str, Callable[[Any, Collection[str], Path], None]] = {  # kind -> what it shows beside its artifact
    "prune": show_pruned,
    "quantize": show_quantized,
}


def start_run(ctx: typer.Context, request: StageRequest, *, name: str | None, seed: int | None, as_json: bool) -> None:
    """Start a run with one stage and say what it made."""
    _carry_out(ctx, draft_run(request, name, seed), request, as_json=as_json)


def add_stage(ctx: typer.Context, request: StageRequest, *, as_json: bool, out: Path | None = None) -> None:
    """Add one stage to a run and say what it read and made; `out` gets a copy of the file.

    Raises:
        UsageError: the stages that the run has sealed would be made anew.
    """
    request = with_bundled_calibration(request, reporter_of(ctx))
    draft = draft_stage(request)
    if out:
        check_out(out, draft.new)
    require_kept(draft.loaded, draft.sealed, runs_dir=draft.runs_dir, name=draft.name)
    _carry_out(ctx, draft, request, as_json=as_json, out=out)


def _carry_out(
    ctx: typer.Context, draft: StageDraft, request: StageRequest, *, as_json: bool, out: Path | None = None
) -> None:
    reporter = reporter_of(ctx)
    with undone_on_failure(run_path(draft.runs_dir, draft.name)):
        result = run_recipe(
            draft.loaded,
            runs_dir=draft.runs_dir,
            name=draft.name,
            reporter=reporter,
            device=request.device,
            deterministic=request.deterministic,
        )
    made = [_made(result, stage.id) for stage in draft.new]
    if out:
        with atomic_path(out) as temporary:
            shutil.copyfile(made[0].path, temporary)
    report = write_report(result.run_dir)
    if as_json:
        print_json(_as_json(draft, result, made, out, report))
        require_gates(result.gates)
        return
    _say_made(draft, request, result, made)
    for row in _new_siblings(draft, report):
        echo(sibling_line(row))
    for stage in draft.new:
        if stage.config.wants_sibling and not _has_sibling(stage.id, result):
            echo(f"{stage.id}: no sibling to compare with: the run does not know how its input was trained")
    if out:
        echo(f"copied to {out}")
    if made[0].format is Format.BENCH:
        show_report(result.run_dir, as_json=False)
    require_gates(result.gates)


def _say_made(draft: StageDraft, request: StageRequest, result: RunOutcome, made: list[Artifact]) -> None:
    """Print for each new stage what it read and made, and what it found out beside."""
    for stage, artifact in zip(draft.new, made, strict=True):
        reads = [_read_text(result, role, source) for role, source in stage.inputs.items()]
        echo(f"{stage.id}: read {', '.join(reads) or _images_text(stage.config)}")
        echo(f"{stage.id}: {artifact_line(artifact)}")
        if stage.config.kind == "export":
            task = artifact.spec.task if artifact.spec else "classify"
            echo(f"run it elsewhere: {snippet_command(short_path(artifact.path), artifact.format, task)}")
        if show := _SHOW.get(stage.config.kind):
            show(stage.config, given_options(request), artifact.path.parent)


def artifact_line(artifact: Artifact) -> str:
    """Return one line on a sealed file: path, size, hash, and accuracy where it is known."""
    parts = [
        f"wrote {short_path(artifact.path)}",
        size_text(artifact.size_bytes),
        f"sha256 {artifact.sha256[:12]}",
    ]
    for key, name in (("top1_pct", "top-1"), ("map_pct", "mAP")):
        value = artifact.metrics.get(key)
        if isinstance(value, int | float):
            parts.append(f"{name} {value:.2f} %")
    return ", ".join(parts)


def _made(result: RunOutcome, stage_id: str) -> Artifact:
    stage = result.lock.find(stage_id)
    assert stage is not None, f"the run finished without its stage '{stage_id}'"
    return artifact_at(result.run_dir, stage)


def _read_text(result: RunOutcome, role: str, source: str | Path) -> str:
    """Return what was read, and where it lies; the role is told where it says more than that it was read."""
    text = (
        str(short_path(source)) if isinstance(source, Path) else f"{source} ({short_path(_made(result, source).path)})"
    )
    return text if role == "from" or role.endswith(f":{source}") else f"{role} {text}"


def _images_text(config: StageConfig) -> str:
    folders = [str(short_path(path)) for path in config.folders().values()]
    return f"the images of {', '.join(folders)}" if folders else "the images"


def _as_json(
    draft: StageDraft, result: RunOutcome, made: list[Artifact], out: Path | None, report: Report
) -> dict[str, object]:
    stages = [
        {
            "stage": artifact.stage_id,
            "kind": artifact.kind,
            "reads": {role: str(source) for role, source in stage.inputs.items()},
            "path": str(artifact.path),
            "sha256": artifact.sha256,
            "size_bytes": artifact.size_bytes,
            "metrics": artifact.metrics,
        }
        for stage, artifact in zip(draft.new, made, strict=True)
    ]
    siblings = [row.model_dump(mode="json") for row in _new_siblings(draft, report)]
    return {
        "run": draft.name,
        "run_dir": str(result.run_dir),
        "out": str(out) if out else None,
        "stages": stages,
        "siblings": siblings,
    }


def _new_siblings(draft: StageDraft, report: Report) -> list[SiblingRow]:
    """Return what was compared of the stages that were just made."""
    new = {stage.id for stage in draft.new}
    return [row for row in report.siblings if row.stage in new]


def _has_sibling(stage_id: str, result: RunOutcome) -> bool:
    return any(stage.inputs.get("like") == stage_id for stage in result.lock.stages)
