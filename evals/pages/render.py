"""Write the pages of `docs/results/` from their JSON, measuring nothing: `python -m evals.pages.render`."""

from __future__ import annotations

import sys

from compress.errors import ImgcError
from evals.pages.pages import render_all

if __name__ == "__main__":
    try:
        for written in render_all():
            sys.stdout.write(f"{written}\n")
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
