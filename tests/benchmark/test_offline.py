from __future__ import annotations

import threading

import pytest

from compress.benchmark import offline
from compress.benchmark.offline import BATCHES, measure_offline
from compress.core.stage import SilentReporter
from compress.runtime.open import open_predictor
from tests.colours import colours_file, jpeg


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return colours_file(tmp_path_factory.mktemp("m") / "model.onnx")


def test_the_throughput_counts_what_was_answered_and_names_its_setting(model):
    found = measure_offline(lambda: open_predictor(model), [jpeg(seed=s) for s in range(3)], 0.2, 2, SilentReporter())
    assert (found.scenario, found.images) == ("offline", 3)
    assert found.threads in (1, 2)
    assert found.batch in BATCHES
    assert found.n % found.batch == 0
    assert found.throughput_ips == pytest.approx(found.n / found.seconds)


def test_the_best_of_all_settings_is_measured_and_each_thread_has_a_runtime_of_its_own(model, monkeypatch):
    tried = []

    def throughput(predictors, bodies, batch, seconds):
        assert len(set(map(id, predictors))) == len(predictors)
        tried.append((len(predictors), batch, seconds))
        return (200 if (len(predictors), batch) == (3, 8) else 100), 1.0

    monkeypatch.setattr(offline, "_throughput", throughput)
    found = measure_offline(lambda: open_predictor(model), [jpeg()], 10, 3, SilentReporter())
    assert (found.threads, found.batch, found.throughput_ips) == (3, 8, 200)
    assert {(threads, batch) for threads, batch, _ in tried} == {(t, b) for t in (1, 2, 3) for b in BATCHES}
    assert tried[-1] == (3, 8, 10)


def test_all_images_are_asked_about_by_all_threads(model, monkeypatch):
    seen, lock = [], threading.Lock()

    def answer(_, bodies):
        with lock:
            seen.extend(bodies)

    monkeypatch.setattr(offline, "answer", answer)
    bodies = [bytes([number]) for number in range(5)]
    n, seconds = offline._throughput([object(), object()], bodies, 2, 0.05)
    assert set(seen) == set(bodies)
    assert n + 4 == len(seen)  # two untimed calls of two
    assert seconds >= 0.05
