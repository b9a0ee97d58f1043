from __future__ import annotations

import pytest
import torch

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.engine.options import FitOptions
from compress.errors import StageError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_model, save_model
from compress.prune.config import PruneConfig
from compress.prune.stage import run


class _Listening(SilentReporter):
    def __init__(self):
        self.lines = []

    def info(self, text):
        self.lines.append(text)


@pytest.fixture
def trained(tmp_path, lively):
    model, spec = lively("tiny", 48)
    path = tmp_path / "in.safetensors"
    spec = save_model(path, model, spec)
    return {
        "from": Artifact(
            stage_id="train",
            kind="train",
            format=Format.TORCH,
            path=path,
            sha256=sha256_file(path),
            size_bytes=path.stat().st_size,
            spec=spec,
            metrics={},
        )
    }


def _context(tmp_path, photos, name="out", reporter=None):
    folder = tmp_path / name
    folder.mkdir()
    return RunContext(folder, seed=0, data=FolderData(path=photos), reporter=reporter or SilentReporter())


def test_a_narrower_model_is_written_and_said(tmp_path, photos, trained):
    reporter = _Listening()
    ctx = _context(tmp_path, photos, reporter=reporter)
    output = run(PruneConfig(keep=0.5), trained, ctx)
    model, spec = load_model(ctx.stage_dir / output.file_name)
    assert output.spec == spec
    before, metrics = trained["from"].spec, output.metrics
    assert metrics["macs"] == spec.macs < 0.6 * before.macs
    assert metrics["macs_kept_pct"] == pytest.approx(100 * spec.macs / before.macs)
    assert metrics["params_kept_pct"] == pytest.approx(100 * spec.params / before.params)
    assert metrics["keep"] == 0.5
    assert 45 < metrics["channels_kept_pct"] < 60
    assert 0 <= metrics["top1_pct"] <= 100
    assert any("16 of    16  conv_stem" in line and "(protected)" in line for line in reporter.lines)
    assert any("128 of   256  conv_head" in line for line in reporter.lines)
    assert any(line.startswith(f"MACs: {before.macs:,} -> {spec.macs:,}") for line in reporter.lines)
    assert model(torch.zeros(1, *spec.input_chw)).shape == (1, 3)


def test_taylor_and_recovery_are_repeatable_and_learn(tmp_path, photos, trained):
    recovery = FitOptions(epochs=6, batch_size=8, lr=5e-3, warmup_epochs=0, crop_scale_min=0.8)
    config = PruneConfig(keep=0.6, importance="taylor", recovery=recovery)
    first, again = _context(tmp_path, photos, "first"), _context(tmp_path, photos, "again")
    output = run(config, trained, first)
    run(config, trained, again)
    digests = [sha256_file(ctx.stage_dir / output.file_name) for ctx in (first, again)]
    assert digests[0] == digests[1]
    assert output.metrics["top1_pct"] > 60
    assert not list(first.stage_dir.glob("*checkpoint*"))


def test_pruning_needs_the_photographs_of_the_same_classes(tmp_path, photos, trained):
    ctx = _context(tmp_path, photos)
    with pytest.raises(UsageError, match="photographs"):
        run(PruneConfig(), trained, RunContext(ctx.stage_dir, seed=0, data=None))
    other = new_spec("tiny", ["blue", "green", "yellow"], 48)
    save_model(trained["from"].path, build_model(other), other)
    with pytest.raises(StageError, match="yellow"):
        run(PruneConfig(), trained, ctx)
    assert not list(ctx.stage_dir.iterdir())
