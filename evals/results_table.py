"""README's results, written from the runs themselves: `python -m evals.results_table README.md runs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from compress.core.storage import write_text
from compress.errors import ImgcError, StageError, UsageError
from compress.pipeline.lock import LOCK_NAME
from compress.pipeline.run_dir import RESOLVED_NAME
from compress.report.json_report import Report, build_report
from compress.report.table import COLUMNS, TEXT_COLUMNS, host_text, markdown_table, setting_text, table_rows

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"


def results_markdown(run_dirs: Sequence[Path]) -> str:
    """Return the generated block: for each run what was measured, where, and the table; markers included.

    Raises:
        StageError: a folder holds no sealed stage, or was never benchmarked.
    """
    parts = ["_Written by `make results` from the runs; no number is typed by hand._"]
    for run_dir in run_dirs:
        report = build_report(run_dir)
        setting = setting_text(report)
        if not setting:
            raise StageError(f"{run_dir}: has no benchmark to show", hint="`imgc benchmark` measures the run")
        parts += [
            f"**`{report.run}`**: {setting}, seed {_seed(run_dir)}.{_gates(report)} Machine: {host_text(report.host)}.",
            markdown_table(COLUMNS, table_rows(report), TEXT_COLUMNS),
        ]
    return "\n\n".join([BEGIN, *parts, END])


def replace_block(readme: str, block: str, begin: str, end: str) -> str:
    """Return README's text with everything from the first marker to the last replaced by the block.

    Raises:
        UsageError: the text has not one pair of markers, in this order.
    """
    if readme.count(begin) != 1 or readme.count(end) != 1 or readme.index(begin) > readme.index(end):
        raise UsageError(f"the text needs one '{begin}' and after it one '{end}'")
    return readme[: readme.index(begin)] + block + readme[readme.index(end) + len(end) :]


def benchmarked_runs(runs_dir: Path) -> list[Path]:
    """Return the folders of all runs that were benchmarked, by name.

    Raises:
        UsageError: there is none.
    """
    folders = sorted(path.parent for path in runs_dir.glob(f"*/{LOCK_NAME}") if not path.parent.is_symlink())
    found = [folder for folder in folders if setting_text(build_report(folder))]
    if not found:
        raise UsageError(f"{runs_dir}: holds no benchmarked run", hint="`make demo` makes one")
    return found


def _seed(run_dir: Path) -> int:
    return int(yaml.safe_load((run_dir / RESOLVED_NAME).read_text(encoding="utf-8"))["seed"])


def _gates(report: Report) -> str:
    if not report.gates:
        return ""
    held = sum(gate.passed for gate in report.gates)
    return f" {held} of {len(report.gates)} gates hold."


def _main(readme: Path, runs_dir: Path) -> None:
    block = results_markdown(benchmarked_runs(runs_dir))
    write_text(readme, replace_block(readme.read_text(encoding="utf-8"), block, BEGIN, END))


if __name__ == "__main__":
    try:
        _main(Path(sys.argv[1]), Path(sys.argv[2]))
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
