"""Hysteresis of the smaller model: in at once, out only after calm without a break."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compress.serve.core.degrade import ENTER_LOAD, HOLD_S, LEAVE_LOAD, Degrader

BETWEEN = (ENTER_LOAD + LEAVE_LOAD) / 2


def test_entered_at_once_and_left_after_calm():
    degrader = Degrader()
    degrader.see(BETWEEN, 0.0)
    assert not degrader.active
    degrader.see(ENTER_LOAD, 1.0)
    assert degrader.active
    degrader.see(LEAVE_LOAD, 2.0)
    degrader.see(0.0, 2.0 + HOLD_S - 0.01)
    assert degrader.active
    degrader.see(0.0, 2.0 + HOLD_S)
    assert not degrader.active


def test_a_load_between_the_marks_begins_the_calm_anew():
    degrader = Degrader(active=True)
    degrader.see(0.0, 0.0)
    degrader.see(BETWEEN, HOLD_S - 1)
    degrader.see(0.0, HOLD_S)
    degrader.see(0.0, HOLD_S + HOLD_S / 2)
    assert degrader.active
    degrader.see(0.0, 2 * HOLD_S)
    assert not degrader.active


def test_the_calm_of_one_time_does_not_count_for_the_next():
    degrader = Degrader(active=True)
    degrader.see(0.0, 0.0)
    degrader.see(ENTER_LOAD, HOLD_S / 2)
    degrader.see(0.0, HOLD_S)
    assert degrader.active


def test_short_memory_asks_for_it_whatever_the_load():
    degrader = Degrader(forced=True)
    degrader.see(0.0, 0.0)
    degrader.see(0.0, 10 * HOLD_S)
    assert degrader.active
    degrader.forced = False
    degrader.see(0.0, 11 * HOLD_S)
    assert degrader.active
    degrader.see(0.0, 12 * HOLD_S)
    assert not degrader.active


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 2)), max_size=40))
def test_it_never_leaves_sooner_than_the_hold_after_a_load_above_the_lower_mark(seen):
    degrader, now_s, loud_s = Degrader(), 0.0, -1.0
    for load, after_s in seen:
        now_s += after_s
        was = degrader.active
        degrader.see(load, now_s)
        if load > LEAVE_LOAD:
            loud_s = now_s
        if load >= ENTER_LOAD:
            assert degrader.active
        if was and not degrader.active:
            assert now_s - loud_s >= HOLD_S
        if not was and degrader.active:
            assert load >= ENTER_LOAD
