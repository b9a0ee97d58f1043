"""Tensors in and out: every way in gives the same array, every flaw is refused."""

from __future__ import annotations

import struct
from base64 import b64encode

import numpy as np
import pytest

from compress.core.outputs import shares
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.serve.errors import RequestError
from compress.serve.oip.schema import InferRequest
from compress.serve.oip.tensors import classes, join, max_containers, read_input, split, write_outputs

CHW = (3, 2, 4)
IMAGES_NCHW = np.random.default_rng(0).normal(size=(2, *CHW)).astype(np.float32)
LOGITS_NK = np.array([[1.5, -0.25, 3], [0, 0, -1]], np.float32)
LABELS = ("red", "green: dark", "blå")
SPEC = ModelSpec(arch="x", labels=LABELS, input_chw=(3, 32, 32), preprocess=Preprocess(resize_px=32, crop_px=32))


def request(outputs: list[dict] | None = None, binary_data_output: bool = False, **fields: object) -> InferRequest:
    tensor = {"name": "images", "datatype": "FP32", "shape": [2, *CHW], **fields}
    return InferRequest.model_validate(
        {
            "inputs": [tensor],
            "outputs": outputs or [],
            "parameters": {"binary_data_output": binary_data_output},
        }
    )


def images(count: int = 2, **fields: object) -> InferRequest:
    return request(**{"name": "image_bytes", "datatype": "BYTES", "shape": [count], **fields})


def sized(blob: bytes) -> dict:
    return {"binary_data_size": len(blob)}


def test_flat_nested_and_binary_give_the_same_array():
    blob = IMAGES_NCHW.astype("<f4").tobytes()
    for given in (
        read_input(request(data=IMAGES_NCHW.ravel().tolist()), b"", CHW),
        read_input(request(data=IMAGES_NCHW.tolist()), b"", CHW),
        read_input(request(parameters=sized(blob)), blob, CHW),
    ):
        assert given.dtype == np.float32
        np.testing.assert_array_equal(given, IMAGES_NCHW)


def test_whole_numbers_are_numbers():
    assert read_input(request(data=[1] * 48), b"", CHW).sum() == 48


def test_binary_and_base64_give_the_same_images():
    blob = struct.pack("<I", 3) + b"abc" + struct.pack("<I", 2) + b"\xff\xd8"
    assert read_input(images(parameters=sized(blob)), blob, CHW) == [b"abc", b"\xff\xd8"]
    texts = [b64encode(body).decode() for body in (b"abc", b"\xff\xd8")]
    assert read_input(images(data=texts, parameters={"content_type": "base64"}), b"", CHW) == [b"abc", b"\xff\xd8"]


