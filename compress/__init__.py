"""`imgc`: from images to a small, fast, trustworthy image classifier."""

__version__ = "0.1.0"
