"""The prune stage on detectors; see test_stage.py and test_rounds.py for what all networks have in common."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from compress.core.stage import RunContext, SilentReporter
from compress.data.dataset import load_dataset
from compress.engine.detection.options import DetectOptions
from compress.errors import UsageError
from compress.models.build import build_model, count_macs, describe, output_modules, stem_module
from compress.models.detectors import DETECTORS, new_detector_spec
from compress.models.fold import fold_batch_norm
from compress.models.weights import load_model, save_model
from compress.prune import latency, rounds, stage
from compress.prune.allocate import Ranking, Widths, allocate
from compress.prune.box_datasets import BoxDatasets
from compress.prune.config import PruneConfig
from compress.prune.prunable_network import PrunableNetwork
from compress.prune.sensitivity import LEVELS, _switched_off
from compress.report.layers import read_layer_costs
from compress.runtime.detector import open_detector
from compress.runtime.evaluate_detector import evaluate_detector
from tests.detector_files import LABELS, SIDE, artifact_of
from tests.lively import liven

pytestmark = pytest.mark.slow

RECOVERY = {"epochs": 1, "batch_size": 4, "lr": 5e-3, "warmup_epochs": 0}
HEADS = [f"{kind}_heads.{number}.1" for kind in ("box", "score") for number in range(6)]
ONE_GROUP = ("backbone.blocks.[0-3]*", "backbone.blocks.4.[12]*", "backbone.blocks.5*", "extra*")  # the first map's
ALL_ANCHORS = DetectOptions(loss="focal")  # hard negatives leave out the last maps, whose scores are then all zero


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module", autouse=True)
def _no_timing():
    """Take a millisecond for a million MACs: how the files are timed is a test of its own."""

    def by_macs(models, spec, runtime):
        return {name: count_macs(model, spec.input_chw) / 1e6 for name, model in models.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "exported_latency_ms", by_macs)
        patch.setattr(stage, "exported_latency_ms", by_macs)
        yield


def _run(detector, folder, inputs=None, **options):
    """Return what the stage made, and what it said."""
    folder.mkdir(exist_ok=True)
    ctx = RunContext(folder, seed=0, data=detector.data, reporter=Listening())
    given = {"from": detector.artifact, **(inputs or {})}
    return stage.run(PruneConfig.model_validate(options), given, ctx), ctx.reporter.lines


@pytest.fixture(scope="module")
def pruned(trained_detector, tmp_path_factory):
    """Return folder, output, lines and the network that was saved, of a cut to 0.6 of the MACs."""
    folder, saved = tmp_path_factory.mktemp("pruned"), []

    def keep(path, model, spec):
        saved.append(model)
        return save_model(path, model, spec)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "save_model", keep)
        output, lines = _run(trained_detector, folder, target_macs=0.6)
    return folder, output, lines, saved[0]


def _answers(model, spec, count=2):
    with torch.no_grad():
        return model.eval()(torch.randn(count, *spec.input_chw, generator=torch.Generator().manual_seed(3)))


def _widths(spec):
    return {layer.name: layer.out_features for layer in spec.layers}


def test_a_budget_is_met_and_accuracy_is_map(trained_detector, pruned):
    folder, output, lines, _ = pruned
    before, metrics = trained_detector.artifact.spec, output.metrics
    assert 0.5 < metrics["macs"] / before.macs <= 0.6
    assert metrics["macs"] == output.spec.macs
    assert metrics["params"] < 0.7 * before.params
    assert "top1_pct" not in metrics
    assert f"validation mAP {metrics['map_pct']:.2f} % before any recovery" in lines
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]


def test_the_answers_are_still_boxes_and_logits_of_every_anchor(trained_detector, pruned):
    _, output, _, model = pruned
    assert output.spec.boxes == trained_detector.artifact.spec.boxes
    assert (output.spec.task, output.spec.labels) == ("detect", LABELS)
    raw_NA4, logits_NAK = _answers(model, output.spec)
    assert raw_NA4.shape == (2, output.spec.boxes.anchors, 4)
    assert logits_NAK.shape == (2, output.spec.boxes.anchors, 1 + len(LABELS))
    assert raw_NA4.isfinite().all()
    assert logits_NAK.isfinite().all()


def test_the_heads_and_the_stem_keep_all_and_the_extra_maps_lose_some(trained_detector, pruned):
    before, after = _widths(trained_detector.artifact.spec), _widths(pruned[1].spec)
    assert {name: after[name] for name in HEADS} == {name: before[name] for name in HEADS}
    assert after["backbone.conv_stem"] == before["backbone.conv_stem"]
    for block in range(4):
        lost = [name for name in before if name.startswith(f"extra.{block}.") and after[name] < before[name]]
        assert lost, f"extra.{block}"
    assert sum(after[name] < before[name] for name in before if name.startswith("backbone.")) > 20
    assert set(output_modules(pruned[1].spec)) == set(HEADS)


def test_the_file_is_read_by_its_layer_table_and_answers_alike(pruned):
    folder, output, _, model = pruned
    again, spec = load_model(folder / output.file_name)
    assert spec == output.spec
    for found, wanted in zip(_answers(again, spec), _answers(model, spec), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_the_exported_files_are_timed_and_give_its_answers(pruned, monkeypatch, runtime):
    _, output, _, model = pruned
    measure, seen = latency.measure_latency, []

    def judged(predictors, images, timing, reporter):
        for name, detector in predictors.items():
            with torch.no_grad():
                wanted = model(torch.from_numpy(images[name]))
            for found, expected in zip(detector.answers(images[name]), wanted, strict=True):
                np.testing.assert_allclose(found, expected.numpy(), atol=1e-3)
            seen.append(detector.format.value)
        return measure(predictors, images, timing, reporter)

    monkeypatch.setattr(latency, "measure_latency", judged)
    monkeypatch.setattr(latency, "_TIMING", latency.Timing(warmup=1, repeats=5, budget_s=0.1))
    found = latency.exported_latency_ms({"one": model.eval()}, output.spec, runtime)
    assert found["one"] > 0
    assert seen == [runtime]


def test_sensitivity_is_measured_in_map_and_read_by_the_report(trained_detector, tmp_path):
    options = {"keep": 0.5, "sensitivity": True, "importance": "l2", "protect": ONE_GROUP}
    _, lines = _run(trained_detector, tmp_path / "out", **options)
    found = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    assert (found["images"], found["judged_on"]) == (12, "train")
    assert found["whole"].keys() == {"map_pct", "loss"}
    assert found["whole"]["map_pct"] > 50
    points = {group["group"]: group["points"] for group in found["groups"]}
    assert len(points) == 2
    wide = points["backbone.blocks.4.0.se.conv_expand"]
    assert len(wide) == len(LEVELS)
    assert all(point.keys() == {"width", "keep", "map_pct", "loss"} for one in points.values() for point in one)
    assert wide[-1]["map_pct"] < found["whole"]["map_pct"] - 5, "the first map is no longer what its heads learned"
    assert wide[-1]["loss"] > found["whole"]["loss"]
    costs = read_layer_costs("prune", tmp_path / "out" / "sensitivity.json")
    assert {cost.name for cost in costs.layers} == set(points)
    for cost in costs.layers:
        drops = [found["whole"]["map_pct"] - point["map_pct"] for point in points[cost.name]]
        assert [cut.map_drop_pp for cut in cost.cuts] == drops
        assert (cost.map_drop_pp, cost.drop_pp, cost.top1_drop_pp) == (max(drops), max(drops), None)
    assert any(line.startswith("sensitivity, 12 training images, mAP ") for line in lines)
    assert "Points of mAP lost on 12 training images" in (tmp_path / "out" / "sensitivity.svg").read_text()


def test_what_each_group_can_spare_decides_the_widths(trained_detector, tmp_path):
    common = {"target_macs": 0.97, "importance": "l2", "protect": ONE_GROUP}
    plain, _ = _run(trained_detector, tmp_path / "plain", **common)
    chosen, _ = _run(trained_detector, tmp_path / "chosen", allocation="sensitivity", **common)
    assert _widths(plain.spec) != _widths(chosen.spec)
    assert chosen.metrics["macs"] <= 0.97 * trained_detector.artifact.spec.macs


def test_a_recovery_trains_and_its_map_is_that_of_the_file(trained_detector, tmp_path):
    common = {"keep": 0.85, "importance": "l2"}
    cut, _ = _run(trained_detector, tmp_path / "cut", **common)
    output, lines = _run(trained_detector, tmp_path / "out", recovery=RECOVERY, **common)
    assert output.metrics["map_pct"] > cut.metrics["map_pct"]
    assert f"validation mAP {output.metrics['map_pct']:.2f} % after recovery" in lines
    assert any(line.startswith("epoch 1/1: loss") for line in lines)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {output.file_name, "tensorboard"}
    before, after = (load_model(tmp_path / name / output.file_name)[0].state_dict() for name in ("cut", "out"))
    assert all(not torch.equal(after[f"{name}.weight"], before[f"{name}.weight"]) for name in HEADS)
    (tmp_path / "images").symlink_to(trained_detector.data.path / "images")
    (tmp_path / "val.json").write_bytes((trained_detector.data.path / "val.json").read_bytes())
    (tmp_path / "train.json").write_bytes((trained_detector.data.path / "train.json").read_bytes())
    found = evaluate_detector(open_detector(tmp_path / "out" / output.file_name), tmp_path, SilentReporter()).found
    assert found.map_pct == pytest.approx(output.metrics["map_pct"], abs=0.01)


def test_the_options_of_detection_reach_the_recovery(trained_detector, tmp_path):
    plain, focal = (
        _run(trained_detector, tmp_path / name, keep=0.5, importance="l2", alpha=0.0, recovery=RECOVERY, detect=detect)
        for name, detect in (("plain", {}), ("focal", {"loss": "focal"}))
    )
    losses = [next(line for line in lines if line.startswith("epoch 1/1: loss")) for _, lines in (plain, focal)]
    assert losses[0].split(",")[0] != losses[1].split(",")[0]


@pytest.mark.parametrize(("option", "value"), [("flip", "both"), ("mixup", 0.2), ("label_smoothing", 0.0)])
def test_what_the_recovery_of_a_classifier_alone_has_is_refused(trained_detector, tmp_path, option, value):
    with pytest.raises(
        UsageError, match=rf"recovery\.{option}: is for classifiers, and {trained_detector.artifact.spec.arch}"
    ):
        _run(trained_detector, tmp_path / "out", keep=0.5, recovery={**RECOVERY, option: value})
    assert not list((tmp_path / "out").iterdir())


def test_a_sibling_is_the_fresh_network_cut_to_the_macs_of_the_other(trained_detector, pruned, tmp_path):
    folder, output, _, _ = pruned
    like = {"like": artifact_of(folder / output.file_name, output.spec)}
    config = {"like": "prune", "weights": "none", "importance": "l2", "sibling": False}
    sibling, _ = _run(trained_detector, tmp_path / "out", like, **config)
    assert 0.95 < sibling.metrics["macs"] / output.metrics["macs"] < 1.05
    assert sibling.spec.boxes == output.spec.boxes
    model, spec = load_model(tmp_path / "out" / sibling.file_name)
    fresh = build_model(new_detector_spec(spec.arch, LABELS, SIDE), seed=0).state_dict()
    assert torch.equal(model.state_dict()["backbone.conv_stem.weight"], fresh["backbone.conv_stem.weight"])
    before = trained_detector.artifact.spec
    shares = [_widths(spec)[row.name] / row.out_features for row in before.layers if row.name.startswith("extra.")]
    assert max(shares) - min(shares) < 0.08, "one width multiplier, up to rounding"
    trained, _ = _run(trained_detector, tmp_path / "trained", like, recovery=RECOVERY, alpha=0.0, **config)
    assert trained.spec == sibling.spec


@pytest.mark.parametrize("importance", ["l1", "bn_scale", "taylor", "fisher"])
@pytest.mark.parametrize("arch", DETECTORS)
def test_every_detector_is_cut_by_every_importance(trained_detector, tmp_path, arch, importance):
    spec = new_detector_spec(arch, LABELS, SIDE)
    model = liven(build_model(spec), spec.input_chw)
    dead, alive = torch.arange(0, 64, 2), torch.arange(1, 64, 2)
    last = next(name for name, _ in model.named_modules() if name.endswith("extra.3"))
    for norm in (model.get_submodule(f"{last}.0.1"), model.get_submodule(f"{last}.1.1")):
        norm.weight.data[dead] = 0.0  # of no slope and no offset: they do nothing
        norm.bias.data[dead] = 0.0
    dataset = load_dataset(trained_detector.data, seed=0, task="detect")
    images = BoxDatasets(dataset, spec, ALL_ANCHORS, RunContext(tmp_path, seed=0, data=None))
    network = PrunableNetwork(model, spec.input_chw, heads=output_modules(spec), protected=[stem_module(spec)])
    scores = network.scores(importance, images.loss, images.scoring())
    assert scores.keys() == network.widths().keys()
    assert all(one.isfinite().all() and (one >= 0).all() for one in scores.values())
    own = scores[f"{last}.1.0"]
    assert own[dead].max() <= own[alive].min()
    assert own[dead].max() < own[alive].median()
    kept = allocate(scores, 0.5, Ranking("local", network.structures()), Widths(network.widths()))
    narrow = network.cut(kept)
    assert describe(narrow, spec).macs < 0.45 * describe(model, spec).macs
    assert [part.shape[1:] for part in _answers(narrow, spec)] == [(spec.boxes.anchors, 4), (spec.boxes.anchors, 3)]


@pytest.mark.parametrize("arch", DETECTORS)
def test_switching_off_is_cutting(arch):
    """For maps that several heads read, too."""
    spec = new_detector_spec(arch, LABELS, SIDE)
    model = liven(build_model(spec), spec.input_chw)
    network = PrunableNetwork(model, spec.input_chw, heads=output_modules(spec), protected=[stem_module(spec)])
    folded = fold_batch_norm(model, spec.input_chw)
    whole, moved = _answers(folded, spec), 0
    heads = tuple(name.removesuffix("1") for name in output_modules(spec))
    shared = [group for group in network.free if any(layer.startswith(heads) for layer in group.makes())]
    assert len(shared) == 6
    for group in (*shared, *network.free[::5]):
        kept = torch.randperm(group.width, generator=torch.Generator().manual_seed(1))[: group.width // 2].sort().values
        with _switched_off(folded, group, kept):
            off = _answers(folded, spec)
        for found, wanted, before in zip(off, _answers(network.cut({group.root: kept}), spec), whole, strict=True):
            scale = max(1.0, float(before.abs().max()))
            torch.testing.assert_close(found / scale, wanted / scale, atol=1e-4, rtol=0, msg=group.root)
            moved += not torch.allclose(found, before, atol=1e-3)
    assert moved >= 2 * len(shared)
