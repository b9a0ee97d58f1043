"""Where the images of a stream come from: a folder, a video file or a camera. Each source is a generator of `Frame`.

A source is checked when it is made (no such file, no image, no video stream), so that a mistake is told before any
work begins; afterwards only one thread may draw from it. Video is read with PyAV, the bindings of FFmpeg's libraries.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

from PIL import Image

from compress.data.decode import MAX_PIXELS, BadImageError, decode
from compress.data.listing import IMAGE_SUFFIXES, images_below
from compress.errors import DataError, UsageError, missing_backend

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_URL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")
_TIMEOUT_S = 5.0  # a camera that is silent for so long is lost
_CAMERAS = "an index such as 0, a device such as /dev/video0, or a URL such as rtsp://HOST/PATH"


@dataclass(frozen=True)
class Frame:
    """One image of a stream.

    Attributes:
        name: the file, or the source and the number of the frame, from 0.
        image: upright RGB; a `BadImageError` where this one could not be decoded, and the stream goes on.
        begun_ns: `perf_counter_ns` when its decoding began; the wait for a camera came before.
    """

    name: str
    image: Image.Image | BadImageError
    begun_ns: int


Frames = Generator[Frame, None, None]


def folder_frames(folder: Path, draft_px: int | None) -> Frames:
    """Return the images in a folder and below it, in the order of their names.

    Args:
        folder: nested or flat; files that are no images by their names are passed over.
        draft_px: see `decode`.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        found = "a file, not a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {found}", hint="give a folder of images")
    images, others = images_below(folder)
    if not images:
        found = f"{len(others)} files of other kinds" if others else "nothing"
        allowed = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{folder}: no images in it or below it (found {found}, allowed {allowed})")
    return _decoded_files(images, draft_px)


def video_frames(path: Path) -> Frames:
    """Return every frame of a video file, in the order of their showing.

    Raises:
        DataError: no such file, not a video, no video stream in it, or images that are too large; while it is read:
            the file is damaged beyond this point, or no frame of it could be decoded.
        BackendMissingError: PyAV is not installed.
    """
    if not path.is_file():
        found = "a folder, not a video" if path.is_dir() else "no such file"
        raise DataError(f"{path}: {found}", hint="give a video file, or a folder of images with --dir")
    # "file:", since a name with a colon would be taken for a URL
    return open_video(f"file:{path}", name=str(path), hint="play it with another program to see whether it is whole")


def camera_frames(camera: str) -> Frames:
    """Return the frames of a camera, for ever; a reader that is slower than the camera must pass frames over itself.

    Args:
        camera: an index, a /dev/videoN, or a URL.

    Raises:
        UsageError: none of these, or a local camera on a system that is not Linux.
        DataError: the camera cannot be opened; while it is read: it is lost.
        BackendMissingError: PyAV is not installed.
    """
    address, kind = camera_address(camera)
    hint = "is it on, and does the address answer?"
    if kind:
        hint = "`ls /dev/video*` shows the cameras; to read one a user must be in the group `video`"
    return open_video(address, name=_PASSWORD.sub("", camera), hint=hint, kind=kind, timeout_s=_TIMEOUT_S)


def camera_address(camera: str) -> tuple[str, str | None]:
    """Return what FFmpeg opens for a camera and the name of its format, None for a URL.

    Raises:
        UsageError: as `camera_frames`.
    """
    local = f"/dev/video{int(camera)}" if re.fullmatch(r"[0-9]{1,3}", camera) else camera
    if local.startswith("/dev/"):
        if sys.platform != "linux":
            raise UsageError(f"{camera}: cameras of this machine are read on Linux only", hint="give the camera's URL")
        return local, "v4l2"
    if not _URL.match(camera):
        raise UsageError(f"{camera}: not a camera", hint=f"give {_CAMERAS}")
    return camera, None


