from __future__ import annotations

import sys

from evals.serve.alone import Alone
from evals.serve.rounds import warm_up
from evals.serve.targets import Target
from tests.colours import colours_file, jpeg
from tests.evals.serve.tiny import tiny_setting


def test_it_starts_and_answers_as_the_model_does(tmp_path):
    setting = tiny_setting(tmp_path)
    for seed, path in enumerate(setting.images.small):
        path.write_bytes(jpeg(seed=seed))
    model = colours_file(tmp_path / "colours.onnx")
    module = "evals.serve.baseline_fastapi"
    baseline = Target("baseline", model, (sys.executable, "-m", module, str(model), "{port}"), "/classify", "/health")
    with baseline.start() as server:
        assert warm_up(setting, baseline, server) == [Alone(model).label(body) for body in setting.images.bodies()]
