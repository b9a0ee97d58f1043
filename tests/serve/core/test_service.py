"""The service without HTTP: equal images, degradation, lost threads, memory, batches; then as processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest

from compress.errors import UsageError
from compress.serve.config import MIB, ServeConfig
from compress.serve.core import inference
from compress.serve.core import service as module
from compress.serve.core.cache import AnswerCache
from compress.serve.core.deadline import Deadline
from compress.serve.core.degrade import HOLD_S
from compress.serve.core.service import Service
from compress.serve.errors import RequestError


@pytest.fixture(autouse=True)
def _quick_watch(monkeypatch):
    monkeypatch.setattr(module, "_WATCH_S", 0.005)


def using(config: ServeConfig, scenario):
    """Run a scenario with a started service."""

    async def whole():
        service = Service(config)
        await service.start()
        try:
            # sooner than a hang ends by itself (30 s): what only then goes on has failed
            return await asyncio.wait_for(scenario(service), 20)
        finally:
            await service.stop()

    return asyncio.run(whole())


async def ask(service: Service, body: bytes, *, timeout_ms: int = 60_000, model=None):
    """Return the answer to an image, or the error that it got."""
    deadline = Deadline(timeout_ms)
    try:
        service.check_open()
        with service.admission.slot(len(body), service.predicted_wait_s(), deadline.remaining_s()) as slot:
            return await service.answer(model or service.first, body, deadline, slot)
    except RequestError as fault:
        return fault


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def asking(service, *bodies):
    return [asyncio.create_task(ask(service, body)) for body in bodies]


class Stuck:
    """Takes a predictor's place: hangs in its first call, and then does as the other."""

    def __init__(self, predictor, monkeypatch) -> None:
        self.real, self.calls = predictor.predict, 0
        self.go_on = threading.Event()
        monkeypatch.setattr(predictor, "predict", self.predict)

    def predict(self, images_NCHW):
        self.calls += 1
        if self.calls == 1:
            assert self.go_on.wait(30)
        return self.real(images_NCHW)


@pytest.fixture
def config(onnx_file):
    return ServeConfig(models=[onnx_file], threads=1, timeout_ms=60_000)


# equal images ---------------------------------------------------------------------------------------------------


def test_equal_images_at_once_are_inferred_once(held, config, image):
    async def scenario(service):
        held.inputs.clear()
        held.go_on.clear()
        tasks = asking(service, *[image()] * 12)
        await until(lambda: service.admission.inside == 12 and held.inputs)
        held.go_on.set()
        answers = await asyncio.gather(*tasks)
        assert len(held.inputs) == 1
        assert sorted(answer.cached for answer in answers) == [False] + [True] * 11
        assert all(np.array_equal(answer.numbers, answers[0].numbers) for answer in answers)
        assert (service.metrics.cache_misses, service.metrics.cache_hits) == (1, 11)
        assert not service.cache.pending

    using(config, scenario)


def test_the_failure_of_the_first_of_equals_is_its_own(held, config, image, monkeypatch):
    async def scenario(service):
        real, fails = held.predict, [True]

        def predict(images_NCHW):
            logits_NK = real(images_NCHW)
            if fails.pop() if fails else False:
                raise ValueError("once")
            return logits_NK

        held.inputs.clear()
        monkeypatch.setattr(held, "predict", predict)
        held.go_on.clear()
        tasks = asking(service, *[image()] * 6)
        await until(lambda: service.admission.inside == 6 and held.inputs)
        held.go_on.set()
        first, *others = await asyncio.gather(*tasks)
        assert first.code == "internal"
        assert [int(answer.numbers.argmax()) for answer in others] == [0] * 5
        assert len(held.inputs) == 2, "one of them tried, for all of them"
        assert service.admission.inside == 0

    using(config, scenario)


def test_who_waits_for_an_equal_image_is_told_when_its_own_time_is_over(held, config, image):
    async def scenario(service):
        held.inputs.clear()
        held.go_on.clear()
        first = asyncio.create_task(ask(service, image()))
        await until(lambda: held.inputs)
        late = await ask(service, image(), timeout_ms=300)
        held.go_on.set()
        assert (late.status, late.code) == (504, "deadline")
        assert int((await first).numbers.argmax()) == 0

    using(config, scenario)


def test_no_error_is_kept(held, config, image, monkeypatch):
    async def scenario(service):
        with monkeypatch.context() as broken:
            broken.setattr(held, "predict", lambda _: 1 / 0)
            assert (await ask(service, image())).code == "internal"
        assert len(service.cache) == 0
        answer = await ask(service, image())
        assert not answer.cached
        assert (await ask(service, image())).cached

    using(config, scenario)


