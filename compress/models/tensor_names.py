"""The names of the tensors in a weights file, without what training put before them. Light: no torch.

torch.compile writes `_orig_mod.`, data parallel training `module.`, and a Lightning module the name of its member,
such as `model.`; they stack in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_WRAPPERS = ("module", "_orig_mod")
_MEMBERS = ("model", "net", "network", "backbone", "classifier_model", "student")  # of a module that trains another


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Return name -> name without the wrappers before it, and without a member's name that all of them begin with."""
    found = {name: _without_wrappers(name) for name in names}
    while found and (shared := _shared_member(found.values())):
        found = {name: _without_wrappers(rest.removeprefix(f"{shared}.")) for name, rest in found.items()}
    return found


def prefix_of(names: Iterable[str], wanted: Iterable[str]) -> str:
    """Return the prefix behind which most of the wanted names stand, "" where none is better than it."""
    given, own = set(names), list(wanted)
    first = own[0] if own else ""
    prefixes = {name.removesuffix(first) for name in given if name.endswith(f".{first}")}
    return max(["", *sorted(prefixes)], key=lambda prefix: sum(f"{prefix}{name}" in given for name in own))


def below(tensors: Mapping[str, object], prefix: str) -> dict[str, str]:
    """Return name behind a prefix -> whole name, of those that have it."""
    return {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}


def _without_wrappers(name: str) -> str:
    first, dot, rest = name.partition(".")
    while dot and first in _WRAPPERS:
        name = rest
        first, dot, rest = name.partition(".")
    return name


def _shared_member(names: Iterable[str]) -> str | None:
    firsts = {name.partition(".")[:2] for name in names}
    return next((first for first, dot in firsts if dot and first in _MEMBERS), None) if len(firsts) == 1 else None
