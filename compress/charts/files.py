"""Charts that a stage writes beside its model. Light: what draws is imported when a chart is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from compress.core.stage import Reporter
from compress.core.storage import write_text
from compress.package import install_command


def write_bars(path: Path, title: str, rows: Sequence[tuple[str, float | None, str]], reporter: Reporter) -> None:
    """Write a chart of bars, or say that nothing here can draw it; see `layer_costs.bars`."""
    if _can_draw(path, reporter):
        from compress.charts.layer_costs import FILE, bars, to_svg

        write_text(path, to_svg(bars(rows, FILE), FILE, title))


def write_heat_map(
    path: Path, title: str, names: Sequence[str], cuts: Sequence[tuple[str, float, float]], reporter: Reporter
) -> None:
    """Write a heat map, or say that nothing here can draw it; see `layer_costs.heat_map`."""
    if _can_draw(path, reporter):
        from compress.charts.layer_costs import FILE, heat_map, to_svg

        write_text(path, to_svg(heat_map(names, cuts, FILE), FILE, title))


def _can_draw(path: Path, reporter: Reporter) -> bool:
    missing = [module for module in ("altair", "vl_convert") if find_spec(module) is None]
    if missing:
        reporter.info(f"{path.name} is not drawn: `{install_command('report')}` brings what draws it")
    return not missing
