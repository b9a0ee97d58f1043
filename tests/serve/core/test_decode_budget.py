from __future__ import annotations

import threading

import pytest

from compress.serve.core.deadline import Deadline
from compress.serve.core.decode_budget import DecodeBudget
from compress.serve.errors import RequestError
from tests.waiting import until

MIB = 1 << 20
LONG = 60_000


def test_what_one_holds_the_next_waits_for():
    budget, order = DecodeBudget(capacity_bytes=10), []

    def second() -> None:
        with budget.share(Deadline(LONG)) as afford:
            afford(4)
            order.append("second")

    with budget.share(Deadline(LONG)) as afford:
        afford(7)
        waiting = threading.Thread(target=second)
        waiting.start()
        with budget.share(Deadline(LONG)) as small:
            small(3)  # fits beside the first, and does not wait behind the second
            assert budget.held_bytes == 10
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]
    assert (budget.held_bytes, budget.freed_bytes) == (0, 14)


def test_who_has_no_time_left_to_wait_is_told_503():
    budget = DecodeBudget(capacity_bytes=10)
    with budget.share(Deadline(LONG)) as afford:
        afford(7)
        with pytest.raises(RequestError) as caught, budget.share(Deadline(1)) as late:
            late(4)
    assert (caught.value.status, caught.value.reason) == (503, "memory")
    assert budget.held_bytes == 0


def test_an_image_that_never_fits_is_told_413_at_once_and_holds_nothing():
    budget = DecodeBudget(capacity_bytes=64 * MIB)
    with pytest.raises(RequestError) as caught, budget.share(Deadline(LONG)) as afford:
        afford(200 * MIB)
    assert (caught.value.status, caught.value.code) == (413, "image_too_costly")
    assert "would take 200 MiB, and this server has 64 MiB" in caught.value.message
    assert budget.held_bytes == 0


def test_a_fault_while_decoding_gives_back_what_was_held():
    budget = DecodeBudget(capacity_bytes=10)

    def decode_what_is_damaged() -> None:
        with budget.share(Deadline(LONG)) as afford:
            afford(10)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        decode_what_is_damaged()
    assert budget.held_bytes == 0


def test_without_a_capacity_everything_fits():
    budget = DecodeBudget()
    with budget.share(Deadline(LONG)) as afford:
        afford(1 << 50)
        assert budget.held_bytes == 1 << 50
    until(lambda: budget.held_bytes == 0)
