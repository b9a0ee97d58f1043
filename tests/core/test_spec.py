import pytest
from pydantic import ValidationError

from compress.core.formats import Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import LayerShape, ModelSpec

SPEC = ModelSpec(
    arch="tiny",
    labels=("a", "b"),
    input_chw=(3, 96, 96),
    preprocess=Preprocess(resize_px=96, crop_px=96),
    precision=Precision.INT8,
    layers=(LayerShape(name="stem.0", kind="conv", in_features=3, out_features=16),),
)


def test_it_survives_json():
    assert ModelSpec.model_validate_json(SPEC.model_dump_json()) == SPEC
    assert SPEC.num_classes == 2


def test_an_unknown_key_or_version_is_refused():
    data = SPEC.model_dump(mode="json")
    with pytest.raises(ValidationError):
        ModelSpec.model_validate(data | {"extra": 1})
    with pytest.raises(ValidationError):
        ModelSpec.model_validate(data | {"schema_version": 2})
