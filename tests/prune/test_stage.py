from __future__ import annotations

import pytest
import torch

from compress.core.digest import sha256_file
from compress.core.stage import RunContext
from compress.engine.options import FitOptions
from compress.errors import StageError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_model, save_model
from compress.prune import latency
from compress.prune.config import PruneConfig
from compress.prune.stage import run


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Measure latencies as always, but not for long: here it does not matter how exactly."""
    monkeypatch.setattr(latency, "_TIMING", latency.Timing(warmup=1, repeats=5, budget_s=0.1))


@pytest.mark.slow
def test_a_narrower_model_is_written_and_said(context, trained):
    ctx = context()
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
    assert any("16 of    16  conv_stem" in line and "(protected)" in line for line in ctx.reporter.lines)
    assert any("128 of   256  conv_head" in line for line in ctx.reporter.lines)
    assert any(line.startswith(f"MACs: {before.macs:,} -> {spec.macs:,}") for line in ctx.reporter.lines)
    assert metrics["latency_ms"] > 0
    assert metrics["latency_before_ms"] > 0
    assert any(
        line.startswith("latency of the float onnx file, one image, one thread: ") for line in ctx.reporter.lines
    )
    assert model(torch.zeros(1, *spec.input_chw)).shape == (1, 3)
    assert not any("nothing was cut" in line for line in ctx.reporter.lines)


@pytest.mark.slow
def test_taylor_and_recovery_are_repeatable_and_learn(context, trained):
    recovery = FitOptions(epochs=6, batch_size=8, lr=5e-3, warmup_epochs=0, crop_scale_min=0.8)
    config = PruneConfig(keep=0.6, importance="taylor", recovery=recovery, alpha=0.0)  # the network before knows little
    first, again = context("first"), context("again")
    output = run(config, trained, first)
    run(config, trained, again)
    digests = [sha256_file(ctx.stage_dir / output.file_name) for ctx in (first, again)]
    assert digests[0] == digests[1]
    assert output.metrics["top1_pct"] > 60
    assert not list(first.stage_dir.glob("*checkpoint*"))


def test_pruning_needs_the_images_of_the_same_classes(context, trained):
    ctx = context()
    with pytest.raises(UsageError, match="images"):
        run(PruneConfig(), trained, RunContext(ctx.stage_dir, seed=0, data=None))
    other = new_spec("tiny", ["blue", "green", "yellow"], 48)
    save_model(trained["from"].path, build_model(other), other)
    with pytest.raises(StageError, match="yellow"):
        run(PruneConfig(), trained, ctx)
    assert not list(ctx.stage_dir.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "text"),
    [({"keep": 1.0}, "keep 1"), ({"target_macs": 1.0}, "target_macs 1"), ({"target_latency_ms": 1e6}, "1e+06")],
)
def test_a_budget_that_is_met_already_is_a_warning(context, trained, options, text):
    ctx = context()
    output = run(PruneConfig(**options), trained, ctx)
    assert output.metrics["macs_kept_pct"] == 100.0
    assert any(
        "warning: nothing was cut: the whole network is within" in line and text in line for line in ctx.reporter.lines
    )
