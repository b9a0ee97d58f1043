"""Every failure a user can meet: an exit code, a message that says what was found, a hint that says what to try.

Exit codes: 0 done, 2 recipe, usage or data, 3 backend missing, 4 stage failed, 5 gate failed.
"""

from __future__ import annotations

from collections.abc import Mapping

from compress.package import install_command


class ImgcError(Exception):
    """Base of all expected failures. The command line prints `message` and `hint`, never a traceback.

    Attributes:
        message: what was found and what is allowed, for a person.
        hint: the next thing to try, "" when there is nothing useful to say.
        code: what kind of failure it is, for a program: short, in kebab case, such as `no-data`; "" where nobody asks.
        facts: what the message is made of, for a program: names to plain values.
    """

    exit_code = 4

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", facts: Mapping[str, object] | None = None
    ) -> None:
        """Store what a person and what a program is told."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.facts = dict(facts or {})


class CodedValueError(ValueError):
    """What a validator of a config raises where a program may want to know which fault it is; see `ImgcError`."""

    def __init__(self, message: str, *, code: str, facts: Mapping[str, object]) -> None:
        """Store what a person and what a program is told."""
        super().__init__(message)
        self.code = code
        self.facts = dict(facts)


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
