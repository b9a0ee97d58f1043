"""What a prune stage was asked for, and what it wrote beside its model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from compress.cli.local_recipe import LOCAL_RECIPE
from compress.cli.output import echo
from compress.cli.quantized import SENSITIVITY_FILES
from compress.cli.run_files import short_path
from compress.prune.config import BUDGETS, DEFAULT_KEEP, PruneConfig


def budget_text(config: PruneConfig, given: Collection[str]) -> str:
    """Return the budget and where it comes from, such as "keep 0.7, the default".

    Args:
        config: of the stage.
        given: the options that the command line gave it.
    """
    name = next((budget for budget in BUDGETS if getattr(config, budget) is not None), None)
    if name is None:
        return f"keep {DEFAULT_KEEP:g}, the default"
    value = getattr(config, name)
    text = f"{name} {value:g}" if isinstance(value, float) else f"the MACs of {value}"
    return f"{text}, as asked for" if name in given else f"{text}, from {LOCAL_RECIPE}"


def show_pruned(config: PruneConfig, given: Collection[str], folder: Path) -> None:
    """Print the budget and, where it was measured, where the sensitivity lies; of a sibling nothing."""
    if config.like is not None and "like" not in given:
        return
    echo(f"{config.id}: budget {budget_text(config, given)}")
    written = [folder / name for name in SENSITIVITY_FILES if (folder / name).is_file()]
    if written:
        echo(f"{config.id}: sensitivity in {' and '.join(str(short_path(path)) for path in written)}")
