"""Many damaged files of a kind, one after the other."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from compress.runtime import trial
from tests.fuzz.forked import trial_in_a_fork
from tests.fuzz.mutate import mutant
from tests.fuzz.outcome import GOOD, Outcome, outcome_of
from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).parent / "corpus"
DEADLINE_S = 90.0  # a trial has 60
MOST_BYTES = 3 << 30  # what a trial may take beside the libraries, and those


@dataclass
class Findings:
    """What damaged files led to.

    Attributes:
        name: the kind of file.
        counts: kind of outcome -> files.
        bad: name of a file -> its content and outcome, of those that were neither accepted nor refused.
        peak_bytes: the most that one took.
    """

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    bad: dict[str, tuple[bytes, Outcome]] = field(default_factory=dict)
    peak_bytes: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return one line."""
        parts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        each_ms = 1000 * self.seconds / max(1, self.counts.total())
        return f"{self.name}: {parts}; peak {self.peak_bytes >> 20} MiB, {each_ms:.0f} ms each"

    def add(self, name: str, data: bytes, outcome: Outcome) -> None:
        """Count one file."""
        self.counts[outcome.kind] += 1
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        if outcome.kind not in GOOD:
            self.bad[name] = data, outcome


def fuzz(kind: str, seeds: Sequence[int], *, progress: bool = False) -> Findings:
    """Try one damaged file for each seed."""
    target = TARGETS[kind]
    wholes = target.seeds()
    files = ((f"{kind}-{seed}", mutant(wholes[seed % len(wholes)], seed, target.lying)) for seed in seeds)
    with _trials_in_forks():
        _warm_up(target, wholes)
        return _tried(Findings(kind), ((name, data, target) for name, data in files), len(seeds) if progress else 0)


def again() -> Findings:
    """Try each file of the corpus: what once broke something."""
    paths = sorted(CORPUS.iterdir())
    with _trials_in_forks():
        for name in sorted({path.name.partition("-")[0] for path in paths}):
            _warm_up(TARGETS[name], TARGETS[name].seeds()[:1])
        return _tried(Findings("corpus"), ((path.name, path.read_bytes(), _target_of(path)) for path in paths), 0)


@contextmanager
def _trials_in_forks() -> Iterator[None]:
    with patch.object(trial, "_in_new_process", trial_in_a_fork):
        yield


def _target_of(path: Path) -> Target:
    return TARGETS[path.name.partition("-")[0]]


def _warm_up(target: Target, wholes: Sequence[bytes]) -> None:
    """Import what the forked processes share, and see that the whole files are good."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole{target.suffix}"
        for whole in wholes:
            path.write_bytes(whole)
            target.use(path)


def _tried(found: Findings, files: Iterable[tuple[str, bytes, Target]], shown_of: int) -> Findings:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, data, target in files:
            path = Path(folder) / f"damaged{target.suffix}"
            path.write_bytes(data)
            outcome = outcome_of(
                lambda use=target.use, path=path: use(path), deadline_s=DEADLINE_S, most_bytes=MOST_BYTES
            )
            found.add(name, data, outcome)
            if shown_of:
                sys.stderr.write(f"\r{found.name} {found.counts.total()}/{shown_of} {dict(found.counts)}  ")
    found.seconds = time.monotonic() - begun
    return found
