"""Text to typed: read a recipe strictly, say where it is wrong, and plan its stages. Light: no backend is imported."""
