"""Whatever clients do in whatever order, each accepted request gets one reply, its own; no image breaks the door."""

from __future__ import annotations

import io
import random
import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from compress.data.decode import BadImageError, decode
from tests.serve.abuse.real_server import form, request
from tests.waiting import until

pytestmark = pytest.mark.slow

COLOURS = {"red": (220, 60, 20), "green": (30, 200, 40), "blue": (10, 30, 240)}
ACTIONS = st.tuples(
    st.sampled_from(["good", "good", "form", "bad", "rubbish", "empty", "slow", "twice", "cancel", "half"]),
    st.sampled_from(list(COLOURS)),
    st.booleans(),  # on the kept connection, or on one of its own
)


class Client:
    """Does actions one by one, over a kept connection and new ones, and checks each reply."""

    def __init__(self, server, image, name):
        self.server, self.name, self.count = server, name, 0
        self.images = {label: image(colour) for label, colour in COLOURS.items()}
        self.kept = None
        self.faults: list[str] = []

    def run(self, actions) -> None:
        try:
            for kind, label, on_kept in actions:
                self.act(kind, label, on_kept and kind not in ("cancel", "half"))
        except Exception as error:
            self.faults.append(f"{kind} {label}: {error!r}")
        finally:
            if self.kept is not None:
                self.kept.close()

    def act(self, kind: str, label: str, on_kept: bool) -> None:
        if not on_kept:
            with self.server.connect() as wire:
                self.talk(wire, kind, label)
            return
        self.kept = self.kept or self.server.connect()
        self.talk(self.kept, kind, label)

    def talk(self, wire, kind: str, label: str) -> None:
        image = self.images[label]
        line, body = ("X-Nothing: x", image)
        if kind == "form":
            line, body = form([image])
        body = {"bad": image[:300], "rubbish": b"rubbish", "empty": b""}.get(kind, body)
        names = [self.next_name() for _ in range(2 if kind == "twice" else 1)]
        data = b"".join(request(body, line, f"X-Request-Id: {name}") for name in names)
        if kind in ("cancel", "half"):
            wire.send(data if kind == "cancel" else data[:-100])
            wire.reset()
            return
        self.send(wire, data, slowly=kind == "slow")
        for name in names:
            self.check(wire.reply(), kind, label, name)

    def send(self, wire, data: bytes, *, slowly: bool) -> None:
        step = len(data) // 4 + 1 if slowly else len(data)
        for at in range(0, len(data), step):
            wire.send(data[at : at + step])
            time.sleep(0.01 if slowly else 0)

    def check(self, reply, kind: str, label: str, name: str) -> None:
        expected = {"bad": 422, "rubbish": 415, "empty": 400}.get(kind, 200)
        own = reply.headers["x-request-id"] == name and name in (reply.json.get("id"), reply.json.get("request_id"))
        if reply.status != expected or not own or (expected == 200 and reply.label != label):
            self.faults.append(f"{kind} {label} {name}: {reply}")

    def next_name(self) -> str:
        self.count += 1
        return f"{self.name}-{self.count}"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ACTIONS, min_size=1, max_size=8), min_size=1, max_size=5))
def test_every_accepted_request_gets_exactly_one_reply_and_it_is_its_own(shared, image, plans):
    clients = [Client(shared, image, f"c{i}") for i in range(len(plans))]
    threads = [
        threading.Thread(target=client.run, args=(plan,), daemon=True)
        for client, plan in zip(clients, plans, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [client.faults for client in clients] == [[] for _ in clients]
    until(shared.is_idle)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.copy().save(file, kind, **options)  # a copy: Pillow leaves settings of one format for the next
    return file.getvalue()


def seeds() -> list[bytes]:
    """Return a small image in every format and most of their variants."""
    rng = np.random.default_rng(0)
    rgb, other = (Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)) for _ in range(2))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    grey16 = Image.fromarray(rng.integers(0, 65_535, (40, 48), dtype=np.uint16))

    def two() -> dict[str, object]:
        return {"save_all": True, "append_images": [other.copy()]}

    found = [
        encoded(rgb, "JPEG", **options) for options in ({}, {"progressive": True}, {"exif": exif, "comment": b"x"})
    ]
    found += [encoded(rgb.convert("CMYK"), "JPEG"), encoded(rgb, "MPO", **two())]
    found += [encoded(image, "PNG", exif=exif) for image in (rgb, rgb.convert("RGBA"), rgb.quantize(16), grey16)]
    found += [encoded(rgb, "PNG", **two()), encoded(rgb.quantize(16), "GIF"), encoded(rgb, "GIF", **two())]
    found += [encoded(rgb, "WEBP"), encoded(rgb.convert("RGBA"), "WEBP", lossless=True, exif=exif)]
    found += [encoded(image, "BMP") for image in (rgb, rgb.quantize(16), rgb.convert("1"))]
    codings = (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
    found += [encoded(rgb, "TIFF", compression=coding) for coding in codings]
    return [
        *found,
        encoded(grey16, "TIFF"),
        encoded(rgb, "TIFF", **two()),
        encoded(rgb.convert("1"), "TIFF", compression="group4"),
    ]


SEEDS = seeds()
_ODD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def mutated(rng: random.Random) -> bytes:
    """Return an image with one to four wounds, most of them in its headers."""
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(data), 200) if rng.random() < 0.6 else len(data))
        other = rng.choice(SEEDS)
        begin = rng.randrange(len(other))
        match rng.randrange(5):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.randrange(1, 60)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(1, 30))
            case 3:
                data[at:at] = other[begin : begin + rng.randrange(1, 200)]
            case _:
                width = rng.choice((1, 2, 4))
                number = rng.choice(_ODD) % (1 << 8 * width)
                data[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
        if not data:
            break
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_wounded_images_are_decoded_or_refused_in_time():
    rng = random.Random(7)
    slowest, outcomes = 0.0, {"ok": 0, "refused": 0}
    for case in range(3000):
        data, begun = mutated(rng), time.thread_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert decode(data, draft_px=rng.choice((None, 64))).mode == "RGB"
                outcomes["ok"] += 1
            except BadImageError:
                outcomes["refused"] += 1
            except Exception as error:
                raise AssertionError(f"case {case}, first bytes {data[:16].hex()}") from error
        slowest = max(slowest, time.thread_time() - begun)
    assert slowest < 4
    assert min(outcomes.values()) > 300, "both ways are walked"


def test_wounded_images_over_http_are_never_a_fault_of_the_server(server):
    rng = random.Random(8)
    with server.connect() as wire:
        for _ in range(400):
            wire.send(request(mutated(rng)))
            reply = wire.reply()
            assert reply.status in (200, 400, 415, 422), reply.body
