"""The rows of `rates` as a block of docs/results/training."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from statistics import mean, median

from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.training import RATES

_RATES = (None, 2e-3, 1e-3, 5e-4, 2e-4)
_BySeed = dict[float | None, dict[int, float]]
COLUMNS = (
    Column(key="images", title="images", kind="text"),
    Column(key="n_train", title="training images", kind="count"),
    Column(key="arch", title="network", kind="text"),
    Column(key="epochs", title="epochs", kind="count"),
    *(
        Column(key=f"lr {lr}", title="by the number of steps" if lr is None else f"{lr:g}", kind="text")
        for lr in _RATES
    ),
)


def rates_block(lines: Iterable[str], measured: Measured) -> Block:
    """Return the table: for each set, network and number of epochs the accuracy that each rate leads to."""
    found: dict[tuple[str, int, str, int], _BySeed] = defaultdict(lambda: defaultdict(dict))
    for line in sorted(set(lines)):
        told, top1 = line.rstrip("\n").split("\t")
        one = json.loads(told)
        found[one["images"], one["n_train"], one["arch"], one["epochs"]][one["lr"]][one["seed"]] = float(top1)
    return Block(
        key=RATES,
        title="Learning rates of fine-tuning",
        n={"trainings": sum(len(values) for by_rate in found.values() for values in by_rate.values())},
        setting=(
            "best validation top-1, percent, mean over seeds with their number in brackets; networks start from "
            "ImageNet weights, 160 px, batch 32; n of each validation set: clothing 341, grocery 296; the rule was "
            "chosen on clothing with seed 0"
        ),
        measured=measured,
        columns=COLUMNS,
        rows=tuple(_row(key, by_rate) for key, by_rate in sorted(found.items())),
        facts=_facts(found.values()),
    )


def _row(key: tuple[str, int, str, int], by_rate: _BySeed) -> dict[str, Cell]:
    images, n_train, arch, epochs = key
    rates = {
        f"lr {lr}": f"{mean(by_rate[lr].values()):.1f} ({len(by_rate[lr])})" if lr in by_rate else "-" for lr in _RATES
    }
    return {"images": images, "n_train": n_train, "arch": arch, "epochs": epochs, **rates}


def _facts(settings: Iterable[_BySeed]) -> dict[str, Cell]:
    """Return what the rule gains over 2e-3, of each setting the mean over the seeds that both were tried with."""
    gains = []
    for one in settings:
        both = one.get(None, {}).keys() & one.get(2e-3, {}).keys()
        gains += [mean(one[None][seed] - one[2e-3][seed] for seed in both)] if both else []
    return {"settings": len(gains), "gain_pp": median(gains), "worse": sum(gain < 0 for gain in gains)}
