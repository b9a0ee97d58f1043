import pytest
from pydantic import ValidationError

from compress.core.stage import SilentReporter, StageConfig


class Toy(StageConfig):
    kind: str = "toy"


@pytest.mark.parametrize("bad", ["../up", "a/b", "A", "-x", "a" * 49, "a b"])
def test_an_id_is_safe_as_a_folder_name(bad):
    with pytest.raises(ValidationError):
        Toy(id=bad)


def test_from_is_written_without_underscore_and_an_unknown_key_is_refused():
    assert Toy.model_validate({"kind": "toy", "from": "train"}).from_ == "train"
    with pytest.raises(ValidationError):
        Toy.model_validate({"kind": "toy", "form": "train"})


def test_a_stage_without_input_has_no_references():
    assert Toy().references() == {}


def test_the_silent_reporter_is_a_reporter():
    reporter = SilentReporter()
    reporter.info("x")
    reporter.warn("x")
    with reporter.progress("x", 3) as advance:
        advance()
        advance(2, "note")
