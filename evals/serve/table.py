"""The serving tables: `python -m evals.serve.table RUN IMAGES [--only load,steady] ...` writes docs/results/serving.

Measures our server and the baselines part by part; each part is a block of its own, with its date and commit, so parts
may be measured one by one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.errors import ImgcError, UsageError
from evals.pages.pages import DOCS, publish
from evals.results.provenance import measured_now
from evals.serve.blocks import BLOCKS, PARTS, setting_text
from evals.serve.calm import measure_large, measure_start, measure_steady
from evals.serve.endure import measure_restarts, measure_soak
from evals.serve.images import make_images
from evals.serve.overload import measure_overload
from evals.serve.rounds import Setting, measure_load
from evals.serve.targets import baseline_versions

_MEASURES: dict[str, Callable[[Setting, Callable[[str], None]], Any]] = {
    "load": measure_load,
    "overload": measure_overload,
    "steady": measure_steady,
    "large": measure_large,
    "start": measure_start,
    "soak": measure_soak,
    "restarts": measure_restarts,
}
_NUMBERS = ("rounds", "seconds", "open_s", "steady_s", "idle_s", "soak", "restarts")


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments; numbers that are not given are None."""
    parser = argparse.ArgumentParser(prog="serve_table", description=__doc__)
    parser.add_argument("run", type=Path, help="a run with an int8 ONNX and a TFLite file")
    parser.add_argument("photos", type=Path, help="a folder of images")
    parser.add_argument("--baselines", type=Path, default=Path(".venv-baselines"), help="their virtual environment")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the pages of results lie")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"of {','.join(PARTS)}")
    for name in _NUMBERS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    return parser.parse_args(words)


def newest(run: Path, suffix: str) -> Path:
    """Return the file of this suffix of a run's last stage that made one.

    Raises:
        UsageError: there is none.
    """
    found = sorted(run.glob(f"[0-9][0-9]-*/model{suffix}"))
    if not found:
        raise UsageError(f"{run}: holds no model{suffix}", hint="`make results-int8` makes the runs")
    return found[-1]


def main(words: list[str]) -> None:
    """Measure the parts asked for; write each into docs/results/ as soon as it is found."""
    given = parse(words)
    numbers = {name: value for name in _NUMBERS if (value := getattr(given, name)) is not None}
    onnx, tflite = newest(given.run, ".onnx"), newest(given.run, ".tflite")
    common = setting_text(baseline_versions(given.baselines))
    with tempfile.TemporaryDirectory() as folder:
        images = make_images(given.photos, Path(folder))
        setting = Setting(onnx, tflite, images, given.baselines, **numbers)
        for part in given.only:
            measured = measured_now()
            found = _MEASURES[part](setting, _say)
            publish("serving", (BLOCKS[part](found, common, measured),), given.docs)


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(text.split(","))
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown part {unknown[0]!r} (allowed: {', '.join(PARTS)})")
    return parts


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
