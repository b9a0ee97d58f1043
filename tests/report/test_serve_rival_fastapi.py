from __future__ import annotations

import sys

from compress.report.serve_alone import Alone
from compress.report.serve_rounds import warm_up
from compress.report.serve_targets import Target
from tests.report.serve_colours import colours_file, jpeg
from tests.report.serve_tiny import tiny_setting


def test_it_starts_and_answers_as_the_model_does(tmp_path):
    setting = tiny_setting(tmp_path)
    for seed, path in enumerate(setting.pictures.small):
        path.write_bytes(jpeg(seed=seed))
    model = colours_file(tmp_path / "colours.onnx")
    module = "compress.report.serve_rival_fastapi"
    rival = Target("rival", model, (sys.executable, "-m", module, str(model), "{port}"), "/classify", "/health")
    with rival.start() as server:
        assert warm_up(setting, rival, server) == [Alone(model).label(body) for body in setting.pictures.bodies()]
