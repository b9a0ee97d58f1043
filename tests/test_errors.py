import pytest

from compress import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.RecipeError, 2),
        (errors.DataError, 2),
        (errors.BackendMissingError, 3),
        (errors.StageError, 4),
        (errors.ModelFileError, 4),
        (errors.CheckError, 4),
        (errors.GateError, 5),
    ],
)
def test_exit_codes_are_those_of_the_documentation(kind, code):
    error = kind("what was found", hint="what to try")
    assert (error.exit_code, error.message, error.hint) == (code, "what was found", "what to try")


def test_a_program_is_told_a_code_and_facts():
    error = errors.RecipeError("x", code="no-data", facts={"stage": "prune"})
    assert (error.code, error.facts) == ("no-data", {"stage": "prune"})
    assert (errors.DataError("x").code, errors.DataError("x").facts) == ("", {})


def test_a_missing_backend_names_the_extra():
    error = errors.missing_backend("tensorflow", "tensorflow")
    assert "'tensorflow'" in error.message
    assert error.hint == "pip install 'imgc-toolkit[tensorflow]'"
