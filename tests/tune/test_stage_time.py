"""How long a chain will take: known from a training step alone, better from chains that ended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.core.dataset import Task
from compress.tune.goal import TrialResult
from compress.tune.space import Base, Knobs
from compress.tune.stage_time import predicted_s, rest_s, step_seconds
from compress.tune.study import CompletedTrial

BASE = Base({}, {}, "tflite", None, 0, epochs=6, steps=10)
KNOBS = Knobs(arch="tiny", input_px=96)
POINT = TrialResult(name="x", n_images=10, top1_pct=90.0, drop_pp=0.5, size_bytes=1000, latency_ms=1.0)
SECONDS = {"train": 60.0, "prune": 30.0, "distill": 90.0, "quantize": 20.0, "export": 5.0}


def tried(seconds=SECONDS, **changes):
    return CompletedTrial(KNOBS.model_copy(update=changes), 0.5, POINT, seconds)


def predicted(knobs=KNOBS, share=0.5, step_s=1.0, before=(), sealed=()):
    return predicted_s(knobs, share, BASE, step_s, before, sealed)


def test_before_any_chain_ended_a_training_step_tells():
    assert predicted(share=1.0) == pytest.approx(60)
    assert predicted() == pytest.approx(60 + 1.3 * 80)


def test_a_chain_that_ended_tells_every_stage_and_slower_steps_all_of_them():
    before = [(tried(), 1.0)]
    assert predicted(before=before) == pytest.approx(205)
    assert predicted(before=before, step_s=2.0) == pytest.approx(410)
    assert predicted(before=before, share=1.0) == pytest.approx(85), "nothing pruned, nothing distilled"
    assert predicted(before=before, sealed={"train"}) == pytest.approx(145)
    assert predicted(before=before, sealed={"train", "prune", "distill"}) == pytest.approx(25)


def test_patience_and_qat_cost_more():
    before = [(tried(), 1.0)]
    patient = KNOBS.model_copy(update={"patience": 2})
    assert predicted(patient, before=before) == pytest.approx(205 + 90)
    assert predicted(before=[(tried(patience=2), 1.0)]) == pytest.approx(205 - 45)
    qat = KNOBS.model_copy(update={"scheme": "int8_qat"})
    assert predicted(qat, before=before) == pytest.approx(205 + 60)
    quicker = [(tried(scheme="int8_qat"), 1.0)]  # its 20 s are less than training with rounding was thought to take
    assert predicted(before=quicker) == pytest.approx(205 - 20)


def test_the_rest_of_a_chain_is_as_much_longer_as_its_training_was():
    before = [tried(), tried({"train": 60.0, "quantize": 20.0})]
    assert rest_s({"train": 120.0}, before) == pytest.approx(2 * 145)
    assert rest_s({"train": 120.0, "prune": 1.0}, before) == pytest.approx(2 * 115)
    assert rest_s({}, before) == 0
    assert rest_s({"train": 120.0}, []) == 0


def test_a_detectors_chain_distils_and_learns_with_rounding_for_fewer_epochs():
    boxes = replace(BASE, epochs=70, task="detect")
    knobs = Knobs(arch="ssdlite_mobilenet_v3_small", input_px=320)
    assert predicted_s(knobs, 0.5, boxes, 1.0, (), ()) == pytest.approx(700 + 1.3 * 400)
    qat = knobs.model_copy(update={"scheme": "int8_qat"})
    assert predicted_s(qat, 1.0, boxes, 1.0, (), ()) == pytest.approx(700 + 3 * 40)


@pytest.mark.parametrize(
    ("arch", "px", "task"), [("tiny", 32, "classify"), ("ssdlite_mobilenet_v3_small", 128, "detect")]
)
def test_a_step_is_measured(arch: str, px: int, task: Task):
    assert 0 < step_seconds(arch, px, task) < 60
