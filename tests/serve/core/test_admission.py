from __future__ import annotations

import asyncio

import pytest

from compress.serve.core.admission import Admission
from compress.serve.core.pool import QueuedJob
from compress.serve.errors import RequestError


def test_refuses_beyond_the_limit_and_lets_in_again_after():
    admission = Admission(1, 1000)
    with admission.slot(10, 0.0, 1.0):
        with pytest.raises(RequestError) as caught, admission.slot(10, 0.0, 1.0):
            pass
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) >= 1
        assert admission.inside == 1
    with admission.slot(10, 0.0, 1.0):
        assert admission.inside == 1
    assert admission.inside == 0


def test_a_failed_request_gives_its_place_back():
    admission = Admission(1, 1000)
    with pytest.raises(KeyError), admission.slot(10, 0.0, 1.0):
        raise KeyError
    assert admission.inside == 0


def test_abandoned_work_keeps_its_place_until_all_of_it_ends():
    async def scenario() -> None:
        admission = Admission(1, 1000)
        loop = asyncio.get_running_loop()
        jobs = [QueuedJob(loop.create_future(), 0.0) for _ in range(2)]
        with admission.slot(10, 0.0, 1.0) as slot:
            slot.jobs += jobs
        for job in jobs:
            assert (admission.inside, admission.inside_bytes) == (1, 10), "a thread still runs"
            job.done.set_result(None)
            await asyncio.sleep(0)
        assert (admission.inside, admission.inside_bytes) == (0, 0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("declared", "wait_s", "refusing", "reason"),
    [(991, 0.0, False, "bytes"), (10, 1.0, False, "wait"), (10, 0.0, True, "memory")],
)
def test_refuses_what_is_too_large_together_too_late_or_when_memory_is_short(declared, wait_s, refusing, reason):
    admission = Admission(5, 1000)
    with admission.slot(10, 0.0, 1.0):
        admission.refusing = refusing
        with pytest.raises(RequestError) as caught, admission.slot(declared, wait_s, 1.0):
            pass
    assert (caught.value.status, caught.value.reason) == (503, reason)


def test_one_alone_may_be_larger_than_all_together():
    with Admission(1, 1000).slot(5000, 0.0, 1.0):
        pass
