"""What a comparison of training loops found, and its block of `docs/results/data/training.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

import numpy as np

from compress.engine.options import FitOptions
from compress.runtime.evaluate import mcnemar_p, wilson_ci95_pct
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.training import LOOPS

ARCH, INPUT_PX = "tf_mobilenetv3_small_100", 160
PLAIN, CAREFUL, OURS, BARE = "plain", "careful", "ours", "bare"
_TITLES = {PLAIN: "plain loop", CAREFUL: "careful plain loop", OURS: "imgc", BARE: "bare model step"}
_COMPARED = {PLAIN: "of the plain loop", CAREFUL: "of the careful loop", BARE: "of the bare step"}
_CLOCKS = {"clock": "images/s", "processor": "images/processor s"}
COLUMNS = (
    Column(key="loop", title="loop", kind="text"),
    *(
        column
        for clock, title in _CLOCKS.items()
        for column in (
            Column(key=clock, title=title),
            *(Column(key=f"{clock}_of_{other}", title=of, digits=2) for other, of in _COMPARED.items()),
        )
    ),
    Column(key="loss", title="last loss", digits=3),
    Column(key="top1_pct", title="test top-1 %", digits=2),
    Column(key="top1_ci95_pct", title="95 % interval", digits=1),
)


@dataclass
class Speeds:
    """Images a second of each loop, one value a round: by the clock, and by processor time, which is steadier."""

    clock: dict[str, list[float]] = field(default_factory=lambda: {loop: [] for loop in _TITLES})
    processor: dict[str, list[float]] = field(default_factory=lambda: {loop: [] for loop in _TITLES})

    def add(self, loop: str, images: float, seconds: float, processor_s: float) -> None:
        """Take a round."""
        self.clock[loop].append(images / seconds)
        self.processor[loop].append(images / processor_s)


@dataclass(frozen=True)
class TrainingResults:
    """What a comparison found.

    Attributes:
        speeds: of all loops.
        first_decoding_s: what ours does once, before its first epoch.
        losses: loop -> its last training loss.
        right_N: loop -> which of the test images it answers rightly.
        threads: of torch, in each of the loops.
    """

    speeds: Speeds
    first_decoding_s: float
    losses: dict[str, float]
    right_N: dict[str, np.ndarray]
    threads: int


def only_right(right_a_N: np.ndarray, right_b_N: np.ndarray) -> tuple[int, int]:
    """Return how often only a and only b is right."""
    return int((right_a_N & ~right_b_N).sum()), int((~right_a_N & right_b_N).sum())


def training_block(found: TrainingResults, options: FitOptions, measured: Measured) -> Block:
    """Return the table: medians over epochs with the least and the greatest, ratios within a round."""
    facts: dict[str, Cell] = {"first_decoding_s": found.first_decoding_s}
    for loop in LOOPS:
        theirs, ours = only_right(found.right_N[loop], found.right_N[OURS])
        facts |= {f"only_{loop}": theirs, f"only_ours_beside_{loop}": ours}
        facts[f"mcnemar_p_{loop}"] = mcnemar_p(theirs, ours)
    return Block(
        key="loops",
        title="Training loops",
        n={"test images": len(found.right_N[OURS])},
        setting=(
            f"{ARCH}, {INPUT_PX} px, batch {options.batch_size}, {options.epochs} epochs by turns, {found.threads} "
            "threads; medians over epochs, least and greatest in brackets"
        ),
        measured=measured,
        columns=COLUMNS,
        rows=tuple(_row(loop, found) for loop in _TITLES),
        facts=facts,
    )


def _row(loop: str, found: TrainingResults) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"loop": _TITLES[loop], "loss": found.losses.get(loop)}
    for clock in _CLOCKS:
        speeds: dict[str, list[float]] = getattr(found.speeds, clock)
        cells[clock] = median(speeds[loop])
        cells |= {f"{clock}_of_{other}": _ratio(speeds[loop], speeds[other]) for other in _COMPARED}
    if loop in found.right_N:
        right_N = found.right_N[loop]
        cells["top1_pct"] = 100 * float(right_N.mean())
        cells["top1_ci95_pct"] = wilson_ci95_pct(int(right_N.sum()), len(right_N))
    return cells


def _ratio(own: list[float], other: list[float]) -> tuple[float, float, float]:
    ratios = [a / b for a, b in zip(own, other, strict=True)]
    return median(ratios), min(ratios), max(ratios)