def test_an_answer_is_not_taken_from_another_model(onnx_file, tflite_file, image):
    config = ServeConfig(models=[f"a={onnx_file}", f"b={tflite_file}"], threads=1, timeout_ms=60_000)

    async def scenario(service):
        assert not (await ask(service, image())).cached
        other = await ask(service, image(), model=service.models["b"])
        assert (other.cached, other.model.name) == (False, "b")

    using(config, scenario)


def test_without_a_cache_every_image_is_inferred(held, onnx_file, image):
    async def scenario(service):
        held.inputs.clear()
        answers = [await ask(service, image()) for _ in range(3)]
        assert [answer.cached for answer in answers] == [False] * 3
        assert len(held.inputs) == 3

    using(ServeConfig(models=[onnx_file], threads=1, cache_mib=0, timeout_ms=60_000), scenario)


# the smaller model ------------------------------------------------------------------------------------------------


def test_the_smaller_model_takes_over_under_load_and_goes_only_after_a_calm(onnx_file, tflite_file, monkeypatch):
    ahead = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: ahead[0])
    config = ServeConfig(models=[onnx_file], degrade=tflite_file, threads=1, timeout_ms=1000)

    async def scenario(service):
        first, load = service.first, [0.0]
        monkeypatch.setattr(service, "predicted_wait_s", lambda: load[0])
        assert service.answering(first, allow_degraded=True) is first
        load[0] = 0.5
        assert service.answering(first, allow_degraded=True) is service.degraded
        assert service.answering(first, allow_degraded=False) is first
        load[0] = 0.05
        assert service.answering(first, allow_degraded=True) is service.degraded, "not at the first calm moment"
        ahead[0] += HOLD_S * 0.9
        assert service.answering(first, allow_degraded=True) is service.degraded
        load[0] = 0.2  # neither high nor calm: the wait begins again
        service.answering(first, allow_degraded=True)
        load[0] = 0.05
        service.answering(first, allow_degraded=True)
        ahead[0] += HOLD_S * 0.9
        assert service.answering(first, allow_degraded=True) is service.degraded
        ahead[0] += HOLD_S * 0.2
        assert service.answering(first, allow_degraded=True) is first

    using(config, scenario)


def test_the_smaller_model_answers_for_the_first_alone(onnx_file, tflite_file, monkeypatch):
    config = ServeConfig(models=[f"a={onnx_file}", f"b={onnx_file}"], degrade=tflite_file, threads=1)

    async def scenario(service):
        monkeypatch.setattr(service, "predicted_wait_s", lambda: 0.9)
        assert service.answering(service.models["b"], allow_degraded=True) is service.models["b"]
        assert service.answering(service.models["a"], allow_degraded=True) is service.degraded

    using(config, scenario)


def test_a_smaller_model_with_other_labels_is_refused(onnx_file, onnx_bytes, spec, tmp_path):
    other = tmp_path / "other.onnx"
    other.write_bytes(onnx_bytes(spec.model_copy(update={"labels": ("red", "blue", "green")})))
    with pytest.raises(UsageError, match=r"other\.onnx: has other labels") as caught:
        Service(ServeConfig(models=[onnx_file], degrade=other, threads=1))
    assert "same classes" in caught.value.hint


def test_no_model_is_refused_with_a_way_out():
    with pytest.raises(UsageError, match="no model is given") as caught:
        Service(ServeConfig())
    assert "imgc serve FILE" in caught.value.hint


def test_two_models_of_one_name_are_refused_with_a_way_out(onnx_file, tflite_file):
    with pytest.raises(UsageError, match="a model called colours is served already") as caught:
        Service(ServeConfig(models=[onnx_file, tflite_file], threads=1))
    assert f"a={onnx_file} b={tflite_file}" in caught.value.hint


# lost threads -----------------------------------------------------------------------------------------------------


