from __future__ import annotations

import io
from itertools import chain, count, pairwise

import pytest
from PIL import Image

from compress.benchmark.single_stream import answer, measure_single_stream
from compress.core.stage import SilentReporter
from compress.data.decode import BadImageError
from compress.runtime.open import open_predictor
from tests.colours import colours_file, jpeg


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return open_predictor(colours_file(tmp_path_factory.mktemp("m") / "model.onnx"), threads=1)


def plain(colour):
    file = io.BytesIO()
    Image.new("RGB", (60, 50), colour).save(file, "JPEG")
    return file.getvalue()


def test_the_answer_of_a_batch_is_that_of_each_image(predictor):
    bodies = [plain("red"), plain("blue"), plain("lime"), plain("red")]
    assert answer(predictor, bodies) == [0, 2, 1, 0]
    assert [answer(predictor, [body])[0] for body in bodies] == [0, 2, 1, 0]


def test_a_damaged_image_is_an_error(predictor):
    with pytest.raises(BadImageError):
        answer(predictor, [b"\xff\xd8 no image"])


def test_each_query_is_timed_and_percentiles_are_told_with_intervals(predictor):
    # the k-th of 1000 queries takes k ms, with nothing between them
    ends = list(chain([0.0], (sum(range(1, k + 1)) / 1000 for k in range(1, 1001))))
    ticks = chain([0.0], chain.from_iterable(pairwise(ends)))
    found = measure_single_stream(predictor, [jpeg()], ends[-1], SilentReporter(), clock=lambda: next(ticks))
    assert (found.scenario, found.n, found.images, found.threads, found.batch) == ("single-stream", 1000, 1, 1, 1)
    assert found.seconds == pytest.approx(500.5)
    assert found.latency_p50_ms == pytest.approx(500.5)
    assert found.latency_p90_ms == pytest.approx(900.1)
    assert found.latency_p99_ms == pytest.approx(990.01)
    low, high = found.latency_p90_ci95_ms
    assert 870 < low < 900 < high < 930


def test_a_short_time_has_some_queries_and_no_interval(predictor):
    seconds = count()
    found = measure_single_stream(predictor, [jpeg()], 0.1, SilentReporter(), clock=lambda: next(seconds))
    assert found.n == 20
    assert found.latency_p99_ci95_ms is None
