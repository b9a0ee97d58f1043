"""README's serving tables: `python -m evals.serve.table README.md RUN IMAGES [--only load,steady] ...`.

Measures our server and the baselines part by part; what is found is kept in a JSON file, so that parts measured one by
one make one table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compress.core.storage import write_text
from compress.errors import ImgcError, UsageError
from compress.runtime.host import host
from evals.results_table import replace_block
from evals.serve.calm import measure_large, measure_start, measure_steady
from evals.serve.endure import measure_restarts, measure_soak
from evals.serve.found import PARTS, read_found, write_found
from evals.serve.images import make_images
from evals.serve.markdown import BEGIN, END, serve_markdown
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
    parser.add_argument("readme", type=Path)
    parser.add_argument("run", type=Path, help="a run with an int8 ONNX and a TFLite file")
    parser.add_argument("photos", type=Path, help="a folder of images")
    parser.add_argument("--baselines", type=Path, default=Path(".venv-baselines"), help="their virtual environment")
    parser.add_argument("--json", type=Path, default=Path("runs/serve.json"), help="where all that is found is kept")
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
    """Measure the parts asked for, keep each as soon as it is found, write README's block."""
    given = parse(words)
    found = read_found(given.json)
    numbers = {name: value for name in _NUMBERS if (value := getattr(given, name)) is not None}
    onnx, tflite = newest(given.run, ".onnx"), newest(given.run, ".tflite")
    with tempfile.TemporaryDirectory() as folder:
        images = make_images(given.photos, Path(folder))
        setting = Setting(onnx, tflite, images, given.baselines, **numbers)
        for part in given.only:
            result = _MEASURES[part](setting, _say)
            found = found.model_copy(
                update={part: result, "host": host(), "baselines": baseline_versions(given.baselines)}
            )
            write_found(given.json, found)
    block = serve_markdown(found)
    sys.stdout.write(block + "\n")
    write_text(given.readme, replace_block(given.readme.read_text(encoding="utf-8"), block, BEGIN, END))


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
