from __future__ import annotations

import os

from evals.serve.alone import Alone
from tests.colours import colours_file, jpeg


def test_the_model_alone_is_timed_on_the_servers_core(tmp_path, monkeypatch):
    alone, seen, label = Alone(colours_file(tmp_path / "model.onnx")), [], Alone.label

    def watched(self, body):
        seen.append(os.sched_getaffinity(0))
        return label(self, body)

    monkeypatch.setattr(Alone, "label", watched)
    everywhere = os.sched_getaffinity(0)
    assert 0 < alone.cpu_ms([jpeg(), jpeg(seed=1)], passes=2) < 1000
    assert len(seen) == 5  # one to warm up
    assert all(cores == ({0} & everywhere or everywhere) for cores in seen)
    assert os.sched_getaffinity(0) == everywhere


def test_labels_are_those_of_the_file(tmp_path):
    assert Alone(colours_file(tmp_path / "model.onnx")).label(jpeg()) in {"red", "green", "blue"}
