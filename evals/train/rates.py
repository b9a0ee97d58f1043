"""Learning rates on image sets of several sizes: `python -m evals.train.rates IMAGES.. --weights FILE..`.

Each training is a line of build/rates.jsonl as soon as it is done; a second call goes on from there. A set has a part
of the training images and all validation images, by which the rates are compared; no test image is looked at.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.recipe.epochs import epochs_for
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.train.rates_block import rates_block

ROWS = Path("build/rates.jsonl")
RATES = (None, 2e-4, 5e-4, 1e-3, 2e-3)  # None: as the train stage chooses
SHORT = 5  # epochs of someone who only tries


@dataclass(frozen=True)
class Trial:
    """One training: the set's name, its number of training images, architecture, epochs, seed and rate."""

    images: str
    n_train: int
    arch: str
    epochs: int
    seed: int
    lr: float | None


def trials(images: str, sizes: list[int], arch: str, seeds: range, rates: list[float | None]) -> Iterator[Trial]:
    """Yield the trainings of one set, all rates of a size after each other."""
    for seed in seeds:
        for size in sizes:
            for epochs in sorted({SHORT, epochs_for(size, fresh=False)}):
                for lr in rates:
                    yield Trial(images, size, arch, epochs, seed, lr)


def subset(source: Path, folder: Path, size: int, seed: int) -> Path:
    """Return a data set of links: `size` training images, spread over the classes as they are, and the val images."""
    images = sorted(path for path in (source / "train").rglob("*") if path.is_file())
    random.Random(seed).shuffle(images)
    by_class: dict[str, list[Path]] = {}
    for path in images:
        by_class.setdefault(path.parent.name, []).append(path)
    chosen = [path for group in by_class.values() for path in group[: max(2, round(size * len(group) / len(images)))]]
    for path in (*chosen, *(one for one in (source / "val").rglob("*") if one.is_file())):
        link = folder / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return folder


def best_top1_pct(trial: Trial, source: Path, weights: Path) -> float:
    """Train and return the best validation accuracy, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        data = subset(source, Path(folder) / "set", trial.n_train, trial.seed)
        command = [sys.executable, "-m", "compress", "-q", "train", "--data", str(data), "--json"]
        command += ["--arch", trial.arch, "--weights", str(weights), "--input-px", "160", "--seed", str(trial.seed)]
        command += ["--epochs", str(trial.epochs), "--set", "data.split.test=0"]
        command += [] if trial.lr is None else ["--lr", str(trial.lr)]
        command += ["--runs-dir", f"{folder}/runs"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own command
        return float(json.loads(done.stdout)["stages"][0]["metrics"]["top1_pct"])


def main() -> None:
    """Train what is not known yet and print a line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="*", default=RATES[1:], help="beside the stage's own")
    parser.add_argument("--publish", action="store_true", help="write what is known into docs/results/training")
    given = parser.parse_args()
    ROWS.parent.mkdir(exist_ok=True)
    known = {line.partition("\t")[0] for line in ROWS.read_text().splitlines()} if ROWS.exists() else set()
    for trial in trials(given.images.name, given.sizes, given.arch, range(given.seeds), [None, *given.rates]):
        key = json.dumps(asdict(trial))
        if key in known:
            continue
        line = f"{key}\t{best_top1_pct(trial, given.images, given.weights):.2f}\n"
        with ROWS.open("a") as file:
            file.write(line)
        sys.stdout.write(line)
        sys.stdout.flush()
    if given.publish:
        publish("training", (rates_block(ROWS.read_text().splitlines(), measured_now()),))


if __name__ == "__main__":
    main()
