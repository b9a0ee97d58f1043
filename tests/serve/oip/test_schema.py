"""Requests as JSON: what is read, what is refused and in which words."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from compress.serve.errors import RequestError
from compress.serve.oip import schema
from compress.serve.oip.schema import IndexRequest, InferRequest, excerpt, read_message, refusal

GOOD = {"inputs": [{"name": "images", "shape": [1, 3, 2, 2], "datatype": "FP32", "data": [0.5] * 12}]}


def read(text: bytes | dict, max_containers: int = 100) -> InferRequest:
    return read_message(text if isinstance(text, bytes) else json.dumps(text).encode(), InferRequest, max_containers)


def with_input(**fields: object) -> dict:
    return {"inputs": [{**GOOD["inputs"][0], **fields}]}


def test_a_request_is_read_whole():
    request = read(
        {
            "id": "7",
            "parameters": {"binary_data_output": True, "timeout": 5000, "sequence_id": 3, "mine": "x"},
            "inputs": [{**GOOD["inputs"][0], "parameters": {"binary_data_size": 48}}],
            "outputs": [{"name": "logits", "parameters": {"classification": 2, "binary_data": False}}],
        }
    )
    assert (request.id, request.parameters.binary_data_output, request.parameters.timeout) == ("7", True, 5000)
    assert request.inputs[0].parameters.binary_data_size == 48
    assert request.outputs[0].parameters.classification == 2


def test_what_is_left_out_has_its_default():
    request = read(GOOD)
    assert (request.id, request.outputs, request.parameters.binary_data_output) == (None, [], False)
    assert read_message(b"{}", IndexRequest, 1).ready is False


REFUSED = {
    "no JSON": (b"hello", "no JSON"),
    "not UTF-8": (b'{"id": "\xff"}', "no JSON"),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "no JSON"),
    "two values": (b"{} {}", "Extra data"),
    "a list": (b"[]", "the request"),
    "null": (b"null", "the request"),
    "deep": (b"[" * 90_000 + b"]" * 90_000, "nested too deeply"),
    "NaN": (b'{"inputs": NaN}', "NaN is no number"),
    "-Infinity": (b'{"inputs": -Infinity}', "-Infinity is no number"),
    "a field twice": (b'{"id": "a", "id": "b"}', "a field twice"),
    "no inputs": (b"{}", "inputs: Field required"),
    "no input": ({"inputs": []}, "at least 1 item"),
    "two inputs": ({"inputs": GOOD["inputs"] * 2}, "at most 1 item"),
    "input of no kind": ({"inputs": ["images"]}, "'images'"),
    "unknown input": (with_input(name="input_1"), "Input should be 'images' or 'image_bytes' (found 'input_1')"),
    "unknown type": (with_input(datatype="FP16"), "Input should be 'FP32' or 'BYTES' (found 'FP16')"),
    "shape of text": (with_input(shape="1,3"), "valid list (found '1,3')"),
    "shape of texts": (with_input(shape=["1"]), "inputs.0.shape.0"),
    "shape of floats": (with_input(shape=[1.0]), "valid integer (found 1.0)"),
    "shape of booleans": (with_input(shape=[True]), "valid integer (found True)"),
    "no shape": (with_input(shape=[]), "at least 1 item"),
    "long shape": (with_input(shape=[1] * 5), "at most 4 items"),
    "huge shape": (b'{"inputs":[{"name":"images","datatype":"FP32","shape":[' + b"9" * 5000 + b"]}]}", "inf"),
    "negative size": (with_input(parameters={"binary_data_size": -1}), "greater than or equal to 0 (found -1)"),
    "size of text": (with_input(parameters={"binary_data_size": "48"}), "valid integer (found '48')"),
    "shared memory": (
        with_input(parameters={"shared_memory_region": "r"}),
        "inputs.0.parameters.shared_memory_region: no such field; allowed: binary_data_size, content_type",
    ),
    "unknown field": ({**GOOD, "output": []}, "output: no such field; allowed: id, parameters, inputs, outputs"),
    "content type": (with_input(parameters={"content_type": "hex"}), "'base64' (found 'hex')"),
    "unknown output": (
        {**GOOD, "outputs": [{"name": "scores"}]},
        "'logits', 'probabilities' or 'boxes' (found 'scores')",
    ),
    "three outputs": ({**GOOD, "outputs": [{"name": "logits"}] * 3}, "at most 2 items"),
    "no classes": ({**GOOD, "outputs": [{"name": "logits", "parameters": {"classification": 0}}]}, "(found 0)"),
    "binary_data of 1": ({**GOOD, "outputs": [{"name": "logits", "parameters": {"binary_data": 1}}]}, "boolean"),
    "id of number": ({**GOOD, "id": 7}, "id: Input should be a valid string (found 7)"),
    "long id": ({**GOOD, "id": "x" * 257}, "at most 256"),
    "half a character": (b'{"id": "\\ud800"}', "id"),
    "half a character as a field": (b'{"\\ud800": 1, "inputs": []}', "unicode"),
    "no time": ({**GOOD, "parameters": {"timeout": 0}}, "(found 0)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_told_what_was_found(name):
    text, words = REFUSED[name]
    with pytest.raises(RequestError) as caught:
        read(text, max_containers=10**6)
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
    assert words in caught.value.message
    assert len(caught.value.message) < 800
    assert caught.value.message.isascii()


def test_the_number_of_lists_is_bounded_before_they_are_made():
    assert read(GOOD, max_containers=5)
    with pytest.raises(RequestError, match="opens 5 lists and objects; allowed: 4"):
        read(GOOD, max_containers=4)


def test_the_number_of_texts_is_bounded():
    with pytest.raises(RequestError, match="quotation marks; allowed: 4096"):
        read(with_input(data=[""] * 3000))


@pytest.mark.parametrize("value", [0.12345, 7])
def test_while_numbers_are_read_other_threads_get_their_turns(value):
    """Else the whole server would wait for one request; Python gives turns where its own functions are called."""
    text = json.dumps(with_input(data=[value] * 10_000)).encode()
    called: Counter[str] = Counter()

    def count(frame, event, _) -> None:
        if event == "call" and frame.f_code.co_filename == schema.__file__:
            called[frame.f_code.co_name] += 1

    sys.setprofile(count)
    try:
        read(text)
    finally:
        sys.setprofile(None)
    assert max(called.values()) >= 10_000


def test_long_whole_numbers_are_values_like_others():
    assert read(with_input(data=[int("9" * 16), 10**14])).inputs[0].data == [1e16, 10**14]


def test_a_value_is_shown_short():
    assert len(excerpt(["x" * 10_000] * 10_000)) < 500
    assert refusal("\ud800é").message == "\\ud800\\xe9"
