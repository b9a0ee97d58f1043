"""The nouns every room shares. Light: pydantic and the standard library, never a backend."""
