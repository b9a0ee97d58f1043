from __future__ import annotations

import gc
import threading
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.data.decode import BadImageError
from compress.data.frames import Frame, folder_frames
from compress.data.transforms import preprocess_files, preprocess_image
from compress.errors import DataError
from compress.runtime.open import open_predictor
from compress.runtime.stream import KEPT, DoubleBuffer, Meter, Prepared, answers, prepare

PREPROCESS = Preprocess(resize_px=16, crop_px=16)
LONG_S = 20.0  # never waited for unless something is broken
MS = 1_000_000


def counting(last: int) -> Generator[int, None, None]:
    yield from range(last)


def test_every_item_comes_once_and_in_order():
    with DoubleBuffer(counting(500)) as buffer:
        assert list(buffer) == list(range(500))
    assert buffer.dropped == 0


def test_a_slow_caller_loses_nothing():
    made = [threading.Event() for _ in range(8)]

    def items() -> Generator[int, None, None]:
        for index, event in enumerate(made):
            event.set()
            yield index

    with DoubleBuffer(items()) as buffer:
        seen = []
        for item in buffer:
            assert made[min(item + 2, 7)].wait(LONG_S)  # the slot is full, and the reader has one more
            seen.append(item)
    assert (seen, buffer.dropped) == (list(range(8)), 0)


def test_at_most_one_item_waits_and_one_is_in_the_making():
    made: list[int] = []

    def items() -> Generator[int, None, None]:
        for index in range(100):
            made.append(index)
            yield index

    with DoubleBuffer(items()) as buffer:
        for taken in buffer:
            assert len(made) <= taken + 3  # this one, the one in the slot, the one in the reader's hand
            if taken == 20:
                break


def test_making_and_using_happen_at_once():
    """Each side waits until the other has begun: one after the other would never end."""
    making_second, using_first = threading.Event(), threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        making_second.set()
        assert using_first.wait(LONG_S), "the first item was not used while the second was made"
        yield 2

    with DoubleBuffer(items()) as buffer:
        assert next(buffer) == 1
        using_first.set()
        assert making_second.wait(LONG_S), "the second item was not made while the first was used"
        assert list(buffer) == [2]


def test_the_model_runs_while_the_next_frame_is_decoded():
    decoding_second, inferring_first = threading.Event(), threading.Event()
    image = Image.new("RGB", (20, 20))

    def frames() -> Generator[Frame, None, None]:
        yield Frame("first", image, 0)
        decoding_second.set()
        assert inferring_first.wait(LONG_S)
        yield Frame("second", image, 0)

    class Model:
        calls = 0

        def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
            self.calls += 1
            inferring_first.set()
            assert decoding_second.wait(LONG_S)
            return np.zeros((1, 2), np.float32)

    model = Model()
    with DoubleBuffer(prepare(frames(), PREPROCESS)) as buffer:
        names = [answer.name for answer in answers(buffer, lambda images, _: model.predict(images)[0], Meter())]
    assert names == ["first", "second"]
    assert model.calls == 2


def test_a_camera_shows_the_newest_and_counts_the_others():
    """The caller holds item 0 while the camera makes the rest."""
    all_made, first_taken = threading.Event(), threading.Event()

    def camera() -> Generator[int, None, None]:
        yield 0
        assert first_taken.wait(LONG_S)
        yield from range(1, 10)
        all_made.set()

    with DoubleBuffer(camera(), newest=True) as buffer:
        assert next(buffer) == 0
        first_taken.set()
        assert all_made.wait(LONG_S)
        assert list(buffer) == [9]
    assert buffer.dropped == 8


def test_an_error_of_the_reader_comes_out_after_the_items_before_it():
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise DataError("lost")

    seen = []
    with DoubleBuffer(items()) as buffer, pytest.raises(DataError, match="lost"):
        seen.extend(iter(buffer.__next__, None))
    assert seen == [1, 2]


def test_closing_stops_the_thread_and_closes_the_source():
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), DoubleBuffer(endless()) as buffer:
        1 // next(buffer)
    assert closed.is_set()
    assert threading.active_count() == before


def test_closing_closes_the_frames_below_too():
    closed = threading.Event()

    def frames() -> Generator[Frame, None, None]:
        try:
            while True:
                yield Frame("x", Image.new("RGB", (20, 20)), 0)
        finally:
            closed.set()

    gc.disable()
    try:
        with DoubleBuffer(prepare(frames(), PREPROCESS)) as buffer:
            next(buffer)
        assert closed.is_set()
    finally:
        gc.enable()


def test_stop_wakes_a_caller_that_waits_for_a_silent_camera():
    waiting = threading.Event()
    over = threading.Event()

    def silent() -> Generator[int, None, None]:
        waiting.set()
        ended.append(over.wait(LONG_S))
        yield 0

    ended: list[bool] = []
    with DoubleBuffer(silent(), newest=True) as buffer:
        timer = threading.Thread(target=lambda: (waiting.wait(LONG_S), buffer.stop()))
        timer.start()
        assert list(buffer) == []
        assert ended == [], "the caller did not wait for the camera"
        over.set()
        timer.join()


