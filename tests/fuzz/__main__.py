"""`python -m tests.fuzz`: try damaged files and requests; findings are written as files, and make the exit code 1."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.rounds import Findings, again, fuzz
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz what the command line names, after what was found before, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--count", type=int, default=1000, help="damaged files of each kind; requests a fifth")
    parser.add_argument("--seed", type=int, default=0, help="of the first file; the next ones follow")
    parser.add_argument("--found", type=Path, default=Path("build/fuzz"), help="folder for the findings")
    asked = parser.parse_args()
    if unknown := set(asked.kinds) - set(TARGETS):
        parser.error(f"no such kind: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    bad = _tell(again(), asked.found)
    for name in asked.kinds or TARGETS:
        count = max(1, asked.count // TARGETS[name].weight)
        found = fuzz(name, range(asked.seed, asked.seed + count), progress=sys.stderr.isatty())
        bad += _tell(found, asked.found)
    return 1 if bad else 0


def _tell(found: Findings, folder: Path) -> int:
    """Print and keep the findings; return how many there are."""
    sys.stdout.write(f"{found}\n")
    for name, (data, outcome) in found.bad.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text(outcome.said)
        sys.stdout.write(f"  {folder / name}: {outcome.kind}: {outcome.said.strip().splitlines()[-1]}\n")
    sys.stdout.flush()
    return len(found.bad)


if __name__ == "__main__":
    raise SystemExit(main())
