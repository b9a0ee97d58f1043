"""Pascal VOC: an XML file for each image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

import compress.data.voc as module
from compress.core.stage import SilentReporter
from compress.data.boxes import BoxEntry
from compress.data.voc import is_voc, list_voc
from compress.errors import DataError
from tests.data.test_coco import SIZE, Told, image

SIDES = ("xmin", "ymin", "xmax", "ymax")


def thing(name: str, *sides: object, more: str = "") -> str:
    """Return an object of an annotation; sides count from 1, as in VOC."""
    box = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, sides, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{box}</bndbox></object>"


BOLT, NUT = thing("bolt", 11, 6, 30, 35), thing("nut", 1, 1, 9, 9)


def annotation(objects: str, filename: str = "", said: tuple[object, object] = SIZE) -> str:
    size = f"<size><width>{said[0]}</width><height>{said[1]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{filename}</filename>{size}{objects}</annotation>"


def label(folder: Path, stem: str, text: str | bytes) -> None:
    path = folder / "Annotations" / f"{stem}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def write(folder: Path, stem: str, objects: str) -> None:
    image(folder, f"{stem}.png")
    label(folder, stem, annotation(objects, f"{stem}.png"))


def listed(folder: Path, told: Told | None = None) -> tuple[dict[str, tuple[BoxEntry, ...]], tuple[str, ...]]:
    listing, labels = list_voc(folder, told or SilentReporter())
    return {
        name: tuple(one for one in split if isinstance(one, BoxEntry)) for name, split in listing.splits.items()
    }, labels


def boxes(folder: Path, told: Told | None = None) -> list[list[float]]:
    """Return the corners of the only image."""
    (entry,) = listed(folder, told)[0]["train"]
    return entry.boxes.corners_B4.tolist()


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    write(tmp_path, "a", BOLT + NUT)
    return tmp_path


def test_corners_count_from_one_and_classes_are_the_sorted_names(parts: Path):
    splits, labels = listed(parts)
    (entry,) = splits["train"]
    assert labels == ("bolt", "nut")
    assert (entry.path, entry.name) == (parts / "images" / "a.png", "a")
    assert entry.boxes.corners_B4.tolist() == [[10, 5, 30, 35], [0, 0, 9, 9]]
    assert entry.boxes.classes_B.tolist() == [0, 1]
    assert entry.boxes.size == SIZE


def test_many_classes_are_sorted(parts: Path):
    names = [f"c{number}" for number in range(9)]
    write(parts, "a", "".join(thing(name, 1, 1, 9, 9) for name in reversed(names)))
    splits, labels = listed(parts)
    assert labels == tuple(names)
    assert splits["train"][0].boxes.classes_B.tolist() == list(reversed(range(9)))


def test_a_box_of_the_whole_image_is_no_slip(parts: Path):
    write(parts, "a", thing("nut", 1, 1, *SIZE))
    told = Told()
    assert boxes(parts, told) == [[0, 0, *SIZE]]
    assert told.warnings == []


def test_difficult_objects_are_left_out_and_so_are_their_classes(parts: Path):
    hard = thing("screw", 5, 5, 20, 20, more="<difficult> 1 </difficult>")
    plain = thing("nut", 5, 5, 20, 20, more="<truncated>1</truncated><difficult>0</difficult>")
    write(parts, "a", BOLT + hard + plain)
    assert listed(parts)[1] == ("bolt", "nut")
    assert boxes(parts) == [[10, 5, 30, 35], [4, 4, 20, 20]]


def test_the_parts_of_an_object_are_no_objects(parts: Path):
    head = thing("head", 12, 7, 20, 12).replace("object>", "part>") + f"<parts>{NUT}</parts>"
    write(parts, "a", thing("bolt", 11, 6, 30, 35, more=head))
    assert listed(parts)[1] == ("bolt",)
    assert boxes(parts) == [[10, 5, 30, 35]]


@pytest.mark.parametrize(
    ("sides", "corners", "words"),
    [
        ((51, 31, 90, 80), [[50, 30, 60, 40]], "reach beyond"),
        ((-5, -5, 10, 10), [[0, 0, 10, 10]], "reach beyond"),
        ((0, 0, 9, 9), [[0, 0, 9, 9]], "reach beyond"),
        ((11, 6, 10, 35), [[9, 5, 11, 35]], "negative width or height"),
        ((71, 11, 75, 15), [], "of less than 1 pixel"),
    ],
)
def test_slips_of_the_hand_are_mended_and_told(parts: Path, sides, corners, words):
    write(parts, "a", thing("bolt", *sides) + NUT)
    told = Told()
    assert boxes(parts, told) == [*corners, [0, 0, 9, 9]]
    assert any(words in line and line.endswith("\n  a") for line in told.warnings)


def test_swapped_corners_are_turned_around_and_told(parts: Path):
    write(parts, "a", thing("bolt", 30, 35, 11, 6))
    told = Told()
    (corners,) = boxes(parts, told)
    assert corners == [10, 5, 30, 35]
    assert ["negative width or height" in line for line in told.warnings] == [True]


def test_a_box_of_one_pixel_is_a_box(parts: Path):
    write(parts, "a", thing("bolt", 11, 6, 11, 6))
    assert boxes(parts) == [[10, 5, 11, 6]]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (thing("", 1, 1, 9, 9), "an object without a name"),
        ("<object><name>nut</name></object>", "bndbox/xmin: a number is wanted, found ''"),
        (thing("nut", 1, 1, 9, "ten"), "bndbox/ymax: a number is wanted, found 'ten'"),
        (thing("nut", 1, "nan", 9, 9), "bndbox/ymin: a number is wanted, found 'nan'"),
        (thing("nut", 1, 1, "1e999", 9), "bndbox/xmax: a number is wanted, found '1e999'"),
    ],
)
def test_objects_that_say_nothing_are_errors(parts: Path, objects, words):
    write(parts, "a", BOLT + objects)
    with pytest.raises(DataError, match=rf"a\.xml: {words}") as caught:
        list_voc(parts, SilentReporter())
    assert "xmin, ymin, xmax, ymax" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", "<annotation>", "<annotation></object>", b"<a>\xff</a>", "<a>&nbsp;</a>"])
def test_what_is_no_xml_says_what_would_be(parts: Path, text):
    label(parts, "a", text)
    with pytest.raises(DataError, match=r"a\.xml: not XML") as caught:
        list_voc(parts, SilentReporter())
    assert "bndbox" in caught.value.hint


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "declared",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE a [<!ENTITY l9 SYSTEM "file:SECRET">]>',
        '<!DOCTYPE a SYSTEM "file:SECRET">',
        '<!ENTITY l9 "ha">',
    ],
    ids=["bomb", "file", "type", "entity"],
)
def test_declarations_are_refused(parts: Path, declared: str):
    (parts / "secret.txt").write_text("hush")
    text = declared.replace("SECRET", str(parts / "secret.txt")) + annotation(thing("&l9;", 1, 1, 9, 9))
    label(parts, "a", text)
    with pytest.raises(DataError, match="declares a document type or entities") as caught:
        list_voc(parts, SilentReporter())
    assert "hush" not in str(caught.value)
    label(parts, "a", f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16"))
    with pytest.raises(DataError, match="not UTF-8"):
        list_voc(parts, SilentReporter())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "windows-1252"])
def test_names_are_read_in_the_encoding_that_the_file_declares(parts: Path, encoding: str):
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>'
    label(parts, "a", (declared + annotation(thing(" écrou ", 1, 1, 9, 9), "a.png")).encode(encoding))
    assert listed(parts)[1] == ("écrou",)


def test_no_more_is_read_than_an_annotation_has(parts: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_XML_BYTES", 100)
    with pytest.raises(DataError, match=r"a\.xml: cannot be read: larger than 100 bytes"):
        list_voc(parts, SilentReporter())
    (parts / "Annotations" / "a.xml").unlink()
    os.mkfifo(parts / "Annotations" / "a.xml")
    with pytest.raises(DataError, match="not a regular file, but a pipe"):
        list_voc(parts, SilentReporter())


def test_an_image_that_is_not_there_is_named(parts: Path):
    (parts / "images" / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.xml: its image 'a\.png' is not there") as caught:
        list_voc(parts, SilentReporter())
    assert str(parts / "JPEGImages") in caught.value.hint


@pytest.mark.parametrize("filename", ["../secret.png", "/etc/passwd", "..\\secret.png", "images/../../secret.png"])
def test_images_outside_are_refused_though_one_of_that_name_is_inside(parts: Path, filename: str):
    label(parts, "a", annotation(BOLT, filename))
    with pytest.raises(DataError, match="leaves the folder"):
        list_voc(parts, SilentReporter())


@pytest.mark.parametrize("folder", ["JPEGImages", "images", ""])
@pytest.mark.parametrize("below", ["Annotations", ""])
def test_images_are_in_a_usual_folder_or_beside_their_xml(parts: Path, folder: str, below: str):
    (parts / folder).mkdir(exist_ok=True)
    (parts / "images" / "a.png").rename(parts / folder / "a.png")
    if not below:
        (parts / "Annotations" / "a.xml").rename(parts / "a.xml")
        (parts / "Annotations").rmdir()
    (entry,) = listed(parts)[0]["train"]
    assert entry.path == parts / folder / "a.png"


@pytest.mark.parametrize("filename", ["", "a", "renamed.jpg", r"C:\Users\me\a.png"])
@pytest.mark.parametrize("suffix", ["png", "PNG"])
def test_where_the_named_image_is_not_there_that_of_the_xml_file_is_taken(parts: Path, filename: str, suffix: str):
    (parts / "images" / "a.png").rename(parts / "images" / f"a.{suffix}")
    label(parts, "a", annotation(BOLT, filename))
    (entry,) = listed(parts)[0]["train"]
    assert entry.path == parts / "images" / f"a.{suffix}"


def test_the_named_image_comes_before_that_of_the_xml_file(parts: Path):
    image(parts, "named.png")
    label(parts, "a", annotation(BOLT, "named.png"))
    (entry,) = listed(parts)[0]["train"]
    assert (entry.path, entry.name) == (parts / "images" / "named.png", "a")


@pytest.mark.parametrize("said", [SIZE, SIZE[::-1], (0, 0), ("", "")])
def test_boxes_drawn_on_the_unturned_pixels_are_turned(parts: Path, said):
    image(parts, "a.jpg", orientation=6)
    label(parts, "a", annotation(thing("nut", 1, 1, 10, 20), "a.jpg", said))
    assert boxes(parts) == ([[20, 0, 40, 10]] if said == SIZE else [[0, 0, 10, 20]])


def test_boxes_of_an_image_of_another_size_are_refused(parts: Path):
    label(parts, "a", annotation(BOLT, "a.png", (61, 40)))
    with pytest.raises(DataError, match="a is said to be 61 x 40 pixels and has 60 x 40"):
        list_voc(parts, SilentReporter())
    label(parts, "a", annotation(BOLT, "a.png", ("wide", 40)))
    with pytest.raises(DataError, match=r"a\.xml: width: a number is wanted, found 'wide'"):
        list_voc(parts, SilentReporter())


def test_images_without_objects_stay_and_the_first_is_by_name(parts: Path):
    write(parts, "b", "")
    write(parts, "0", "")
    assert [(one.name, len(one.boxes.classes_B)) for one in listed(parts)[0]["train"]] == [("0", 0), ("a", 2), ("b", 0)]


def test_a_set_without_objects_is_refused(parts: Path):
    write(parts, "a", thing("nut", 1, 1, 9, 9, more="<difficult>1</difficult>"))
    with pytest.raises(DataError, match="no categories"):
        list_voc(parts, SilentReporter())
    write(parts, "a", thing("nut", 71, 1, 79, 9))
    with pytest.raises(DataError, match="not one box to learn from"):
        list_voc(parts, SilentReporter())


def test_a_set_is_known_by_its_xml_files(parts: Path):
    assert is_voc(parts)
    (parts / "Annotations" / "a.xml").rename(parts / "a.xml")
    assert not is_voc(parts), "Annotations/ is where they are, if it is there"
    (parts / "Annotations").rmdir()
    assert is_voc(parts)
    assert not is_voc(parts / "images")
    with pytest.raises(DataError, match="no XML files") as caught:
        list_voc(parts / "images", SilentReporter())
    assert "bndbox" in caught.value.hint


def test_an_image_of_no_usual_suffix_is_found_by_its_name(parts: Path):
    Image.new("RGB", SIZE).save(parts / "images" / "scan.dat", format="PNG")
    label(parts, "a", annotation(BOLT, "scan.dat"))
    assert boxes(parts) == [[10, 5, 30, 35]]
