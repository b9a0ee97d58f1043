"""The plain loops as processes: an epoch each, and the settings that only the careful one has."""

from __future__ import annotations

import io
import json
import sys
import time

import pytest
import timm
import torch
from safetensors.torch import save_file

from compress.core.preprocess import Preprocess
from compress.engine.options import FitOptions
from evals.train import plain_loop
from evals.train.plain_loop import CAREFULLY, main
from evals.train.speed import environment

ARCH, SIDE = "test_resnet", 32


@pytest.fixture
def given(photos, tmp_path) -> tuple[str, ...]:
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model(ARCH, num_classes=1000).state_dict(), weights)
    preprocess = Preprocess(resize_px=SIDE, crop_px=SIDE)
    options = FitOptions(epochs=2, batch_size=8)
    return ARCH, str(weights), str(photos), preprocess.model_dump_json(), options.model_dump_json()


@pytest.mark.parametrize("careful", [False, True])
def test_a_loop_answers_each_line_with_an_epoch_and_has_its_settings(careful, given, monkeypatch):
    seen = {"layouts": set(), "workers": []}
    loader = plain_loop.DataLoader

    def recorded(*words, **settings):
        if "num_workers" in settings:
            seen["workers"].append((settings["num_workers"], settings["persistent_workers"]))
            # no process of its own here: a fork beside the suite's threads is another matter than the settings
            settings |= {"num_workers": 0, "persistent_workers": False}
        return loader(*words, **settings)

    create = timm.create_model

    def watched(*words, **settings):
        model = create(*words, **settings)
        model.register_forward_pre_hook(
            lambda module, inputs: (
                seen["layouts"].add(
                    inputs[0].is_contiguous(memory_format=torch.channels_last)
                    and next(module.parameters()).is_contiguous(memory_format=torch.channels_last)
                )
                if module.training
                else None
            )
        )
        return model

    monkeypatch.setattr(plain_loop, "DataLoader", recorded)
    monkeypatch.setattr(plain_loop.timm, "create_model", watched)
    monkeypatch.setattr(sys, "stdin", io.StringIO("epoch\nepoch\n"))
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    main(*given, *([CAREFULLY] if careful else []))
    first, second, last = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["images"] == second["images"] > 0
    assert first["processor_s"] > 0
    assert second["loss"] > 0
    assert len(last["predicted"]) > 0
    assert seen["workers"] == [(2, careful)]
    assert seen["layouts"] == {careful}


def test_the_careful_loop_alone_has_our_variable(monkeypatch):
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    assert "GOMP_SPINCOUNT" not in environment(careful=False)
    assert environment(careful=True)["GOMP_SPINCOUNT"] == "77"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    assert environment(careful=True)["GOMP_SPINCOUNT"] == "2000"


def test_processor_time_of_workers_that_live_counts(monkeypatch):
    class Worker:
        pid = "self"

    before = plain_loop._processor_s()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    spent = plain_loop._processor_s() - before
    assert spent >= 0.1
    monkeypatch.setattr(plain_loop.multiprocessing, "active_children", lambda: [Worker()])
    assert plain_loop._processor_s() >= 1.5 * before
