"""What counts as worse, and what as noise."""

from __future__ import annotations

from typing import Any

import pytest

from compress.benchmark.compare import Change, compare
from compress.benchmark.limits import parse_limits
from compress.benchmark.schema import Answers, Bench, Failure, Row

HOST = {"cpu": "Some CPU", "arch": "x86_64", "cores": 2, "flags": ["avx2"], "load_1min": 0.1}


def row(stage: str = "int8", **changes: Any) -> Row:
    known: dict[str, Any] = {
        **{"stage": stage, "format": "onnx", "precision": "int8", "path": "m.onnx", "sha256": "0", "params": 10},
        **{"macs": 10, "size_bytes": 1000, "n_images": 1000, "top1_pct": 90.0, "threads": 1, "batch": 1},
        **{"latency_p50_ms": 10.0, "latency_p50_ci95_ms": (9.8, 10.2)},
    }
    return Row.model_validate({**known, **changes})


def bench(*rows: Row, **changes: Any) -> Bench:
    return Bench(**{"host": HOST, "baseline": "int8", "rows": rows, **changes})


def changed(limit: str, old: Row | Bench, new: Row | Bench) -> Change:
    metric = limit.partition(":")[0]
    before, after = (one if isinstance(one, Bench) else bench(one) for one in (old, new))
    return next(one for one in compare(before, after, parse_limits([limit])).changes if one.metric == metric)


def slower(p50: float, low: float, high: float) -> Row:
    return row(latency_p50_ms=p50, latency_p50_ci95_ms=(low, high))


@pytest.mark.parametrize(
    ("new", "verdict", "broken"),
    [
        (slower(10.0, 9.8, 10.2), "same", False),
        (slower(10.3, 10.1, 10.5), "within noise", False),
        (slower(10.5, 10.3, 10.6), "worse", False),  # within the limit of 5 %, which is 10.5
        (slower(11.0, 10.6, 11.2), "worse", False),  # beyond it by the figure, not by the ends: 10.6 - 10.2 < 0.5
        (slower(11.0, 10.0, 12.0), "within noise", False),
        (slower(11.0, 10.8, 11.2), "worse", True),
        (slower(9.0, 8.9, 9.1), "better", False),
    ],
)
def test_broken_is_beyond_the_limit_and_beyond_the_noise(new: Row, verdict: str, broken: bool) -> None:
    found = changed("latency_p50_ms:+5%", row(), new)
    assert (found.verdict, found.broken) == (verdict, broken)
    beyond = new.latency_p50_ms is not None and new.latency_p50_ms > 10.5
    assert ("not beyond the noise" in found.reason) == (beyond and not broken)


def test_without_intervals_the_plain_figure_decides_and_that_is_said() -> None:
    old, new = row(latency_p50_ci95_ms=None), row(latency_p50_ms=10.6)
    found = changed("latency_p50_ms:+5%", old, new)
    assert found.broken
    assert "the plain figures decide" in found.reason
    assert not changed("latency_p50_ms:+0.7", old, new).broken


def test_lower_is_worse_for_accuracy_and_wilson_is_its_noise() -> None:
    assert changed("top1_pct:-0.5", row(), row(top1_pct=80.0)).broken
    within = changed("top1_pct:-0.5", row(), row(top1_pct=89.0))
    assert (within.verdict, within.broken) == ("within noise", False)
    assert changed("top1_pct:-0.5", row(), row(top1_pct=99.0)).verdict == "better"


def answers(right: int) -> Answers:
    said = tuple(0 if index < right else 1 for index in range(1000))
    paths = tuple(f"{index}.jpg" for index in range(1000))
    top1 = {"int8": said}
    sure = {"int8": (1.0,) * 1000}
    return Answers(labels=("a", "b"), paths=paths, truth=(0,) * 1000, top1=top1, confidence=sure, truth_confidence=sure)


