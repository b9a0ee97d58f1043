"""Large images beside small ones: who waits for whom, what each may hold, and what is refused."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from compress.data.transforms import read_pixels
from compress.serve.config import MIB, ServeConfig
from compress.serve.core import lanes as module
from compress.serve.core.lanes import SMALL_BYTES, Lanes
from tests.serve.core.test_service import ask, asking, until, using

RED, BLUE = (220, 60, 20), (20, 60, 230)


def large(colour: tuple[int, int, int] = BLUE) -> bytes:
    """Return a PNG of 4 megapixels: 36 MiB while it is decoded."""
    file = io.BytesIO()
    Image.new("RGB", (2000, 2000), colour).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module")
def blue() -> bytes:
    return large()


@pytest.fixture
def config(onnx_file) -> ServeConfig:
    return ServeConfig(models=[onnx_file], threads=1, cache_mib=0, timeout_ms=60_000)


class Gate:
    """Stops every decoding of the slow lane before it begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        real = module.decode_jobs

        def decode_jobs(jobs, budget):
            self.reached.set()
            assert self.opened.wait(30)
            real(jobs, budget)

        monkeypatch.setattr(module, "decode_jobs", decode_jobs)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


def test_a_large_image_is_answered_as_it_is_alone(config, blue):
    async def scenario(service):
        answer = await ask(service, blue)
        spec = service.first.spec
        pixels_HWC = read_pixels(blue, spec.preprocess)
        np.testing.assert_array_equal(answer.numbers, service.first.answers(pixels_HWC[None], [None])[0])
        assert service.lanes.slow.job_s != module._LARGE_S, "it went through the slow lane"
        assert answer.decode_ms > 1
        assert (service.lanes.large_inside, service.lanes.large_bytes, service.admission.inside) == (0, 0, 0)

    using(config, scenario)


def test_small_images_do_not_wait_for_large_ones(config, image, blue, gate):
    async def scenario(service):
        tasks = asking(service, blue, blue + b"2")
        await until(gate.reached.is_set)
        await until(lambda: service.lanes.large_inside == 2)
        assert service.predicted_wait_s() == 0, "the threads of the fast lane are free"
        small = [await ask(service, image(RED)) for _ in range(5)]
        assert [int(answer.numbers.argmax()) for answer in small] == [0] * 5
        assert not any(task.done() for task in tasks)
        gate.opened.set()
        assert [int(answer.numbers.argmax()) for answer in await asyncio.gather(*tasks)] == [2, 2]

    using(config, scenario)


def test_large_images_take_half_of_the_places_and_bytes_at_most(onnx_file, blue, gate):
    async def scenario(service):
        tasks = asking(service, blue)
        await until(lambda: service.lanes.large_inside == 1)
        service.lanes.most_large_bytes = len(blue) + 1
        too_many_bytes = await ask(service, blue)
        service.lanes.most_large_bytes = 10 * len(blue)
        tasks += asking(service, blue)
        await until(lambda: service.lanes.large_inside == 2)
        too_many = await ask(service, blue)
        assert [(one.status, one.reason) for one in (too_many_bytes, too_many)] == [(503, "bytes"), (503, "count")]
        gate.opened.set()
        assert [int(answer.numbers.argmax()) for answer in await asyncio.gather(*tasks)] == [2, 2]

    using(ServeConfig(models=[onnx_file], threads=1, max_queue=3, cache_mib=0, timeout_ms=60_000), scenario)


def test_a_large_image_that_would_wait_beyond_its_time_is_refused_at_once(config, blue, gate):
    async def scenario(service):
        service.lanes.slow.job_s = 100.0
        first = asking(service, blue)
        await until(lambda: service.lanes.large_inside == 1)
        refused = await ask(service, blue)
        assert (refused.status, refused.reason) == (503, "wait")
        gate.opened.set()
        await asyncio.gather(*first)

    using(config, scenario)


def test_a_large_image_that_is_late_counts_as_inside_until_its_thread_has_left_it(config, blue, gate):
    async def scenario(service):
        service.lanes.slow.job_s = 0.0
        late = await ask(service, blue, timeout_ms=300)
        assert (late.status, late.code) == (504, "deadline")
        assert (service.admission.inside, service.lanes.large_inside) == (1, 1)
        gate.opened.set()
        await until(lambda: service.admission.inside == 0)
        assert service.lanes.large_inside == 0

    using(config, scenario)


def test_a_damaged_large_image_is_told_and_no_thread_is_lost(config, blue):
    async def scenario(service):
        refused = await ask(service, blue[: len(blue) // 2])
        assert (refused.status, refused.code) == (422, "bad_image")
        assert int((await ask(service, blue)).numbers.argmax()) == 2

    using(config, scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lost_thread_of_the_slow_lane_is_replaced_and_keeps_no_predictor(config, blue, monkeypatch):
    real, dies = module.decode_jobs, [True]

    def decode_jobs(jobs, budget):
        if dies.pop() if dies else False:
            raise SystemExit
        real(jobs, budget)

    monkeypatch.setattr(module, "decode_jobs", decode_jobs)

    async def scenario(service):
        monkeypatch.setattr(service.first, "add_predictor", lambda: pytest.fail("none was lost"))
        lost = await ask(service, blue)
        assert (lost.status, lost.code) == (500, "worker_lost")
        await until(lambda: service.ready)
        assert int((await ask(service, blue)).numbers.argmax()) == 2
        assert service.lanes.large_inside == 0

    using(config, scenario)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have priorities of their own on Linux only")
def test_only_the_threads_of_the_slow_lane_give_way(config, image, blue, monkeypatch):
    seen, own = {}, os.getpriority(os.PRIO_PROCESS, 0)
    for name, real in (("run_jobs", module.run_jobs), ("decode_jobs", module.decode_jobs)):

        def noting(jobs, budget, name=name, real=real):
            seen[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            real(jobs, budget)

        monkeypatch.setattr(module, name, noting)

    async def scenario(service):
        await ask(service, image())
        await ask(service, blue)

    using(config, scenario)
    assert seen == {"run_jobs": own, "decode_jobs": max(own, module._NICE)}


@pytest.mark.parametrize(
    ("threads", "image_mib", "small_mib", "large_mib"), [(2, 300, 32, 268), (4, 32, 4, 28), (1, None, None, None)]
)
def test_each_lane_has_its_share_of_the_memory(threads, image_mib, small_mib, large_mib):
    lanes = Lanes(threads, 10_000, most_large=4, most_large_bytes=MIB)

    async def start():
        lanes.start(asyncio.get_running_loop(), None if image_mib is None else image_mib * MIB)
        lanes.stop(10)

    asyncio.run(start())
    shares = (lanes.small.capacity_bytes, lanes.large.capacity_bytes)
    assert shares == tuple(None if mib is None else mib * MIB for mib in (small_mib, large_mib))
    assert lanes.small.largest_bytes == min(SMALL_BYTES, lanes.small.capacity_bytes or SMALL_BYTES)
