"""Makes the toy stages importable by the entry point `toy_stages:run`."""

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)


@pytest.fixture(autouse=True)
def calls():
    """Return the ids of executed stages, empty at the start of each test."""
    import toy_stages

    toy_stages.CALLS.clear()
    toy_stages.EPOCHS.clear()
    return toy_stages.CALLS
