"""What the planner says of a recipe, said to someone who typed a verb: options instead of keys."""

from __future__ import annotations

import re

from compress.errors import RecipeError
from compress.prune.config import BUDGETS

_NO_DATA = "but the recipe has no data:"
_NO_TEACHER = "as its teacher, and no train stage above makes that"
_NO_INPUT = "as its input, and no stage above makes that"
_TWO_BUDGETS = "give one budget, found "


def for_verb(error: RecipeError, kind: str) -> RecipeError:
    """Return the error of a verb's recipe in the words of the command line.

    Args:
        error: what the loader or the planner raised.
        kind: of the verb's stage.
    """
    message, hint = error.message, error.hint.split("`imgc plan", 1)[0].strip()
    if _NO_DATA in message:
        message = message.replace(_NO_DATA, "and neither the run nor ./imgc.yaml names any")
        hint = "name them with --data DIR"
        hint += "; --scheme int8_static needs no more than --calibration DIR" if kind == "quantize" else ""
    elif _NO_TEACHER in message:
        hint = "name a teacher with --teacher STAGE|FILE"
    elif _NO_INPUT in message:
        hint = "name a model with --from STAGE|FILE" + (", or --arch and --weights" if kind == "quantize" else "")
    elif _TWO_BUDGETS in message:
        before, found, after = message.partition(_TWO_BUDGETS)
        message = before + found + _as_options(after.partition(" (allowed")[0])
        hint = f"give one of {_as_options(', '.join(budget for budget in BUDGETS if budget != 'like'))}"
    return RecipeError(message, hint=hint or f"see: imgc {kind} --help")


def _as_options(text: str) -> str:
    """Return the text with the names of budgets as one types them."""
    names = "|".join(sorted(BUDGETS, key=len, reverse=True))
    return re.sub(rf"\b({names})\b", lambda found: f"--{found[0].replace('_', '-')}", text)
