from __future__ import annotations

import pytest

from compress.core.formats import Format, Precision
from compress.pipeline.lock import write_lock
from compress.report.json_report import build_report
from compress.report.markdown import to_markdown
from compress.report.siblings import SiblingRow, sibling_line


def _row(own, other, judged_on="test", *, trained=True):
    given = {"macs": 28_040_000, "sibling_macs": 28_310_000, "judged_on": judged_on, "trained": trained}
    return SiblingRow(stage="prune", sibling="prune-sibling", top1_pct=own, sibling_top1_pct=other, **given)


def test_a_network_straight_after_its_cut_gets_no_verdict():
    line = sibling_line(_row(40.0, 80.0, trained=False))
    assert line.endswith("not trained since it was cut, so no verdict yet")


@pytest.mark.parametrize(
    ("own", "other", "verdict"),
    [
        (90.0, 88.5, "pruning wins by 1.50 pp"),
        (88.5, 90.0, "THE SIBLING WINS by 1.50 pp"),
        (88.5, 88.5, "they are equal"),
    ],
)
def test_the_line_says_who_wins_by_how_much_and_at_which_macs(own, other, verdict):
    line = sibling_line(_row(own, other))
    assert line == (
        f"prune: {own:.2f} % at 28.04 M MACs; stock sibling, same data and epochs: {other:.2f} % at 28.31 M (test): "
        + verdict
    )
    assert "(val)" in sibling_line(_row(own, other, "val"))


def test_detectors_are_told_by_map():
    given = {"macs": 28_040_000, "sibling_macs": 28_310_000, "judged_on": "test", "trained": True}
    row = SiblingRow(stage="prune", sibling="prune-sibling", map_pct=0.0, sibling_map_pct=41.0, **given)
    line = sibling_line(row)
    assert line.startswith("prune: mAP 0.00 % at 28.04 M MACs; stock sibling, same data and epochs: mAP 41.00 % at")
    assert line.endswith("THE SIBLING WINS by 41.00 pp")


@pytest.fixture
def pruned(make_run):
    """Return a run with a pruned stage, its sibling, and the distilled ones; `like` is the first sibling's input."""
    run = make_run("pruned", benchmarked=False)
    for stage_id in ("prune", "mine", "distill", "distill-sibling"):
        run.add(stage_id, Format.TORCH, Precision.FP32)
    _change(run, "mine", inputs={"from": "train", "like": "prune"})
    return run


def _change(run, stage_id, **changes):
    stages = [stage.model_copy(update=changes) if stage.id == stage_id else stage for stage in run.lock.stages]
    run.lock = run.lock.model_copy(update={"stages": tuple(stages)})
    write_lock(run.path, run.lock)


def _validated(run, stage_id, top1_pct):
    stage = run.lock.find(stage_id)
    _change(run, stage_id, artifact=stage.artifact.model_copy(update={"metrics": {"top1_pct": top1_pct}}))


def test_before_a_benchmark_the_stages_own_validation_counts(pruned):
    _validated(pruned, "prune", 80.0)
    _validated(pruned, "mine", 81.0)
    rows = build_report(pruned.path).siblings
    assert [(row.stage, row.sibling, row.judged_on) for row in rows] == [
        ("prune", "mine", "val"),
        ("distill", "distill-sibling", "val"),
    ]
    assert (rows[0].top1_pct, rows[0].sibling_top1_pct, rows[0].macs) == (80.0, 81.0, 56_000_000)
    page = to_markdown(build_report(pruned.path))
    assert "## Against the stock narrower network" in page
    assert "- prune: 80.00 % at 56.00 M MACs" in page
    assert "no verdict yet" in page
    _change(pruned, "prune", key_parts={"config": {"recovery": {"epochs": 2}}})
    assert "THE SIBLING WINS by 1.00 pp" in to_markdown(build_report(pruned.path))


def test_after_a_benchmark_of_both_the_test_images_count(pruned):
    _validated(pruned, "prune", 80.0)
    measured = [pruned.row("prune", top1_pct=91.0, macs=20), pruned.row("mine", top1_pct=90.0, macs=21)]
    pruned.bench("prune", [*measured, pruned.row("distill", top1_pct=95.0)])
    first, second = build_report(pruned.path).siblings
    assert (first.top1_pct, first.sibling_top1_pct, first.judged_on) == (91.0, 90.0, "test")
    assert second.judged_on == "val", "its sibling was not measured: like is compared with like"
    assert second.top1_pct == second.sibling_top1_pct == 12.5


def test_what_has_no_accuracy_is_not_compared(pruned):
    _validated(pruned, "mine", None)
    assert [row.stage for row in build_report(pruned.path).siblings] == ["distill"]


def test_a_run_without_siblings_says_nothing(make_run):
    run = make_run()
    run.add("other-sibling", Format.TORCH, Precision.FP32)
    run.bench("train", [run.row("train")], stage_id="benchmark-sibling")  # a name like one, and no model
    report = build_report(run.path)
    assert report.siblings == ()
    assert "stock narrower" not in to_markdown(report)


def test_a_sibling_like_a_file_has_nobody_to_be_compared_with(pruned):
    _change(pruned, "mine", inputs={"from": "train", "like": "/models/old.safetensors"})
    assert [row.stage for row in build_report(pruned.path).siblings] == ["distill"]
