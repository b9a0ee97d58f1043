"""Damaged and hostile files, made by a seed: `make fuzz` runs thousands, `make test` a few and all that were found."""
