from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from compress.engine.prefetch import ahead


def test_yields_the_same_in_the_same_order():
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter([None, None]))) == [None, None]


def test_the_next_item_is_made_while_the_caller_works_on_this_one():
    begun = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number in range(3):
            begun[number].set()
            yield number

    following = ahead(items())
    assert next(following) == 0
    assert begun[1].wait(timeout=10)
    assert list(following) == [1, 2]


def test_an_error_of_the_items_is_raised_where_they_are_used():
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError("in the thread")

    following = ahead(items())
    assert next(following) == 1
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        next(following)


def test_a_caller_that_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    following = ahead(iter(range(1000)))
    next(following)
    assert threading.active_count() == before + 1
    following.close()
    assert threading.active_count() == before
