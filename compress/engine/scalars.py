"""TensorBoard scalars, written as event files without importing TensorFlow.

`torch.utils.tensorboard` imports TensorFlow wherever it is installed: seconds and hundreds of megabytes for a few
numbers. The record format and the protobuf are tensorboard's own.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from compress.core.storage import atomic_path

EVENTS_FILE = "events.out.tfevents.0.imgc"


def start_scalars(folder: Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Write a fresh event file that holds the epochs done so far, replacing what a killed run left.

    Args:
        folder: TensorBoard's log folder.
        rows: one mapping of tag -> value an epoch; its "epoch" is the step.
    """
    with atomic_path(folder / EVENTS_FILE) as temporary, temporary.open("wb") as file:
        RecordWriter(file).write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        for row in rows:
            _append(file, row)


def append_scalars(folder: Path, row: Mapping[str, float]) -> None:
    """Append one epoch, in place, so that a TensorBoard that is watching sees it."""
    with (folder / EVENTS_FILE).open("ab") as file:
        _append(file, row)


def _append(file: BinaryIO, row: Mapping[str, float]) -> None:
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in row.items() if tag != "epoch"]
    event = Event(wall_time=time.time(), step=int(row["epoch"]), summary=Summary(value=values))
    RecordWriter(file).write(event.SerializeToString())


def read_scalars(folder: Path) -> list[dict[str, float]]:
    """Return one mapping of tag -> value an epoch, with its "epoch"; values as float32 holds them.

    Empty where there is no file. A record that a killed process left unfinished at the end is passed over.
    """
    path = folder / EVENTS_FILE
    data = path.read_bytes() if path.is_file() else b""
    events = [Event.FromString(record) for record in _records(data)]
    rows = [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in events]
    return [{"epoch": float(step), **row} for step, row in rows if row]


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: length in 8 bytes, its check sum in 4, the record, its check sum in 4."""
    start = 0
    while start + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + 12 + length
        if end + 4 > len(data):
            return
        yield data[start + 12 : end]
        start = end + 4
