"""Files that can be parsed and lie: a number, a name or a list of the parsed model is changed, and written again."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import onnx

Change = Callable[[random.Random], None]
_NUMBERS = (0, 1, -1, 2, 3, 5, 127, -128, 255, 65_536, 2**31 - 1, -(2**31))
_WIDE_NUMBERS = (*_NUMBERS, 2**40, 2**63 - 1, -(2**63))
_REALS = (0.0, -1.0, 1e-45, 1e38, float("inf"), float("nan"))
_WORDS = (
    "",
    "images",
    "logits",
    "\x1b[2J",
    "../../../etc/passwd",
    "x" * 5000,
    "If",
    "Loop",
    "\u202e",
    "Conv",
    "Resize",
)


def lying_onnx(whole: bytes, rng: random.Random) -> bytes:
    """Return the model with one to four parts of its message changed."""
    model = onnx.ModelProto.FromString(whole)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(list(_in_message(model)))(rng)
    return model.SerializeToString()


def lying_tflite(whole: bytes, rng: random.Random) -> bytes:
    """Return the model with one to four parts of its tables changed."""
    from compress.runtime.tflite_meta import pack, unpack

    model = unpack(whole)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(list(_in_object(model)))(rng)
    try:
        return pack(model)
    except (TypeError, ValueError, struct.error, AttributeError, OverflowError):  # what flatbuffers cannot write
        return lying_tflite(whole, rng)


def lying_safetensors(whole: bytes, rng: random.Random) -> bytes:
    """Return the file with one to four values of its header changed."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    for _ in range(rng.choice((1, 1, 2, 4))):
        change_json(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def change_json(value: Any, rng: random.Random) -> None:
    """Change one value somewhere in a list or dict."""
    if changes := list(_in_json(value)):
        rng.choice(changes)(rng)


def _in_message(message: Any) -> Iterator[Change]:
    """Yield one change for each value that is set in a message, and in those inside it."""
    for field, value in message.ListFields():
        if hasattr(value, "append") or hasattr(value, "add"):
            yield lambda rng, values=value: _change_repeated(values, rng)
            for one in list(value):
                if hasattr(one, "ListFields"):
                    yield from _in_message(one)
        elif hasattr(value, "ListFields"):
            yield from _in_message(value)
            yield lambda rng, name=field.name: message.ClearField(name)
        else:
            yield lambda rng, name=field.name, old=value: _set(message, name, _other(old, rng), old)


def _change_repeated(values: Any, rng: random.Random) -> None:
    if not values:
        return
    at, other = rng.randrange(len(values)), rng.randrange(len(values))
    what = rng.choice(("leave out", "twice", "change", "swap"))
    one = values[at]
    if what == "leave out":
        del values[at]
    elif what == "twice" or (hasattr(one, "ListFields") and what == "change"):
        values.append(one)
    elif hasattr(one, "ListFields"):
        held = type(one)()
        held.CopyFrom(one)
        one.CopyFrom(values[other])
        values[other].CopyFrom(held)
    elif what == "swap":
        values[at], values[other] = values[other], one
    else:
        new = _other(one, rng)
        try:
            values[at] = new
        except (TypeError, ValueError):
            values[at] = type(one)(1)


def _set(message: Any, name: str, new: Any, old: Any) -> None:
    try:
        setattr(message, name, new)
    except (TypeError, ValueError):  # too wide a number, or none that the enumeration has
        setattr(message, name, old)


def _in_object(thing: Any) -> Iterator[Change]:
    """Yield one change for each attribute of a table of a TFLite model, and of those inside it."""
    for name, value in vars(thing).items():
        if name == "data" or name.startswith("_"):
            yield lambda rng, name=name, old=value: setattr(thing, name, _shorter(old, rng))
        elif isinstance(value, (bool, int, float, bytes, str)):
            yield lambda rng, name=name, old=value: setattr(thing, name, _other(old, rng))
        elif value is not None and hasattr(value, "__len__"):
            items = list(value)
            yield lambda rng, name=name, items=items: setattr(thing, name, _other_list(items, rng))
            for one in items:
                if hasattr(one, "__dict__"):
                    yield from _in_object(one)
        elif hasattr(value, "__dict__"):
            yield from _in_object(value)
            yield lambda rng, name=name: setattr(thing, name, None)


def _shorter(data: Any, rng: random.Random) -> Any:
    return None if data is None or rng.random() < 0.2 else data[: rng.randrange(len(data) + 1)]


def _other_list(items: list[Any], rng: random.Random) -> list[Any]:
    if not items:
        return [rng.choice(_NUMBERS)]
    at = rng.randrange(len(items))
    what = rng.choice(("leave out", "twice", "change", "swap"))
    if what == "leave out":
        return items[:at] + items[at + 1 :]
    if what == "twice":
        return [*items, items[at]]
    if what == "change" and not hasattr(items[at], "__dict__"):
        return [*items[:at], _other(items[at], rng), *items[at + 1 :]]
    rng.shuffle(items)
    return items


def _in_json(value: Any) -> Iterator[Change]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        one = value[key]
        yield lambda rng, key=key, one=one: value.__setitem__(key, _other(one, rng))
        if isinstance(one, (dict, list)):
            yield from _in_json(one)
    if isinstance(value, dict):
        yield lambda rng: value.pop(rng.choice(list(value)), None) if value else None


def _other(old: Any, rng: random.Random) -> Any:
    """Return another value, most often of the same type."""
    if rng.random() < 0.3 and isinstance(old, int):
        return old + rng.choice((-1, 1))
    if isinstance(old, bool):
        return not old
    if isinstance(old, float):
        return rng.choice(_REALS)
    if isinstance(old, bytes):
        return rng.choice((b"", old[: len(old) // 2], old * 2, b"\xff" * len(old), rng.choice(_WORDS).encode()))
    if isinstance(old, str):
        return rng.choice((*_WORDS, old + "x", old[1:]))
    if old is None or isinstance(old, (dict, list)):
        return rng.choice(([], {}, None, 0, "", [old]))
    return rng.choice(_WIDE_NUMBERS if abs(int(old)) > 2**31 else _NUMBERS)
