"""`imgc`: from images to a small, fast, trustworthy image classifier."""

from compress import package

__all__ = ["__version__"]

__version__ = package.VERSION