BASE64 = {"content_type": "base64"}
NUMBERS = IMAGES_NCHW.ravel().tolist()
NESTED = IMAGES_NCHW.tolist()
REFUSED = {
    "no data": (request(), b"", "neither of data and binary_data_size"),
    "both": (request(data=NUMBERS, parameters=sized(b"abcd")), b"abcd", "both of data and binary_data_size"),
    "trailing bytes": (request(data=NUMBERS), b"x", "1 bytes follow the JSON, but input 'images' has no binary"),
    "size without bytes": (request(parameters={"binary_data_size": 192}), b"", "0 bytes follow"),
    "size too small": (request(parameters={"binary_data_size": 4}), b"abcde", "5 bytes follow"),
    "too few bytes": (request(parameters=sized(b"abcd")), b"abcd", "came as 4 bytes; allowed: 192"),
    "images as BYTES": (request(datatype="BYTES", data=NUMBERS), b"", "is BYTES; allowed: FP32"),
    "NHWC": (request(shape=[2, 2, 4, 3], data=NUMBERS), b"", "the shape [2, 2, 4, 3]; allowed: [N, 3, 2, 4]"),
    "no N": (request(shape=[3, 2, 4], data=NUMBERS), b"", "the shape [3, 2, 4]"),
    "no image": (request(shape=[0, *CHW], data=[]), b"", "with N of 1 to 64"),
    "negative N": (request(shape=[-2, *CHW], data=NUMBERS), b"", "with N of 1 to 64"),
    "65 images": (request(shape=[65, *CHW], data=[0] * 65 * 24), b"", "with N of 1 to 64"),
    "too few values": (request(data=NUMBERS[:-1]), b"", "has 47 values in data; allowed: 48"),
    "empty data": (request(data=[]), b"", "a list of 0"),
    "data of text": (request(data="0" * 48), b"", "asks for a list of 2"),
    "data of object": (request(data={"0": 1}), b"", "asks for a list of 2"),
    "ragged": (request(data=[NESTED[0], [*NESTED[1][:2], [[1.0] * 4, [1.0] * 3]]]), b"", "a list of 3"),
    "too deep": (request(data=[NESTED[0], [*NESTED[1][:2], [[1.0] * 4, [[1.0]] * 4]]]), b"", "holds [1.0]"),
    "not deep enough": (request(data=[NESTED[0], [1.0, 2.0, 3.0]]), b"", "has 1.0 where"),
    "mixed": (request(data=[*NUMBERS[:-1], [1.0]]), b"", "holds [1.0]; allowed: numbers"),
    "number as text": (request(data=[*NUMBERS[:-1], "1.0"]), b"", "holds '1.0'; allowed: numbers"),
    "boolean": (request(data=[*NUMBERS[:-1], True]), b"", "holds True; allowed: numbers"),
    "null": (request(data=[*NUMBERS[:-1], None]), b"", "holds None; allowed: numbers"),
    "beyond FP32": (request(data=[*NUMBERS[:-1], 1e39]), b"", "beyond FP32"),
    "infinite": (request(data=[*NUMBERS[:-1], float("inf")]), b"", "allowed: finite numbers"),
    "images as FP32": (images(datatype="FP32", data=["", ""]), b"", "is FP32; allowed: BYTES"),
    "images by columns": (images(shape=[2, 1], data=["", ""]), b"", "allowed: [N] with N of 1 to 64"),
    "65 encoded images": (images(65, data=["YQ=="] * 65, parameters=BASE64), b"", "with N of 1 to 64"),
    "texts": (images(data=["abc", "abc"]), b"", "Inference-Header-Content-Length"),
    "too few texts": (images(data=["YQ=="], parameters=BASE64), b"", "has a list of 1 where"),
    "no texts": (images(data=[1, 2], parameters=BASE64), b"", "element 0 of 'image_bytes' is 1; allowed: base64"),
    "no base64": (images(data=["YQ==", "Y Q="], parameters=BASE64), b"", "element 1 of 'image_bytes' is 'Y Q='"),
    "nor ASCII": (images(data=["YQ==", "é"], parameters=BASE64), b"", "element 1 of 'image_bytes'"),
    "empty text": (images(data=["YQ==", ""], parameters=BASE64), b"", "element 1 of 'image_bytes' is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_tensor_is_told_what_was_found(name):
    asked, blob, words = REFUSED[name]
    with pytest.raises(RequestError) as caught:
        read_input(asked, blob, CHW)
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
    assert words in caught.value.message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_binary_values_are_finite_too(value):
    images_NCHW = IMAGES_NCHW.copy()
    images_NCHW[1, 2, 1, 3] = value
    blob = images_NCHW.tobytes()
    with pytest.raises(RequestError, match="allowed: finite numbers"):
        read_input(request(parameters=sized(blob)), blob, CHW)


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "ends before element 0 of 2"),
        (b"\x01\x00\x00\x00a\x01\x00", "ends before element 1 of 2"),
        (b"\x01\x00\x00\x00a\x02\x00\x00\x00b", "element 1 of 'image_bytes' says it has 2 bytes; there are 1"),
        (b"\xff\xff\xff\xffa", "says it has 4294967295 bytes"),
        (b"\x01\x00\x00\x00a\x01\x00\x00\x00bcd", "2 bytes follow the last"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(blob, words):
    with pytest.raises(RequestError) as caught:
        split(blob, 2)
    assert words in caught.value.message


def test_what_is_joined_splits_again():
    assert split(join(LABELS), 3) == [label.encode() for label in LABELS]


def test_classes_are_in_order_and_of_equals_the_first_leads():
    assert classes(LOGITS_NK[0], 2, LABELS) == ["3.0:2:blå", "1.5:0:red"]
    assert classes(LOGITS_NK[1], 9, LABELS) == ["0.0:0:red", "0.0:1:green: dark", "-1.0:2:blå"]


def test_the_default_output_is_logits_in_json():
    outputs, blob = write_outputs(request(), (LOGITS_NK,), SPEC)
    assert outputs == [{"name": "logits", "shape": [2, 3], "datatype": "FP32", "data": LOGITS_NK.ravel().tolist()}]
    assert blob == b""


def test_outputs_follow_the_json_in_their_order():
    wanted = [
        {"name": "probabilities", "parameters": {"classification": 1}},
        {"name": "logits"},
    ]
    outputs, blob = write_outputs(request(wanted, binary_data_output=True), (LOGITS_NK,), SPEC)
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    assert [output["shape"] for output in outputs] == [[2, 1], [2, 3]]
    assert sum(sizes) == len(blob)
    assert [text.split(b":", 1)[1] for text in split(blob[: sizes[0]], 2)] == ["2:blå".encode(), b"0:red"]
    np.testing.assert_array_equal(np.frombuffer(blob[sizes[0] :], "<f4").reshape(2, 3), LOGITS_NK)


def test_an_output_may_say_otherwise_than_the_request():
    wanted = [{"name": "logits", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    outputs, blob = write_outputs(request(wanted, binary_data_output=True), (LOGITS_NK,), SPEC)
    assert ("data" in outputs[0], "parameters" in outputs[0]) == (True, False)
    assert (outputs[1]["parameters"], "data" in outputs[1]) == ({"binary_data_size": 24}, False)
    assert blob == shares(LOGITS_NK, "logits").astype(np.float32).tobytes()


def test_the_largest_nested_tensor_has_no_more_lists_than_are_allowed():
    lists = 64 * (1 + 3 * (1 + 2)) + 1
    assert lists < max_containers(CHW) < lists + 100
