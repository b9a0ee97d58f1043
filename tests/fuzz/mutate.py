"""Bytes of a whole file, changed at random; the same bytes for the same seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_NUMBERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_PARSED = 0.6
Lying = Callable[[bytes, random.Random], bytes]
_MOST_CHANGES = (1, 1, 1, 2, 4, 16)


def mutant(whole: bytes, seed: int, lying: Lying | None = None) -> bytes:
    """Return the file with one to sixteen changes of its bytes; every other one with changes of what they mean."""
    rng = random.Random(seed)
    if lying is not None and rng.random() < _PARSED:
        return lying(whole, rng)
    data = bytearray(whole)
    for _ in range(rng.choice(_MOST_CHANGES)):
        if data:
            rng.choice(_CHANGES)(data, rng)
    return bytes(data)


def _flip_a_bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set_a_byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_a_number(data: bytearray, rng: random.Random) -> None:
    """Write a number of four bytes as files keep offsets, lengths and sizes, or move the one there by a little."""
    at = rng.randrange(max(1, len(data) - 3)) & ~rng.choice((0, 3))
    found = int.from_bytes(data[at : at + 4], "little")
    number = rng.choice((*_NUMBERS, len(data), found + rng.choice((-4, -1, 1, 4))))
    data[at : at + 4] = struct.pack("<I", number & 0xFFFF_FFFF)


def _cut_the_end(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _leave_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randrange(1, 17)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at, size = rng.randrange(len(data)), rng.randrange(1, 33)
    data[at:at] = data[at : at + size] * rng.choice((1, 1, 2, 100))


def _copy_over(data: bytearray, rng: random.Random) -> None:
    source, target, size = rng.randrange(len(data)), rng.randrange(len(data)), rng.randrange(1, 33)
    part = data[source : source + size]
    data[target : target + len(part)] = part


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip_a_bit,
    _set_a_byte,
    _set_a_number,
    _set_a_number,
    _cut_the_end,
    _leave_out,
    _repeat,
    _copy_over,
)
