"""Who is measured: our server with two files, and baselines with the same ONNX file, each a process on one core."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from compress.benchmark.server_process import ServerProcess, free_port
from evals.serve.baseline_model import MODEL_VARIABLE

SERVER_CORES, LOAD_CORES = {0}, {1}
DEADLINE_MS = 1000
# Requests that the FastAPI baseline takes at once: what it answers in about half of the deadline at the rate of its
# closed loop (docs/results/serving.md), so that what it takes is in time and the rest is told 503.
FASTAPI_LIMIT = 128
_ROOT = Path(__file__).parents[2]
_PORT = "{port}"


@dataclass(frozen=True)
class Target:
    """A server that can be started.

    Attributes:
        name: how the table calls it.
        model: the file it serves.
        command: with `{port}` where the port goes.
        path: takes an image as the raw body of a POST.
        ready_path: answers 200 once requests are served.
        env: added to the environment.
        ours: whether it is this package's server.
    """

    name: str
    model: Path
    command: tuple[str, ...]
    path: str
    ready_path: str
    env: dict[str, str] = field(default_factory=dict)
    ours: bool = False

    def start(self, cores: set[int] | None = None) -> ServerProcess:
        """Start it on the server's core, or on these.

        Raises:
            StageError: it does not start.
        """
        port = free_port()
        command = [part.replace(_PORT, str(port)) for part in self.command]
        return ServerProcess(
            command, port=port, ready_path=self.ready_path, cores=cores or SERVER_CORES, env=self.env, cwd=_ROOT
        )


def ours(model: Path, *, workers: int = 1) -> Target:
    """Return our server with a file, its cache off where it has one, so that every image is worked on."""
    command = [sys.executable, "-m", "compress", "serve", str(model.absolute()), "--port", _PORT]
    command += ["--timeout-ms", str(DEADLINE_MS)]
    if workers > 1:
        command += ["--workers", str(workers)]
    if "--cache-mib" in _help():
        command += ["--cache-mib", "0"]
    name = f"imgc, {model.suffix.lstrip('.')}"
    return Target(name, model, tuple(command), "/v1/classify", "/readyz", ours=True)


def baselines(model: Path, environment: Path) -> list[Target]:
    """Return the baseline servers of an ONNX file; `environment` is the virtual environment that holds them."""
    python, path = str(environment.absolute() / "bin" / "python"), str(model.absolute())
    module = "evals.serve.baseline_{}"
    bento = (python, "-m", "bentoml", "serve", f"{module.format('bentoml')}:Classify", "--host", "127.0.0.1")
    return [
        Target(
            "FastAPI + ONNX Runtime",
            model,
            (python, "-m", module.format("fastapi"), path, _PORT, str(FASTAPI_LIMIT)),
            "/classify",
            "/health",
        ),
        Target("LitServe", model, (python, "-m", module.format("litserve"), path, _PORT), "/classify", "/health"),
        Target(
            "BentoML",
            model,
            (*bento, "--port", _PORT),
            "/classify",
            "/readyz",
            env={MODEL_VARIABLE: path, "BENTOML_DO_NOT_TRACK": "1"},
        ),
    ]


def baseline_versions(environment: Path) -> dict[str, str]:
    """Return the versions of the baselines and of what they run on; empty where the environment is not there."""
    python = environment / "bin" / "python"
    if not python.exists():
        return {}
    printed = subprocess.run(  # noqa: S603 - the environment that our Makefile builds
        [str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=False
    ).stdout
    pins = dict(line.split("==", 1) for line in printed.splitlines() if "==" in line)
    return {name: pins[name] for name in ("fastapi", "litserve", "bentoml", "onnxruntime", "uvicorn") if name in pins}


def _help() -> str:
    command = [sys.executable, "-m", "compress", "serve", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=_ROOT).stdout  # noqa: S603
