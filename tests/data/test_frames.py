from __future__ import annotations

import re
import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from compress.data import frames
from compress.data.decode import BadImageError
from compress.data.frames import camera_address, camera_frames, folder_frames, open_video, video_frames
from compress.errors import BackendMissingError, DataError, UsageError

RED, BLUE = (250, 0, 0), (20, 60, 200)


def write_video(path: Path, count: int = 5, *, codec: str = "mjpeg", size: tuple[int, int] = (64, 48), turn: int = 0):
    """Write frames that are blue, with red in the upper left quarter; the blue grows by 10 a frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if turn:
            stream.set_display_rotation(turn)
        for index in range(count):
            image = Image.new("RGB", size, (BLUE[0], BLUE[1] + 10 * index, BLUE[2]))
            image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
    return path


def near(found: object, wanted: tuple[int, ...]) -> bool:
    return bool(np.abs(np.subtract(found, wanted)).max() < 12)


def test_a_folder_gives_its_images_by_name_and_names_the_bad_one(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (30, 20), RED).save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no image")
    Image.new("L", (8, 8), 7).save(tmp_path / "sub" / "c.bmp")
    (tmp_path / "notes.txt").write_text("passed over")
    found = list(folder_frames(tmp_path, 32))
    assert [Path(one.name).name for one in found] == ["a.png", "b.jpg", "c.bmp"]
    assert isinstance(found[1].image, BadImageError)
    assert "b.jpg" in str(found[1].image)
    assert found[0].image.getpixel((0, 0)) == RED
    assert found[2].image.mode == "RGB"
    assert found[0].begun_ns < found[2].begun_ns


def test_an_empty_folder_names_what_is_allowed(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no images .* 1 files of other kinds, allowed .*\.jpg.*\.png"):
        folder_frames(tmp_path, 32)


@pytest.mark.parametrize(("name", "words"), [("absent", "no such folder"), ("a.txt", "a file, not a folder")])
def test_what_is_no_folder(tmp_path: Path, name: str, words: str):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=words):
        folder_frames(tmp_path / name, 32)


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "mjpeg"), ("v.mp4", "mpeg4"), ("a:b.mkv", "mpeg4")])
def test_a_video_gives_every_frame_in_order(tmp_path: Path, name: str, codec: str):
    path = write_video(tmp_path / name, 7, codec=codec)
    found = list(video_frames(path))
    assert [one.name for one in found] == [f"{path}#{index}" for index in range(7)]
    for index, one in enumerate(found):
        assert one.image.size == (64, 48)
        assert near(one.image.getpixel((5, 5)), RED)
        assert near(one.image.getpixel((60, 40)), (BLUE[0], BLUE[1] + 10 * index, BLUE[2]))


@pytest.mark.parametrize(
    ("turn", "size", "at"), [(90, (48, 64), (5, 60)), (-90, (48, 64), (43, 5)), (180, (64, 48), (60, 43))]
)
def test_a_phone_held_sideways_gives_upright_frames(
    tmp_path: Path, turn: int, size: tuple[int, int], at: tuple[int, int]
):
    one = next(video_frames(write_video(tmp_path / "v.mp4", 1, codec="mpeg4", turn=turn)))
    assert one.image.size == size
    assert near(one.image.getpixel(at), RED)


def spoil(path: Path, *which: int) -> None:
    """Overwrite the content of some images of a video of JPEGs."""
    data = path.read_bytes()
    starts = [match.start() for match in re.finditer(b"\xff\xd8", data)] + [data.rindex(b"\xff\xd9")]
    spoiled = bytearray(data)
    for index in which:
        spoiled[starts[index] : starts[index + 1] - 8] = bytes(starts[index + 1] - 8 - starts[index])
    path.write_bytes(spoiled)


def test_one_damaged_frame_is_named_and_the_others_come(tmp_path: Path):
    path = write_video(tmp_path / "v.avi", 5)
    spoil(path, 1)
    found = list(video_frames(path))
    assert [isinstance(one.image, BadImageError) for one in found] == [False, True, False, False, False]
    assert f"{path}#1: damaged" in str(found[1].image)


def test_a_video_of_damaged_frames_alone(tmp_path: Path):
    path = write_video(tmp_path / "v.avi", 2)
    spoil(path, 0, 1)
    found = []
    with pytest.raises(DataError, match="none of its frames could be decoded"):
        found.extend(video_frames(path))


@pytest.mark.parametrize("content", [b"", b"garbage" * 100], ids=["empty", "garbage"])
def test_what_is_no_video(tmp_path: Path, content: bytes):
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"v\.mp4: cannot be opened as video: Invalid data"):
        video_frames(tmp_path / "v.mp4")


def test_no_video_file(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        video_frames(tmp_path / "v.mp4")
    with pytest.raises(DataError, match="a folder, not a video"):
        video_frames(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path):
    path = tmp_path / "s.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DataError, match=r"no video stream in it \(found: audio\)"):
        video_frames(path)


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_huge_frames_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str):
    path = write_video(tmp_path / "v.avi", 2, codec=codec, size=(640, 480))
    monkeypatch.setattr(frames, "MAX_PIXELS", 640 * 480)
    assert len(list(video_frames(path))) == 2
    monkeypatch.setattr(frames, "MAX_PIXELS", 640 * 480 - 1)
    with pytest.raises(DataError, match="more than 307199 pixels"):
        video_frames(path)


@pytest.mark.parametrize("size", [(640, 480), (80, 48)], ids=["by FFmpeg", "by us"])
def test_frames_that_grow_in_the_middle_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
):
    """The header says 64 x 48; the second image in it says otherwise."""
    path, large = write_video(tmp_path / "v.avi", 3), write_video(tmp_path / "w.avi", 1, size=size)
    small = path.read_bytes()
    start = small.index(b"\xff\xd8", small.index(b"\xff\xd8") + 2)
    data = bytearray(small)
    header = large.read_bytes()
    size_at = header.index(b"\xff\xc0") + 5
    spot = small.index(b"\xff\xc0", start) + 5
    data[spot : spot + 4] = header[size_at : size_at + 4]
    path.write_bytes(data)
    monkeypatch.setattr(frames, "MAX_PIXELS", 3500)
    found = list(video_frames(path))
    assert [isinstance(one.image, BadImageError) for one in found] == [False, True, False]


def test_a_live_source_is_read(tmp_path: Path):
    source = open_video("testsrc=size=64x48:rate=30", name="test", hint="", kind="lavfi")
    found = list(islice(source, 3))
    source.close()
    assert [one.name for one in found] == ["test#0", "test#1", "test#2"]
    assert {one.image.size for one in found} == {(64, 48)}


def test_a_lost_camera_is_an_error_that_names_it():
    class Unplugged:
        def __enter__(self) -> Unplugged:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def demux(self, _: object) -> Unplugged:
            return self

        def __next__(self) -> object:
            raise av.OSError(19, "No such device")

    with pytest.raises(DataError, match="cam: lost or damaged after 0 frames: No such device"):
        next(frames._decoded_video(Unplugged(), None, "cam"))  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="v4l2 is Linux's")
@pytest.mark.parametrize("camera", ["99", "/dev/video99"])
def test_no_such_camera(camera: str):
    with pytest.raises(DataError, match=f"{camera}: cannot be opened as video: No such file") as caught:
        camera_frames(camera)
    assert "/dev/video*" in caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="v4l2 is Linux's")
@pytest.mark.parametrize(
    ("camera", "address"),
    [
        ("0", ("/dev/video0", "v4l2")),
        ("12", ("/dev/video12", "v4l2")),
        ("/dev/v4l/by-id/x", ("/dev/v4l/by-id/x", "v4l2")),
        ("rtsp://host/path", ("rtsp://host/path", None)),
        ("HTTP://host:80/", ("HTTP://host:80/", None)),
    ],
)
def test_the_address_of_a_camera(camera: str, address: tuple[str, str | None]):
    assert camera_address(camera) == address


@pytest.mark.parametrize("camera", ["", "-1", "front", "--json", "clip.mp4", "1234"])
def test_what_is_no_camera(camera: str):
    with pytest.raises(UsageError, match="not a camera"):
        camera_address(camera)


def test_a_local_camera_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match="on Linux only"):
        camera_address("0")


def test_a_password_is_not_shown():
    with pytest.raises(DataError) as caught:
        camera_frames("tcp://me:secret@127.0.0.1:1/")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_without_pyav_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "v.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendMissingError) as caught:
        video_frames(tmp_path / "v.mp4")
    assert "imgc-toolkit[video]" in caught.value.hint
