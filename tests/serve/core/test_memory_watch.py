from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from compress.serve.config import ServeConfig
from compress.serve.core import memory_watch as module
from compress.serve.core.admission import Admission
from compress.serve.core.cache import AnswerCache
from compress.serve.core.decode_budget import DecodeBudget
from compress.serve.core.degrade import Degrader
from compress.serve.core.memory import MemoryAlarm
from compress.serve.core.memory_watch import MemoryWatch, left_for_images, memory_limit_bytes

MIB = 1 << 20


class Machine:
    """How much is in use, what time it is, and whether anybody has asked glibc to give memory back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used_mib, self.now_s, self.given_back, self.trimmed_mib = 10, 0.0, 0, None
        monkeypatch.setattr(module, "resident_bytes", lambda: self.used_mib * MIB)
        monkeypatch.setattr(module, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(module, "give_back", self.give_back)

    def give_back(self) -> bool:
        self.given_back += 1
        self.used_mib = self.used_mib if self.trimmed_mib is None else self.trimmed_mib
        return True


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def watch() -> MemoryWatch:
    return MemoryWatch(MemoryAlarm(100 * MIB), AnswerCache(MIB), DecodeBudget(), Admission(4, MIB), Degrader())


def look(watch: MemoryWatch) -> None:
    asyncio.run(watch.see())


def test_what_was_freed_is_given_back_before_anybody_is_refused(machine: Machine, watch: MemoryWatch):
    machine.used_mib, machine.trimmed_mib = 99, 40
    look(watch)
    assert machine.given_back == 1
    assert not watch.admission.refusing


def test_images_that_were_decoded_are_given_back_when_none_is_any_more(machine: Machine, watch: MemoryWatch):
    watch.decoding.freed_bytes, watch.decoding.held_bytes = 65 * MIB, 1
    look(watch)
    assert machine.given_back == 0
    watch.decoding.held_bytes = 0
    look(watch)
    look(watch)
    assert machine.given_back == 1
    watch.decoding.freed_bytes = 63 * MIB
    look(watch)
    assert machine.given_back == 1, "too little to be worth it"


def test_images_that_are_decoded_bring_no_smaller_model_about(machine: Machine, watch: MemoryWatch):
    machine.used_mib, watch.decoding.held_bytes = 85, 50 * MIB
    watch.cache.put(("x", b""), np.zeros(100_000, np.float32))
    look(watch)
    assert (watch.degrader.forced, len(watch.cache)) == (False, 1)
    watch.decoding.held_bytes = 0
    look(watch)
    assert (watch.degrader.forced, len(watch.cache)) == (True, 0)
    machine.used_mib, watch.decoding.held_bytes = 95, 50 * MIB
    look(watch)
    assert watch.degrader.forced, "very short is short, whoever it is"


def test_others_are_asked_to_give_up_what_they_hold_while_it_is_very_short(machine: Machine, watch: MemoryWatch):
    asked = []
    watch.on_hard_pressure = lambda: asked.append(machine.used_mib)
    for machine.used_mib in (85, 95, 96, 50, 97):
        look(watch)
    assert asked == [95, 96, 97]


def test_a_shortage_that_nothing_ends_is_said_once_and_ends_with_it(
    machine: Machine, watch: MemoryWatch, caplog: pytest.LogCaptureFixture
):
    ended = []
    watch.on_hopeless = lambda: ended.append(machine.now_s)
    machine.used_mib = 99
    with caplog.at_level(logging.ERROR, "imgc.serve"):
        for machine.now_s in (5.0, 20.0, 34.9, 35.1, 60.0):
            look(watch)
    assert ended == [35.1]
    assert watch.hopeless
    assert caplog.text.count("has to end") == 1
    machine.used_mib = 40
    look(watch)
    assert not watch.hopeless
    machine.used_mib, machine.now_s = 99, 70.0
    look(watch)
    assert not watch.hopeless, "the time begins again"


def test_what_the_limit_leaves_for_images(machine: Machine, caplog: pytest.LogCaptureFixture):
    machine.used_mib = 100
    config = ServeConfig(max_queue_bytes=64 * MIB, cache_mib=16, memory_limit_mib=500)
    assert memory_limit_bytes(config) == 500 * MIB
    assert left_for_images(500 * MIB, config) == 460 * MIB - 180 * MIB
    assert left_for_images(None, config) is None
    assert caplog.text == ""
    assert left_for_images(200 * MIB, config) == 32 * MIB
    assert "the memory limit of 200 MiB leaves too little" in caplog.text


@pytest.mark.parametrize(("container", "expected"), [(800 * MIB, 200 * MIB), (None, None)])
def test_without_a_setting_each_process_has_its_part_of_the_container(monkeypatch, container, expected):
    monkeypatch.setattr(module, "cgroup_limit_bytes", lambda: container)
    assert memory_limit_bytes(ServeConfig(workers=4)) == expected
