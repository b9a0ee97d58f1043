"""The cache against a model of it: a list of keys, the longest unused first."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.serve.core.cache import AnswerCache


def _entry_bytes() -> int:
    cache = AnswerCache(1 << 20)
    cache.put(("m", b""), np.zeros(0, np.float32))
    return cache.used_bytes


ENTRY_BYTES = _entry_bytes()  # what an answer takes beside its numbers


def key(number: int) -> tuple[str, bytes]:
    return ("model", bytes([number]))


def answer(number: int, size: int = 4) -> np.ndarray:
    return np.full(size, number, np.float32)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), st.integers(0, 7)),
        st.tuples(st.just("put"), st.integers(0, 7)),
        st.tuples(st.just("shrink"), st.integers(0, 6000)),
    ),
    max_size=60,
)


@given(limit_bytes=st.integers(0, 6000), steps=STEPS)
@settings(deadline=None)
def test_it_is_a_true_lru_bounded_by_bytes(limit_bytes, steps):
    cache = AnswerCache(limit_bytes)
    kept: list[int] = []

    def size(number: int) -> int:
        return ENTRY_BYTES + 4 * 50 * (number + 1)

    def give_up(to_bytes: int) -> None:
        while sum(map(size, kept)) > to_bytes:
            kept.pop(0)

    for what, number in steps:
        if what == "shrink":
            cache.shrink(number)
            give_up(number)
        elif what == "get":
            found = cache.get(key(number))
            assert (found is not None) == (number in kept)
            if found is not None:
                np.testing.assert_array_equal(found, answer(number, 50 * (number + 1)))
                kept.append(kept.pop(kept.index(number)))
        else:
            cache.put(key(number), answer(number, 50 * (number + 1)))
            if number not in kept and size(number) <= limit_bytes:
                kept.append(number)
                give_up(limit_bytes)
        assert len(cache) == len(kept)
        assert cache.used_bytes == sum(map(size, kept)) <= limit_bytes


def test_the_same_image_of_two_models_has_two_answers():
    cache = AnswerCache(10_000)
    cache.put(("a", b"image"), answer(1))
    cache.put(("b", b"image"), answer(2))
    assert cache.get(("a", b"image"))[0] == 1
    assert cache.get(("b", b"image"))[0] == 2
    assert cache.get(("c", b"image")) is None


def test_no_room_keeps_nothing():
    cache = AnswerCache(0)
    cache.put(key(1), answer(1, 0))
    assert (len(cache), cache.used_bytes, cache.get(key(1))) == (0, 0, None)


def test_an_answer_larger_than_the_room_does_not_drive_out_the_others():
    cache = AnswerCache(2 * ENTRY_BYTES)
    cache.put(key(1), answer(1))
    cache.put(key(2), answer(2, 1000))
    assert cache.get(key(1)) is not None
    assert cache.get(key(2)) is None
