"""Fixtures every test may use."""

from __future__ import annotations

import gc
import os
import subprocess

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as the command line does, and before anything imports torch

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.measure.machine_speed import MachineSpeed

pytest_plugins = (
    "tests.exports",
    "tests.graphs",
    "tests.run_folders",
    "tests.tiny_files",
    "tests.lively",
    "tests.detector_files",
)

COLOURS = {"blue": (40, 60, 200), "green": (50, 190, 60), "red": (200, 50, 50)}
COUNTS = {"train": 24, "val": 9, "test": 12}


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what was imported: it stays to the end, and is half a million objects."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests and the tests out of the user's cache."""
    before = os.environ.get("IMGC_CACHE")
    os.environ["IMGC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["IMGC_CACHE"]
    else:
        os.environ["IMGC_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _even_speed() -> Iterator[None]:
    """Let the machine seem to be at full speed always: tests beside each other slow each other down."""
    from compress.measure import latency

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "speed_of_this_machine", lambda: MachineSpeed(read=lambda: 1.0))
        yield


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this session that all its processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def _no_trials() -> Iterator[None]:
    """Let no model file be tried in a process of its own first, which takes half a second: the tests made them."""
    from compress.runtime import trial

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_in_new_process", lambda *_: subprocess.CompletedProcess([], 0, b"", b""))
        yield


@pytest.fixture
def one_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one new process tell a model's memory, not three, in tests that are of something else."""
    monkeypatch.setattr("compress.benchmark.memory._PROCESSES", 1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a class folder with train/val/test of noisy one-colour images that a small net learns at once."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for index in range(count):
            label = sorted(COLOURS)[index % len(COLOURS)]
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            height, width = (64, 80) if index % 2 else (72, 64)
            noise = rng.normal(0, 25, (height, width, 3))
            pixels = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:03d}.jpg", quality=90)
    return root


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real images and weights, `$IMGC_REAL_DATA` or `../shared/data` beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("IMGC_REAL_DATA", default))
    if not (root / "clothing").is_dir():
        pytest.skip(f"the real images are not at {root} (set IMGC_REAL_DATA)")
    return root