def test_images_in_pairs_see_what_two_intervals_do_not() -> None:
    old, new, limits = bench(row()), bench(row(top1_pct=88.0)), parse_limits(["top1_pct:-0.5"])
    assert not compare(old, new, limits).broken
    (broken,) = compare(old, new, limits, (answers(900), answers(880))).broken
    assert broken.change_ci95 == pytest.approx((-2.87, -1.13), abs=0.01)
    assert not compare(old, new, limits, (answers(900), answers(870))).broken, "answers of another measurement"
    others = answers(880).model_copy(update={"paths": tuple(f"x{index}.jpg" for index in range(1000))})
    assert not compare(old, new, limits, (answers(900), others)).broken, "other images are no pairs"


def test_a_drop_uses_the_images_lost_and_gained() -> None:
    old, new = row(top1_drop_pp=0.0, lost=0, gained=0), row(top1_drop_pp=2.0, lost=20, gained=0)
    assert changed("top1_drop_pp:+0.5", old, new).broken
    assert not changed("top1_drop_pp:+0.5", old, row(top1_drop_pp=2.0, lost=120, gained=100)).broken


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (bench(row(latency_p50_ms=99.0), host={**HOST, "cpu": "Another"}), "other machines (cpu Some CPU and Another)"),
        (bench(row(latency_p50_ms=99.0), host={**HOST, "cores": 8}), "cores 2 and 8"),
        (bench(row(latency_p50_ms=99.0, threads=2)), "threads 1 and 2"),
        (bench(row(latency_p50_ms=99.0, batch=8)), "batch 1 and 8"),
    ],
)
def test_times_of_another_machine_or_setting_are_not_comparable(new: Bench, words: str) -> None:
    found = changed("latency_p50_ms:+5%", row(), new)
    assert (found.verdict, found.broken) == ("not comparable", False)
    assert words in found.reason
    comparison = compare(bench(row()), new, parse_limits(["latency_p50_ms:+5%"]))
    assert comparison.judged == ()
    assert bool(comparison.warnings) == ("machines" in found.reason or "cores" in found.reason)
    assert changed("size_bytes:+0", row(), bench(row(size_bytes=1001), host={"cpu": "Another"})).broken


def test_other_images_are_not_comparable() -> None:
    assert "n = 1000 and 10" in changed("top1_pct:-0", row(), row(top1_pct=10.0, n_images=10)).reason
    assert "test and val" in changed("top1_pct:-0", row(), bench(row(top1_pct=10.0), split="val")).reason


def test_what_is_gone_is_broken() -> None:
    gone = changed("latency_p50_ms:+5%", row(), bench(row("other")))
    assert (gone.broken, gone.reason) == (True, "the row is gone")
    unopened = Failure(name="int8", path="m.onnx", error="m.onnx: damaged")
    assert changed("latency_p50_ms:+5%", row(), bench(failed=(unopened,))).reason == "m.onnx: damaged"
    failed = changed("top1_pct:-1", row(), row(top1_pct=None, n_images=None, error="answers NaN"))
    assert (failed.broken, failed.reason) == (True, "answers NaN")
    never = changed("cpu_ms:+5%", row(), row(cpu_ms=1.0))
    assert (never.broken, never.verdict) == (False, "not comparable")
    assert not any(change.broken for change in compare(bench(row()), bench()).changes), "without a limit nothing breaks"


def test_unstable_times_and_warnings_are_told() -> None:
    found = changed("latency_p50_ms:+5%", row(), row(stable=False))
    assert "unstable (new)" in found.reason
    assert "unstable" not in changed("size_bytes:+5%", row(), row(stable=False)).reason
    assert compare(bench(row(), warnings=("busy",)), bench(row())).warnings == ("old: busy",)


def test_a_row_that_was_not_there_before_is_told() -> None:
    found = compare(bench(row()), bench(row(), row("tflite")))
    assert {change.stage for change in found.changes} == {"int8"}
    assert found.warnings == ("only the new one has tflite: not compared",)
