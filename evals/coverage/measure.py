"""All architectures through both exporters: `python -m evals.coverage.measure [NAME...]`, for docs/results/coverage.

Each file is a row of build/coverage.jsonl as soon as it is measured; a second call goes on from there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from compress.core.cores import usable_cores
from evals.coverage.architectures import EXPORTERS, NAMES
from evals.coverage.table import table
from evals.pages.pages import publish
from evals.results.provenance import measured_now

ROWS = Path("build/coverage.jsonl")
_DEADLINE_S = 600.0


def measured(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row for each architecture and exporter, those that were measured before first."""
    known = {(row["name"], row["exporter"]): row for row in _rows()}
    wanted = list(product(names, EXPORTERS))
    yield from (known[one] for one in wanted if one in known)
    ROWS.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(usable_cores()) as pool, ROWS.open("a") as file:
        for row in pool.map(lambda one: _row(*one), [one for one in wanted if one not in known]):
            file.write(json.dumps(row) + "\n")
            file.flush()
            yield row


def _rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def _row(name: str, exporter: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "evals.coverage.one", name, exporter]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False, env=_one_thread()
        )
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        why = f"past {_DEADLINE_S:g} s"
    except (IndexError, ValueError):
        why = f"TRACEBACK, exit {done.returncode}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:200]}"
    nothing = dict.fromkeys(("float", "onnx_int8", "tflite_int8"), False)
    return {"name": name, "exporter": exporter, **nothing, "stopped": why}


def _one_thread() -> dict[str, str]:
    import os

    return {**os.environ, "OMP_NUM_THREADS": "1"}


def main() -> None:
    """Measure what the command line names, and say what comes of it; all of them make the page."""
    now, rows = measured_now(), []
    for row in measured(sys.argv[1:] or NAMES):
        rows.append(row)
        marks = "".join("+" if row[key] else "-" for key in ("float", "onnx_int8", "tflite_int8"))
        sys.stdout.write(f"{marks} {row['name']} {row['exporter']} {row['stopped'][:300]}\n")
        sys.stdout.flush()
    if not sys.argv[1:]:
        publish("coverage", (table(rows, now),))


if __name__ == "__main__":
    main()
