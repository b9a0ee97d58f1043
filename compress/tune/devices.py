"""What a device allows: a YAML file, one of those that come with imgc, or a `bench.json` measured on it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.benchmark.bench_file import read_bench
from compress.core.fact import first_fault
from compress.core.formats import Format, Precision
from compress.errors import UsageError
from compress.graph.targets import TargetName

_HINT = "imgc tune --device NAME|FILE.yaml|BENCH.json"


class Device(BaseModel):
    """A device to search for.

    Attributes:
        name: of the device.
        source: where the figures come from.
        runtime: what runs the file there.
        target: operators that are allowed, see `compress.graph.targets`; None for the usual ones.
        max_size_bytes: of the file.
        max_memory_bytes: of the tensors that live at once.
        max_latency_ms: of one image.
        ms_per_mmac: milliseconds for a million multiply-accumulates in int8, one thread; None measures here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    runtime: Literal["tflite", "onnx"] = "tflite"
    target: TargetName | None = None
    max_size_bytes: int | None = Field(default=None, gt=0)
    max_memory_bytes: int | None = Field(default=None, gt=0)
    max_latency_ms: float | None = Field(default=None, gt=0)
    ms_per_mmac: float | None = Field(default=None, gt=0)


def device_names() -> list[str]:
    """Return the names of the devices that come with imgc."""
    folder = files("compress.tune") / "devices"
    return sorted(path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml"))


def read_device(given: str) -> Device:
    """Return a device by name, from a YAML file, or measured: the median over the int8 rows of a `bench.json`.

    Raises:
        UsageError: there is no such device or file, or the file says something else.
    """
    if given in device_names():
        return _from_yaml((files("compress.tune") / "devices" / f"{given}.yaml").read_text(encoding="utf-8"), given)
    path = Path(given)
    if path.suffix.lower() == ".json":
        return _measured(path)
    try:
        return _from_yaml(path.read_text(encoding="utf-8"), given)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--device {given}: no such device or file; there are {', '.join(device_names())}") from error


def _from_yaml(text: str, given: str) -> Device:
    try:
        return Device.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise UsageError(f"--device {given}: no YAML: {str(error).splitlines()[0]}", hint=_HINT) from error
    except ValidationError as error:
        allowed = ", ".join(Device.model_fields)
        raise UsageError(f"--device {given}: {first_fault(error)}", hint=f"keys: {allowed}") from error


def _measured(path: Path) -> Device:
    bench = read_bench(path)
    speeds: dict[Format, list[float]] = {}
    for row in bench.rows:
        if row.precision is Precision.INT8 and row.macs and row.latency_p50_ms and row.threads == 1 and row.batch == 1:
            speeds.setdefault(row.format, []).append(row.latency_p50_ms / (row.macs / 1e6))
    runtime = next((one for one in (Format.TFLITE, Format.ONNX) if one in speeds), None)
    if runtime is None:
        raise UsageError(
            f"--device {path}: no int8 .tflite or .onnx row of one thread and one image", hint="imgc bundle RUN"
        )
    return Device(
        name=str(bench.host.get("cpu", path.stem)),
        source=f"{path}: {len(speeds[runtime])} int8 files measured there",
        runtime="tflite" if runtime is Format.TFLITE else "onnx",
        ms_per_mmac=median(speeds[runtime]),
    )