def test_a_stuck_thread_is_replaced_and_the_next_request_answered(held, onnx_file, image, monkeypatch):
    ahead = [0.0]
    monkeypatch.setattr("compress.serve.core.pool.monotonic", lambda: ahead[0])

    async def scenario(service):
        stuck = Stuck(held, monkeypatch)
        try:
            first = asyncio.create_task(ask(service, image()))
            await until(lambda: stuck.calls)
            second = asyncio.create_task(ask(service, image((20, 60, 230))))
            await until(lambda: service.lanes.waiting())
            ahead[0] += 60  # no test has to wait for it
            lost = await first
            assert (lost.status, lost.code) == (500, "worker_lost")
            assert int((await second).numbers.argmax()) == 2
            await until(lambda: service.ready)
            assert (service.metrics.workers_replaced, service.admission.inside) == (1, 0)
        finally:
            stuck.go_on.set()

    using(ServeConfig(models=[onnx_file], threads=1, timeout_ms=60_000, stuck_ms=50_000), scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_replaced_and_its_request_told(held, config, image, monkeypatch):
    async def scenario(service):
        with monkeypatch.context() as broken:

            def die(_):
                raise SystemExit

            broken.setattr(held, "predict", die)
            lost = await ask(service, image())
        assert (lost.status, lost.code) == (500, "worker_lost")
        await until(lambda: service.ready)
        assert int((await ask(service, image())).numbers.argmax()) == 0
        assert service.metrics.workers_replaced == 1

    using(config, scenario)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_service_that_loses_threads_without_end_says_that_it_is_not_ready(held, config, image, monkeypatch):
    monkeypatch.setattr(module, "_MAX_REPLACED", 2)

    async def scenario(service):
        def die(_):
            raise SystemExit

        monkeypatch.setattr(held, "predict", die)
        monkeypatch.setattr(service.first, "add_predictor", lambda: 1 / 0)  # no memory for one: the watch goes on
        for replaced in (1, 2):
            assert (await ask(service, image())).code == "worker_lost"
            await until(lambda: service.metrics.workers_replaced == replaced)  # noqa: B023 - awaited here
            if replaced == 1:
                await until(lambda: service.ready)
        await asyncio.sleep(0.05)
        assert (await ask(service, image())).code == "not_ready"

    using(config, scenario)


# load and memory --------------------------------------------------------------------------------------------------


def test_a_request_that_would_wait_beyond_its_time_is_refused_at_once(held, onnx_file, image):
    async def scenario(service):
        held.inputs.clear()
        held.go_on.clear()
        tasks = asking(service, image())
        await until(lambda: held.inputs)
        service.lanes.fast.job_s = 5.0
        in_a_hurry = await ask(service, image(), timeout_ms=1000)
        assert (in_a_hurry.status, in_a_hurry.reason) == (503, "wait")
        tasks += asking(service, image((20, 60, 230)))  # has the time
        await until(lambda: service.admission.inside == 2)
        assert service.predicted_wait_s() == 10.0
        held.go_on.set()
        assert [int(answer.numbers.argmax()) for answer in await asyncio.gather(*tasks)] == [0, 2]
        assert service.predicted_wait_s() == 0, "nobody waits before a free thread"

    using(ServeConfig(models=[onnx_file], threads=1, timeout_ms=60_000), scenario)


def test_memory_that_runs_short_shrinks_the_cache_then_shuts_the_door_and_it_opens_again(
    onnx_file, tflite_file, image, monkeypatch
):
    used_mib = [50]
    monkeypatch.setattr("compress.serve.core.memory_watch.resident_bytes", lambda: used_mib[0] * MIB)
    config = ServeConfig(
        models=[onnx_file], degrade=tflite_file, threads=1, cache_mib=1, memory_limit_mib=100, timeout_ms=60_000
    )

    def fill(cache: AnswerCache):
        for n in range(2000):
            cache.put(("x", n.to_bytes(4, "big")), np.zeros(100, np.float32))

    async def scenario(service):
        fill(service.cache)
        assert service.cache.used_bytes > 0.9 * MIB
        used_mib[0] = 85
        await until(lambda: service.cache.used_bytes <= MIB // 4)
        await until(lambda: service.degrader.active)
        assert service.cache.used_bytes > 0, "soft: a part of it stays"
        assert int((await ask(service, image())).numbers.argmax()) == 0
        used_mib[0] = 95
        await until(lambda: service.admission.refusing)
        assert len(service.cache) == 0
        refused = await ask(service, image())
        assert (refused.status, refused.reason) == (503, "memory")
        used_mib[0] = 50
        await until(lambda: not service.admission.refusing)
        assert not (await ask(service, image())).cached
        await until(lambda: not service.degrader.forced)

    using(config, scenario)


# several images in one call -------------------------------------------------------------------------------------

COLOURS = [(220, 60, 20), (30, 200, 40), (20, 60, 230), (200, 30, 60), (60, 220, 90)]


def test_a_backlog_shares_a_call_and_each_gets_its_own_answer(held, onnx_file, image, monkeypatch):
    monkeypatch.setattr(inference.Inference, "_gains", lambda *_: True)
    bodies = [image(colour) for colour in COLOURS]
    bodies.insert(2, image()[:300])

    async def scenario(service):
        alone = [await ask(service, body) for body in bodies]
        service.cache.shrink(0)
        held.inputs.clear()
        held.go_on.clear()
        tasks = asking(service, image((100, 100, 100)))
        await until(lambda: held.inputs)
        tasks += asking(service, *bodies)
        await until(lambda: service.lanes.waiting() == len(bodies))
        held.go_on.set()
        _, *answers = await asyncio.gather(*tasks)
        assert [len(images) for images in held.inputs] == [1, 3, 2], "4 at most, and the broken one not among them"
        assert answers[2].status == alone[2].status == 422
        for answer, own in zip(answers[:2] + answers[3:], alone[:2] + alone[3:], strict=True):
            np.testing.assert_allclose(answer.numbers, own.numbers, rtol=1e-5)
        batches = service.metrics.batches
        assert batches.total == 1 + 3 + 2 + 5, "each image counted once, in the call that it was in"

    using(ServeConfig(models=[onnx_file], threads=1, max_batch=4, timeout_ms=60_000), scenario)


def test_where_a_batch_gains_nothing_every_image_has_its_own_call(held, onnx_file, image, monkeypatch):
    monkeypatch.setattr(inference.Inference, "_gains", lambda *_: False)

    async def scenario(service):
        held.inputs.clear()
        held.go_on.clear()
        tasks = asking(service, *(image(colour) for colour in COLOURS))
        await until(lambda: service.lanes.waiting() == 4)
        held.go_on.set()
        await asyncio.gather(*tasks)
        assert [len(images) for images in held.inputs] == [1] * 5

    using(ServeConfig(models=[onnx_file], threads=1, max_batch=4, timeout_ms=60_000), scenario)


# as processes -----------------------------------------------------------------------------------------------------

CODE = """
import sys
from compress.core.stage import SilentReporter
from compress.serve.config import ServeConfig
from compress.serve.run import serve
class Say(SilentReporter):
    def info(self, text):
        print(text, flush=True)
if __name__ == "__main__":
    serve(ServeConfig.model_validate_json(sys.argv[1]), reporter=Say())
"""


@contextmanager
def running(model: Path, folder: Path | None = None, **settings):
    """Yield a server process and a client that opens a connection for every request.

    In `folder` it makes its temporary files.
    """
    config = json.dumps({"models": [str(model)], "port": 0, "threads": 1, "timeout_ms": 20_000, **settings})
    command = [sys.executable, "-c", CODE, config]
    environment = {**os.environ, **({"TMPDIR": str(folder)} if folder else {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            url = "http://" + process.stdout.readline().rsplit("http://", 1)[1].strip()
            with httpx2.Client(base_url=url, timeout=60, headers={"Connection": "close"}) as client:
                yield process, client
        finally:
            if process.poll() is None:
                process.kill()


def reached(condition) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s, "it never came true"
        time.sleep(0.02)


def samples(client: httpx2.Client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_before_it_ends_it_serves_on_and_sends_balancers_away_until_a_second_signal(onnx_file, image):
    with running(onnx_file, drain_ms=600_000) as (process, client):
        assert client.get("/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        reached(lambda: client.get("/readyz").status_code == 503)
        assert client.post("/v1/classify", content=image()).json()["predictions"][0]["label"] == "red"
        assert client.get("/livez").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_it_ends_by_itself_when_the_time_of_the_drain_is_over(onnx_file):
    with running(onnx_file, drain_ms=300) as (process, _):
        begun_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert time.monotonic() - begun_s >= 0.3


@pytest.mark.slow
def test_the_counts_of_two_processes_are_summed_and_outlive_their_restart(onnx_file, image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("w")  # a short name: a socket's path has at most 107 bytes
    exact = {
        'imgc_requests_total{code="415"}': 5,
        'imgc_rejections_total{reason="unsupported_media_type"}': 5,
        "imgc_cache_misses_total": 25,
        'imgc_stage_seconds_count{stage="total"}': 20,
        "imgc_batch_size_count": 20,
    }

    def counted() -> dict[str, float]:
        now = samples(client)
        return {name: now[name] for name in exact}

    def restarted() -> bool:
        assert counted() == exact, "at no moment less, and nothing twice"
        return len(list(folder.glob("imgc-serve-*/*.json"))) == 2

    with running(onnx_file, folder, workers=2) as (process, client):
        reached(lambda: samples(client)["imgc_processes"] == 2)
        statuses = [client.post("/v1/classify", content=image((n, n, n))).status_code for n in range(0, 200, 10)]
        statuses += [client.post("/v1/classify", content=b"x").status_code for _ in range(5)]
        assert statuses == [200] * 20 + [415] * 5
        assert not restarted()
        process.send_signal(signal.SIGHUP)
        reached(restarted)
        reached(lambda: samples(client)["imgc_processes"] == 2)
        assert counted() == exact
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
