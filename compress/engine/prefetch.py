"""`ahead`: the next item of an iterator is made in a second thread while the caller works on this one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield what `items` yields, in its order; one item at most is ready or in the making, so memory stays bounded.

    For a GPU, whose step leaves the CPU idle. Where the CPU computes the step it loses: on 2 idle cores at 160 px,
    batches made one after the other ran at 93 % of the bare step's speed, with this at 75-88 %.
    An error of `items` is raised here. A caller that stops early (`close`) waits for the item in the making.
    """
    end = object()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
