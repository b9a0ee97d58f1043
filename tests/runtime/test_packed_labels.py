from __future__ import annotations

import io
import zipfile

import pytest

from compress.core.preprocess import Preprocess
from compress.runtime.open import open_predictor
from compress.runtime.packed_labels import packed_labels
from tests.serve.conftest import colours_tflite

PREPROCESS = Preprocess(resize_px=32, crop_px=32)


def packed(model: bytes, **texts: bytes) -> bytes:
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(f"{name}.txt", text)
    return file.getvalue()


@pytest.fixture
def foreign(without_spec):
    return without_spec(colours_tflite())


@pytest.fixture
def without_spec():
    from compress.runtime.tflite_meta import pack, unpack

    def strip(data: bytes) -> bytes:
        model = unpack(data, "m.tflite")
        model.metadata = None
        return pack(model)

    return strip


def test_names_in_the_file_are_its_labels(foreign, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(packed(foreign, readme=b"one line", labels=b"rot\ngr\xc3\xbcn\nblau\n"))
    assert open_predictor(path, preprocess=PREPROCESS).spec.labels == ("rot", "grün", "blau")
    assert open_predictor(path, preprocess=PREPROCESS, labels=("x", "y", "z")).spec.labels == ("x", "y", "z")


def test_without_them_classes_are_numbers(foreign, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(packed(foreign, labels=b"only\ntwo"))
    assert open_predictor(path, preprocess=PREPROCESS).spec.labels == ("0", "1", "2")


@pytest.mark.parametrize("damage", [0, 5, 30, 60])
def test_a_damaged_archive_is_no_archive(foreign, damage):
    data = bytearray(packed(foreign, labels=b"a\nb\nc"))
    for place in range(len(data) - 100 + damage, len(data) - 100 + damage + 8):
        data[place] ^= 0xFF
    assert packed_labels(bytes(data), 3) in (None, ("a", "b", "c"))


def test_a_huge_text_is_not_unpacked_whole(foreign):
    assert packed_labels(packed(foreign, labels=b"a\n" * (8 << 20)), 3) is None
