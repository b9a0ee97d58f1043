"""Fixtures of the search's tests."""

from tests.tune.search_world import world

__all__ = ["world"]
