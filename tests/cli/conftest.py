"""A run made by hand, and a way to call the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compress.core.artifact import Artifact
from compress.core.digest import sha256_bytes
from compress.core.formats import SUFFIX, Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.pipeline.lock import LockedStage, RunLock, write_lock
from compress.pipeline.run_dir import RESOLVED_NAME, point_latest
from compress.recipe.dump import dump_yaml
from compress.recipe.load import recipe_from_dict
from compress.recipe.plan import plan

SPEC = ModelSpec(arch="tiny", labels=("a", "b"), input_chw=(3, 32, 32), preprocess=Preprocess(resize_px=32, crop_px=32))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder that is the working folder."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def imgc() -> Callable[..., Result]:
    """Return a function that calls the command line; nothing but an exit may come out of it."""
    from compress.cli.main import app

    def call(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def make_run(folder: Path) -> Callable[..., Path]:
    """Return a function that makes a run in the working folder."""

    def make(name: str, stages: Sequence[dict[str, Any]], sealed: int | None = None) -> Path:
        return _make_run(folder, name, stages, sealed)

    return make


def _make_run(folder: Path, name: str, stages: Sequence[dict[str, Any]], sealed: int | None) -> Path:
    """Write a run whose first `sealed` stages (default all) are sealed; its model files are no models."""
    (folder / "photos").mkdir(exist_ok=True)
    tree = {"imgc": 1, "name": name, "data": {"kind": "folder", "path": "photos"}, "stages": list(stages)}
    planned = plan(recipe_from_dict(tree, folder))
    run_dir = folder / "runs" / name
    run_dir.mkdir(parents=True)
    (run_dir / RESOLVED_NAME).write_text(dump_yaml(planned.resolved()))
    locked = []
    for stage in planned.stages[:sealed]:
        config = stage.config
        path = Path(stage.folder_name) / f"model{SUFFIX[config.produces]}"
        (run_dir / path).parent.mkdir()
        (run_dir / path).write_bytes(b"no model")
        int8 = config.kind == "quantize" or "quantize" in map(str, stage.inputs.values())
        spec = SPEC.model_copy(update={"precision": Precision.INT8 if int8 else Precision.FP32})
        artifact = Artifact(
            stage_id=stage.id,
            kind=config.kind,
            format=config.produces,
            path=path,
            sha256=sha256_bytes(b"no model"),
            size_bytes=8,
            spec=spec,
            metrics={},
        )
        inputs = {role: str(source) for role, source in stage.inputs.items()}
        facts: dict[str, Any] = {"key": "0" * 64, "key_parts": {}, "seconds": 1.0, "reused": False}
        locked.append(
            LockedStage(id=stage.id, kind=config.kind, index=stage.index, inputs=inputs, artifact=artifact, **facts)
        )
    write_lock(run_dir, RunLock(name=name, stages=tuple(locked)))
    point_latest(run_dir)
    return run_dir
