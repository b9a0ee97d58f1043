"""The prune stage in rounds, to budgets, and killed in between; see test_stage.py for what one plain cut does."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from compress.core.digest import sha256_file
from compress.engine.options import FitOptions
from compress.errors import StageError, UsageError
from compress.models.build import arch_info
from compress.models.weights import load_model
from compress.prune import rounds
from compress.prune.config import PruneConfig
from compress.prune.sensitivity import LEVELS
from compress.prune.stage import run

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

RECOVERY = FitOptions(epochs=1, batch_size=8, lr=5e-3, warmup_epochs=0, crop_scale_min=0.8)


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch):
    """Take a millisecond for a million MACs, so that nothing depends on the machine."""

    def by_macs(models, spec, runtime):
        from compress.models.build import count_macs

        return {name: count_macs(model, spec.input_chw) / 1e6 for name, model in models.items()}

    monkeypatch.setattr(rounds, "exported_latency_ms", by_macs)
    monkeypatch.setattr("compress.prune.stage.exported_latency_ms", by_macs)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["macs", "params"])
@pytest.mark.parametrize("options", [{}, {"scope": "global"}, {"scope": "isomorphic"}, {"allocation": "sensitivity"}])
def test_a_share_of_the_cost_is_kept_and_used_up(context, trained, unit, options):
    config = PruneConfig.model_validate({f"target_{unit}": 0.5, "importance": "l2", **options})
    output = run(config, trained, context())
    assert 0.42 < output.metrics[unit] / getattr(trained["from"].spec, unit) <= 0.5
    assert 0 < output.metrics["keep"] < 1


def test_a_latency_is_kept_in_the_runtime_that_was_asked_for(context, trained, monkeypatch):
    asked = []
    by_macs = rounds.exported_latency_ms

    def measure(models, spec, runtime):
        asked.append(runtime)
        return by_macs(models, spec, runtime)

    monkeypatch.setattr(rounds, "exported_latency_ms", measure)
    monkeypatch.setattr("compress.prune.stage.exported_latency_ms", measure)
    limit = 0.6 * trained["from"].spec.macs / 1e6
    output = run(PruneConfig(target_latency_ms=limit, runtime="tflite", importance="l2"), trained, context())
    assert 0.8 * limit < output.metrics["latency_ms"] <= limit
    assert output.metrics["latency_before_ms"] == pytest.approx(trained["from"].spec.macs / 1e6)
    assert set(asked) == {"tflite"}
    assert len(asked) <= 2 + 2 + 8 + 1


def test_what_cannot_be_met_is_told_before_anything_trains(context, trained, monkeypatch):
    monkeypatch.setattr(rounds, "recover", lambda *_, **__: pytest.fail("it trained"))
    config = PruneConfig(target_macs=0.02, rounds=3, recovery=RECOVERY, importance="l2")
    with pytest.raises(StageError, match=r"target_macs: 0\.02 cannot be met") as caught:
        run(config, trained, context())
    can = float(caught.value.hint.split()[3])
    output = run(PruneConfig(target_macs=can, importance="l2"), trained, context("again"))
    assert output.metrics["macs"] <= can * trained["from"].spec.macs


def test_no_group_is_cut_below_the_minimum_and_protected_ones_not_at_all(context, trained):
    config = PruneConfig(keep=0.1, min_width=40, protect=("blocks.2*",), importance="l2")
    ctx = context()
    output = run(config, trained, ctx)
    stock, found = trained["from"].spec.layers, output.spec.layers
    narrowed = 0
    for before, after in zip(stock, found, strict=True):
        if before.kind == "bn" or after.name == arch_info("tiny").head:
            continue
        if after.name.startswith("blocks.2") or after.name == "conv_stem" or before.out_features <= 40:
            assert after.out_features == before.out_features, after.name
        else:
            assert after.out_features == 40, after.name
            narrowed += 1
    assert narrowed > 0
    with pytest.raises(UsageError, match="'nosuch' names no layer"):
        run(PruneConfig(protect=("nosuch",)), trained, context("wrong"))


@pytest.mark.slow
def test_sensitivity_is_written_and_said(context, trained):
    ctx = context()
    run(PruneConfig(keep=0.5, sensitivity=True, importance="l2"), trained, ctx)
    assert {path.name for path in ctx.stage_dir.iterdir()} == {
        "model.safetensors",
        "sensitivity.json",
        "sensitivity.svg",
    }
    found = json.loads((ctx.stage_dir / "sensitivity.json").read_text())
    assert found["images"] == 24
    assert found["judged_on"] == "train"
    points = [point for group in found["groups"] for point in group["points"]]
    assert 10 < len(points) <= len(LEVELS) * len(found["groups"])
    svg = ElementTree.fromstring((ctx.stage_dir / "sensitivity.svg").read_text())
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {group["group"] for group in found["groups"]} <= set(texts)
    assert any(line.startswith("sensitivity, 24 training images, top-1") for line in ctx.reporter.lines)
    rows = [line for line in ctx.reporter.lines if line.startswith("  conv_head: ")]
    assert len(rows) == 1
    assert rows[0].count(":") == 1 + len(LEVELS)


@pytest.mark.slow
def test_allocation_by_sensitivity_is_not_the_uniform_one(context, trained):
    plain = run(PruneConfig(target_macs=0.6, importance="l2"), trained, context("plain"))
    chosen = run(PruneConfig(target_macs=0.6, importance="l2", allocation="sensitivity"), trained, context("chosen"))
    assert [layer.out_features for layer in plain.spec.layers] != [layer.out_features for layer in chosen.spec.layers]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"scope": "global"}, {"allocation": "sensitivity"}])
def test_two_rounds_keep_the_same_share_of_the_first_network_as_one(context, trained, options):
    common = {"keep": 0.5, "importance": "l2", **options}
    one = run(PruneConfig.model_validate(common), trained, context("one"))
    recovery = RECOVERY.model_copy(update={"epochs": 0})
    two = run(PruneConfig.model_validate({**common, "rounds": 2, "recovery": recovery}), trained, context("two"))
    assert two.metrics["channels_kept_pct"] == pytest.approx(one.metrics["channels_kept_pct"], abs=6)
    assert two.metrics["keep"] == 0.5


class _KilledError(Exception):
    """Stands for SIGKILL."""


@pytest.mark.slow
def test_killed_in_the_second_round_the_first_is_not_trained_again(context, trained, monkeypatch):
    config = PruneConfig(target_macs=0.4, rounds=2, recovery=RECOVERY, alpha=0.5)
    whole = context("whole")
    output = run(config, trained, whole)
    assert output.metrics["macs"] <= 0.4 * trained["from"].spec.macs

    recover, killed = rounds.recover, context("killed")
    done = []

    def dying(model, spec, *given, **options):
        done.append(spec.macs)
        if len(done) == 2:
            raise _KilledError
        return recover(model, spec, *given, **options)

    monkeypatch.setattr(rounds, "recover", dying)
    with pytest.raises(_KilledError):
        run(config, trained, killed)
    assert [path.name for path in killed.stage_dir.glob("*.safetensors")] == ["round-1.safetensors"]
    assert load_model(killed.stage_dir / "round-1.safetensors")[1].macs == done[0]
    again = run(config, trained, killed)
    assert len(done) == 3, "the first round was trained once, the second was begun twice"
    assert done[2] == done[1] < done[0] < trained["from"].spec.macs
    assert sha256_file(killed.stage_dir / again.file_name) == sha256_file(whole.stage_dir / output.file_name)
    assert again == output
    for ctx in (whole, killed):
        assert {path.name for path in ctx.stage_dir.iterdir()} == {"model.safetensors", "tensorboard"}


def test_each_round_says_what_is_left_and_learns_from_the_network_before_any_cut(context, trained, monkeypatch):
    teachers = []

    def spy(model, spec, images, fit, *, teacher, **options):
        teachers.append((id(teacher), sum(parameter.numel() for parameter in teacher.parameters())))

    monkeypatch.setattr(rounds, "recover", spy)
    ctx = context()
    run(PruneConfig(target_macs=0.3, rounds=3, recovery=RECOVERY, importance="l2"), trained, ctx)
    assert teachers == [(teachers[0][0], trained["from"].spec.params)] * 3
    said = [line for line in ctx.reporter.lines if line.startswith("round ")]
    assert [line.split(":")[0] for line in said] == [f"round {number} of 3" for number in (1, 2, 3)]
    macs = [int(line.split()[4].replace(",", "")) for line in said]
    full = trained["from"].spec.macs
    for number, left in enumerate(macs, 1):
        assert 0.8 * 0.3 ** (number / 3) < left / full <= 0.3 ** (number / 3)


def test_a_sibling_is_the_stock_network_cut_to_the_macs_of_the_other(context, trained, sealed):
    pruned = run(PruneConfig(target_macs=0.5, scope="global", importance="l2"), trained, context("pruned"))
    like = sealed("prune", context("x").stage_dir.parent / "pruned" / pruned.file_name, pruned)
    config = PruneConfig(like="prune", weights="none", importance="l2", recovery=RECOVERY, alpha=0.0, sibling=False)
    sibling = run(config, {**trained, "like": like}, context("sibling"))
    ratio = sibling.metrics["macs"] / pruned.metrics["macs"]
    assert 0.9 < ratio < 1.1
    shares = {}
    for before, after in zip(trained["from"].spec.layers, sibling.spec.layers, strict=True):
        if before.kind == "conv" and before.out_features >= 64:
            shares[after.name] = after.out_features / before.out_features
    assert max(shares.values()) - min(shares.values()) < 0.13, "one width multiplier, up to rounding"
    assert sibling.spec.labels == trained["from"].spec.labels


def test_a_sibling_starts_from_the_stock_weights_and_not_from_the_trained_ones(context, trained, sealed, tmp_path):
    """With a share of one and no epoch, what comes out is the file of stock weights itself."""
    from compress.models.build import build_model, describe
    from compress.models.weights import save_model

    spec = trained["from"].spec.model_copy(update={"layers": ()})
    stock = build_model(spec, seed=77)
    save_model(tmp_path / "stock.safetensors", stock, spec)
    whole = trained["from"]
    config = PruneConfig(like="prune", weights=str(tmp_path / "stock.safetensors"), importance="l2")
    ctx = context()
    output = run(config, {**trained, "like": whole}, ctx)
    model, _ = load_model(ctx.stage_dir / output.file_name)
    assert output.metrics["keep"] == 1.0
    assert describe(model, spec).macs == whole.spec.macs
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in stock.state_dict().items())


def test_a_file_that_does_not_say_its_macs_is_no_example(context, trained):
    like = trained["from"].model_copy(update={"spec": None})
    with pytest.raises(UsageError, match="does not say its MACs"):
        run(PruneConfig(like="prune", weights="none"), {**trained, "like": like}, context())
