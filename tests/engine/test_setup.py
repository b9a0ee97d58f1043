from __future__ import annotations

import numpy as np

from compress.core.dataset import FolderData
from compress.core.stage import RunContext, SilentReporter
from compress.data.dataset import load_dataset
from compress.engine.options import FitOptions
from compress.engine.setup import fit_setup
from compress.models.build import new_spec


def test_the_setup_of_a_stage_has_its_images_classes_options_and_place(photos, tmp_path):
    dataset = load_dataset(FolderData(path=photos), seed=0)
    spec, options, reporter = new_spec("tiny", dataset.labels, 32), FitOptions(epochs=7), SilentReporter()
    ctx = RunContext(tmp_path, seed=5, data=None, device="cuda", reporter=reporter)
    setup = fit_setup(dataset, spec, options, ctx)
    assert setup.train.pixels_NSSC.shape == (24, 40, 40, 3)
    assert setup.val.pixels_NHWC.shape == (9, 32, 32, 3)
    np.testing.assert_array_equal(setup.val.labels_N, dataset.splits["val"].labels_N)
    assert (setup.num_classes, setup.preprocess, setup.options) == (len(dataset.labels), spec.preprocess, options)
    assert (setup.work_dir, setup.seed, setup.device, setup.reporter) == (tmp_path, 5, "cuda", reporter)
    assert fit_setup(dataset, spec, options, ctx, "fit").work_dir == tmp_path / "fit"
