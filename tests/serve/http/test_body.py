from __future__ import annotations

import asyncio

import pytest
from starlette.datastructures import Headers

from compress.serve.core.deadline import Deadline
from compress.serve.errors import RequestError
from compress.serve.http.body import check_image_type, declared_length, declared_type, images_in, read_body


@pytest.mark.parametrize(
    "kind", ["", "image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", "application/x-www-form-urlencoded"]
)
def test_raw_bodies_by_their_type(kind):
    check_image_type(declared_type({"content-type": kind}))


@pytest.mark.parametrize("kind", ["application/json", "text/html", "multipart/mixed"])
def test_a_type_that_is_no_image(kind):
    with pytest.raises(RequestError) as caught:
        check_image_type(declared_type({"content-type": kind}))
    assert caught.value.status == 415
    assert kind in caught.value.message


@pytest.mark.parametrize(("length", "status"), [("11", 413), ("-1", 400), ("٣", 400), ("9" * 5000, 400), ("1e1", 400)])
def test_lengths_that_do_not_pass(length, status):
    with pytest.raises(RequestError) as caught:
        declared_length({"content-length": length}, 10)
    assert caught.value.status == status


def test_lengths_that_pass():
    assert [declared_length(headers, 10) for headers in ({}, {"content-length": "10"})] == [0, 10]


def test_a_body_comes_back_whole(make_wire):
    wire = make_wire([b"ab", b"", b"cd"])
    assert asyncio.run(read_body(wire.receive, 4, Deadline(5000))) == b"abcd"


def _form(*parts: tuple[str, bytes], field: str = "file") -> tuple[bytes, Headers]:
    lines = b""
    for name, content in parts:
        disposition = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
        lines += b"--x\r\n" + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"
    return lines + b"--x--\r\n", Headers({"content-type": "multipart/form-data; boundary=x"})


def test_the_images_of_a_form_in_their_order(monkeypatch):
    monkeypatch.setattr("tempfile._get_default_tempdir", lambda *_: pytest.fail("a part was written to the disk"))
    large = bytes(3 << 20)
    body, headers = _form(("a.jpg", b"one"), ("b.jpg", large))
    found = asyncio.run(images_in(body, headers, 2))
    assert [(one.filename, one.content) for one in found] == [("a.jpg", b"one"), ("b.jpg", large)]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        _form(("a", b"1"), ("b", b"2"), ("c", b"3")),
        _form(("a", b"1"), field="image"),
        (b"--x\r\nnonsense", Headers({"content-type": "multipart/form-data; boundary=x"})),
        (b"--x--", Headers({"content-type": "multipart/form-data"})),
        (b"", Headers({"content-type": "multipart/form-data; boundary=x"})),
    ],
)
def test_forms_without_usable_images(body, headers):
    with pytest.raises(RequestError) as caught:
        asyncio.run(images_in(body, headers, 2))
    assert caught.value.status == 400


def test_a_part_called_file_without_a_file_name_is_an_image(client, image):
    form = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + image() + b"\r\n--x--\r\n"
    reply = client.post("/v1/classify", content=form, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert reply.json()["predictions"][0]["label"] == "red"
