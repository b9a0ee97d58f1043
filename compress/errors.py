"""Every failure a user can meet: an exit code, a message that says what was found, a hint that says what to try.

Exit codes: 0 done, 2 recipe, usage or data, 3 backend missing, 4 stage failed, 5 gate failed.
"""

from __future__ import annotations

from compress.package import install_command


class ImgcError(Exception):
    """Base of all expected failures. The command line prints `message` and `hint`, never a traceback."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Store the message; `hint` is the next thing to try, empty when there is nothing useful to say."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ImgcError):
    """A command line or an argument that cannot be carried out."""

    exit_code = 2


class RecipeError(ImgcError):
    """A recipe that cannot be read or planned; the message begins with `file:line:column:` where it is known."""

    exit_code = 2


class DataError(ImgcError):
    """Images, labels or manifests that cannot be used; the message lists the files."""

    exit_code = 2


class BackendMissingError(ImgcError):
    """A backend that this environment lacks; the hint names the extra to install."""

    exit_code = 3


class StageError(ImgcError):
    """A stage that started and could not finish."""

    exit_code = 4


class ModelFileError(StageError):
    """A model file that is damaged, of an unknown format, or does not carry what we need."""


class UndescribedModelError(ModelFileError):
    """A model file of another tool, which does not say how its images are prepared."""


class CheckError(StageError):
    """An exported model that breaks a check; the message names the node, what was found and what is allowed."""


class GateError(ImgcError):
    """A gate of the recipe that does not hold; the message gives the numbers."""

    exit_code = 5


def missing_backend(module: str, extra: str) -> BackendMissingError:
    """Return the error for an import that failed because an extra is not installed."""
    return BackendMissingError(
        f"this command needs the Python module '{module}', which is not installed",
        hint=install_command(extra),
    )
