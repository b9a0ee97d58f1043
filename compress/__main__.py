"""`python -m compress` is `imgc`."""

from compress.cli.main import app

if __name__ == "__main__":
    app()
