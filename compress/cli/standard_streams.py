"""Standard input, output and error that a caller closed: held open on the null device."""

from __future__ import annotations

import os
import sys

_NAMES = ("stdin", "stdout", "stderr")


def hold_standard_streams() -> None:
    """Open the null device in place of every standard stream that is closed.

    Else the next file or socket takes its number, and what a library prints goes to some client.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number, name)


def _open_null(number: int, name: str) -> None:
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    os.set_inheritable(number, True)
    setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