def test_stop_ends_the_iteration_though_an_item_is_ready():
    second_is_ready = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        second_is_ready.set()
        yield 3

    with DoubleBuffer(items()) as buffer:
        assert next(buffer) == 1
        assert second_is_ready.wait(LONG_S)
        buffer.stop()
        assert list(buffer) == []


def test_frames_are_prepared_as_everywhere_else(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (one,) = prepare(folder_frames(tmp_path, 32), PREPROCESS)
    assert not isinstance(one.images_NCHW, BadImageError)
    assert np.array_equal(one.images_NCHW, preprocess_files([tmp_path / "a.png"], PREPROCESS))
    assert np.array_equal(one.images_NCHW, preprocess_image(Image.fromarray(pixels), PREPROCESS))
    assert one.begun_ns < one.ended_ns


def test_answers_are_the_models_and_a_bad_frame_goes_by(tiny, tmp_path: Path):
    predictor = open_predictor(tiny.onnx(spec=tiny.spec()))
    images = [tiny.images(1, seed) for seed in (1, 2)]
    bad = BadImageError("b", "damaged")
    shown = Image.new("RGB", (2, 1))
    prepared = [
        Prepared("a", shown, images[0], 0, 3 * MS),
        Prepared("b", bad, bad, 3, 4),
        Prepared("c", shown, images[1], 4, 5),
    ]
    meter = Meter()
    found = list(answers(prepared, lambda image, _: predictor.predict(image)[0], meter))
    assert [one.name for one in found] == ["a", "b", "c"]
    for one, image in ((found[0], images[0]), (found[2], images[1])):
        assert np.allclose(one.answer, tiny.expected(image)[0], atol=1e-5)
    assert found[1].answer is bad
    assert found[0].image is shown
    assert found[0].decode_ms == 3.0
    assert (meter.frames, meter.skipped) == (2, 1)


def test_the_meter_adds_up():
    """Decoding 0-10, 10-20, 20-30 ms; inference 10-14, 20-24, 30-34: two calls lie beside a decoding."""
    now = [0]
    meter = Meter(clock=lambda: now[0])
    for index in range(3):
        begun = 10 * index
        meter.add((begun * MS, (begun + 10) * MS), ((begun + 10) * MS, (begun + 14) * MS))
    found = meter.summary(dropped=7)
    assert (found.frames, found.dropped, found.skipped) == (3, 7, 0)
    assert found.seconds == pytest.approx(0.034)
    assert found.fps_sustained == pytest.approx(3 / 0.034)
    assert (found.decode_ms.p50, found.infer_ms.p95) == (10.0, 4.0)
    assert found.overlap_share == pytest.approx(8 / 12)


def test_a_slow_decoding_may_lie_beside_two_calls():
    meter = Meter(clock=lambda: 0)
    meter.add((0, 10 * MS), (10 * MS, 20 * MS))
    meter.add((11 * MS, 12 * MS), (20 * MS, 30 * MS))
    meter.add((13 * MS, 35 * MS), (35 * MS, 40 * MS))
    assert meter.summary(0).overlap_share == pytest.approx((1 + 7 + 10) / 25)


def test_work_one_after_the_other_does_not_overlap():
    meter = Meter(clock=lambda: 0)
    for begun in range(0, 100, 20):
        meter.add((begun * MS, (begun + 9) * MS), ((begun + 9) * MS, (begun + 20) * MS))
    assert meter.summary(0).overlap_share == 0.0


def test_the_rate_of_now_is_of_the_last_two_seconds():
    now = [0]
    meter = Meter(clock=lambda: now[0])
    assert meter.fps_now() == 0.0
    for index in range(40):  # ten a second for four seconds
        now[0] = (index + 1) * 100 * MS
        meter.add((now[0] - 2, now[0] - 1), (now[0] - 1, now[0]))
        if index == 9:
            assert meter.fps_now() == pytest.approx(10.0)
    assert meter.fps_now() == pytest.approx(10.0)
    now[0] += 10_000 * MS
    assert meter.fps_now() == 0.0


def test_an_empty_stream_has_a_summary():
    found = Meter().summary(0)
    assert (found.frames, found.fps_sustained, found.overlap_share) == (0, 0.0, 0.0)
    assert found.decode_ms.p50 is None


def test_weeks_of_camera_do_not_fill_the_memory():
    meter = Meter(clock=lambda: 0)
    for index in range(KEPT + 10):
        meter.add((index * MS, (index + 1) * MS), (index * MS, index * MS + 1000))
    assert meter.frames == KEPT + 10
    held = [value for value in vars(meter).values() if hasattr(value, "__len__")]
    assert max(map(len, held)) <= KEPT
