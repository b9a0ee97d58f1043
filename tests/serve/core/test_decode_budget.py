from __future__ import annotations

import threading

import pytest

from compress.serve.core.deadline import Deadline
from compress.serve.core.decode_budget import DecodeBudget, LargeImage
from compress.serve.errors import RequestError
from tests.waiting import until

MIB = 1 << 20
LONG = 60_000


def test_what_one_holds_the_next_waits_for():
    budget, order = DecodeBudget(capacity_bytes=10), []

    def take(cost_bytes: int) -> None:
        with budget.share(Deadline(LONG)) as afford:
            afford(cost_bytes)
            order.append(cost_bytes)

    with budget.share(Deadline(LONG)) as afford:
        afford(7)
        large = threading.Thread(target=take, args=(8,))
        large.start()
        until(budget._turn.locked)
        small = threading.Thread(target=take, args=(3,))
        small.start()  # would fit beside the first, but those that need little must not pass the second for ever
        small.join(0.05)
        assert order == []
        order.append(7)
    large.join(60)
    small.join(60)
    assert order == [7, 8, 3]
    assert (budget.held_bytes, budget.freed_bytes) == (0, 18)


def test_what_is_too_large_for_it_is_left_to_another():
    budget = DecodeBudget(capacity_bytes=100, largest_bytes=10)
    with pytest.raises(LargeImage), budget.share(Deadline(LONG)) as afford:
        afford(11)
    assert budget.held_bytes == 0
    with budget.share(Deadline(LONG)) as afford:
        afford(10)


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
