"""Writes the reference pages of `docs/reference/` from the types and the command line. Not packaged: `make docs`."""
