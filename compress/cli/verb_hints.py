"""What the planner says of a recipe, said to someone who typed a verb: options instead of keys."""

from __future__ import annotations

from typing import Any

from compress.errors import RecipeError


def for_verb(error: RecipeError, kind: str) -> RecipeError:
    """Return the error of a verb's recipe in the words of the command line, by its code and facts.

    Args:
        error: what the loader or the planner raised.
        kind: of the verb's stage.
    """
    message, hint = error.message, error.hint
    if words := _WORDS.get(error.code):
        message, hint = words(message, error.facts)
    elif "nearest" in error.facts:  # its hint is about a recipe's file, which a verb has not
        hint = f"did you mean '{error.facts['nearest']}'?" if error.facts["nearest"] else ""
    return RecipeError(message, hint=hint or f"see: imgc {kind} --help", code=error.code, facts=error.facts)


def _no_data(message: str, facts: dict[str, Any]) -> tuple[str, str]:
    hint = "name them with --data DIR"
    if own := facts["instead"]:
        hint += f"; {_option(own.key)} {own.value} needs no more than {_option(own.option)} DIR"
    return f"{facts['at']}: stage '{facts['stage']}' reads images, and neither the run nor ./imgc.yaml names any", hint


def _no_input(message: str, facts: dict[str, Any]) -> tuple[str, str]:
    hint = "name a model with --from STAGE|FILE"
    return message, hint + (f", or {' and '.join(map(_option, facts['instead']))}" if facts["instead"] else "")


def _no_teacher(message: str, facts: dict[str, Any]) -> tuple[str, str]:
    return message, "name a teacher with --teacher STAGE|FILE"


def _two_budgets(message: str, facts: dict[str, Any]) -> tuple[str, str]:
    found = " and ".join(map(_option, facts["found"]))
    allowed = ", ".join(_option(key) for key in facts["allowed"] if key != "like")  # which is left to recipes
    return f"{facts['at']}: {facts['place']}: give one budget, found {found}", f"give one of {allowed}"


_WORDS = {"no-data": _no_data, "no-input": _no_input, "no-teacher": _no_teacher, "two-budgets": _two_budgets}


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"
