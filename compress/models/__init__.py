"""Architectures and their files: explicit names, layer tables, strict weights."""
