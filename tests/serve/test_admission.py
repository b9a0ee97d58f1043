from __future__ import annotations

import asyncio

import pytest

from compress.serve.admission import Admission
from compress.serve.errors import RequestError


def test_refuses_beyond_the_limit_and_lets_in_again_after():
    admission = Admission(1)
    with admission.slot():
        with pytest.raises(RequestError) as caught, admission.slot():
            pass
        assert caught.value.status == 503
        assert int(caught.value.headers["Retry-After"]) >= 1
        assert admission.inside == 1
    with admission.slot():
        assert admission.inside == 1
    assert admission.inside == 0


def test_a_failed_request_gives_its_place_back():
    admission = Admission(1)
    with pytest.raises(KeyError), admission.slot():
        raise KeyError
    assert admission.inside == 0


def test_abandoned_work_keeps_its_place_until_it_ends():
    async def scenario() -> None:
        admission = Admission(1)
        work = asyncio.get_running_loop().create_future()
        with admission.slot() as slot:
            slot.work = work
        assert admission.inside == 1, "the thread still runs"
        work.set_exception(ValueError("nobody waits for this"))
        await asyncio.sleep(0)
        assert admission.inside == 0

    asyncio.run(scenario())