def open_video(
    address: str, *, name: str, hint: str, kind: str | None = None, timeout_s: float | None = None
) -> Frames:
    """Return the frames of whatever FFmpeg can open.

    Args:
        address: file, device or URL, as FFmpeg writes it.
        name: what messages and frames call it.
        hint: what to try when it cannot be opened.
        kind: FFmpeg's name of the format, None to look at the content.
        timeout_s: longest silence, None for no limit.

    Raises:
        DataError: see `video_frames`.
        BackendMissingError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise missing_backend("av", "video") from error

    # What FFmpeg may allocate, while it looks at the first frames and later; twice, since it counts its padding.
    bound = {"max_pixels": str(2 * MAX_PIXELS)}
    try:
        container = av.open(address, format=kind, options=bound, timeout=timeout_s)
    except (av.FFmpegError, ValueError) as error:  # ValueError: a format that this build of FFmpeg lacks
        raise DataError(f"{name}: cannot be opened as video: {_reason(error)}", hint=hint) from error
    try:
        stream = _video_stream(container, name)
        stream.codec_context.options = bound
    except DataError:
        container.close()
        raise
    return _decoded_video(container, stream, name)


def _decoded_files(images: list[Path], draft_px: int | None) -> Frames:
    for path in images:
        begun_ns = perf_counter_ns()
        try:
            image: Image.Image | BadImageError = decode(path, draft_px=draft_px)
        except BadImageError as error:
            image = error
        yield Frame(str(path), image, begun_ns)


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    if not container.streams.video:
        kinds = ", ".join(stream.type for stream in container.streams) or "none"
        raise DataError(f"{name}: no video stream in it (found: {kinds})", hint="give a file that holds a video")
    stream = container.streams.video[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if not 0 < width * height <= MAX_PIXELS:  # 0 where FFmpeg could not read the size, or refused it
        raise DataError(
            f"{name}: its frames have more than {MAX_PIXELS} pixels, or a size that cannot be read"
            f" (found {width} x {height})"
        )
    return stream


def _decoded_video(container: InputContainer, stream: VideoStream, name: str) -> Frames:
    """Yield the frames; a packet that cannot be decoded is one bad frame, for the next may be whole."""
    import av
    from av.video.reformatter import VideoReformatter

    to_rgb = VideoReformatter()  # one for all frames: making its tables takes longer than a frame (2 to 15 times)
    count = bad = 0
    with container:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                raise DataError(f"{name}: lost or damaged after {count} frames: {_reason(error)}") from error
            if packet is None:
                break
            begun_ns = perf_counter_ns()
            for image in _images_of(packet, to_rgb, f"{name}#{count}"):
                bad += isinstance(image, BadImageError)
                yield Frame(f"{name}#{count}", image, begun_ns)
                count += 1
                begun_ns = perf_counter_ns()
    if count == bad:
        raise DataError(f"{name}: none of its frames could be decoded", hint="it is damaged; copy or record it again")


def _images_of(
    packet: Packet[VideoStream], to_rgb: VideoReformatter, name: str
) -> Generator[Image.Image | BadImageError, None, None]:
    """Yield what one packet holds: mostly one image."""
    import av

    try:
        frames = packet.decode()
    except av.FFmpegError as error:
        yield BadImageError(name, f"damaged: {_reason(error)}")
        return
    for frame in frames:
        if frame.width * frame.height > MAX_PIXELS:  # damaged or hostile: the stream said less when it was opened
            yield BadImageError(name, f"{frame.width} x {frame.height} is more than {MAX_PIXELS} pixels")
        else:
            yield _upright(frame, to_rgb)


def _upright(frame: VideoFrame, to_rgb: VideoReformatter) -> Image.Image:
    """Return the frame as RGB, turned as the camera was held: by quarters, counterclockwise as Pillow counts too."""
    image = Image.fromarray(to_rgb.reformat(frame, format="rgb24").to_ndarray())
    return image.rotate(90 * round(frame.rotation / 90), expand=True) if frame.rotation else image


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
