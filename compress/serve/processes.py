"""Several server processes on one port. They open copies of the model files that their parent made when it began.

So a process that dies comes back with the model it had, whatever has happened to the file meanwhile; SIGHUP takes the
files as they are then, if they can be served, and replaces the processes one by one.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import tempfile
from itertools import count
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from compress.core.formats import Format, format_of
from compress.core.onnx_file import onnx_bytes
from compress.errors import ImgcError, UsageError
from compress.runtime.trial import try_out
from compress.serve.app import SHARED_METRICS_VARIABLE
from compress.serve.config import ServeConfig
from compress.serve.core.service import Service

log = logging.getLogger("imgc.serve")
CONFIG_VARIABLE = "IMGC_SERVE_CONFIG"  # how a server process is told its config by its parent


def run_processes(config: ServeConfig, options: uvicorn.Config, listener: socket.socket) -> None:
    """Run until SIGTERM or SIGINT. The models of `config` can be served: it was tried.

    Raises:
        UsageError: the models cannot be copied.
    """
    with tempfile.TemporaryDirectory(prefix="imgc-serve-") as folder:
        os.environ[SHARED_METRICS_VARIABLE] = folder
        try:
            supervisor = _Supervisor(config, options, listener, Path(folder))
        except OSError as error:
            raise UsageError(
                f"{folder}: the models cannot be copied there: {error.strerror}",
                hint="name a folder with more room in TMPDIR",
            ) from error
        supervisor.run()


class _Supervisor(Multiprocess):
    """uvicorn's, whose processes open copies of the models."""

    def __init__(self, config: ServeConfig, options: uvicorn.Config, listener: socket.socket, folder: Path) -> None:
        super().__init__(options, sockets=[listener])
        self._served = config
        self._folders = (folder / f"models-{n}" for n in count())
        self._folder = next(self._folders)
        os.environ[CONFIG_VARIABLE] = _text_of(_with_copies(config, self._folder))

    def keep_subprocess_alive(self) -> None:
        """Replace the processes that died; see uvicorn."""
        for process in self.processes:
            # The child has its own end: without ours its death ends the wait for its answer, which may last a minute.
            process.child_conn.close()
        super().keep_subprocess_alive()

    def handle_hup(self) -> None:
        """Replace the processes, with the models as they are now; keep both where a model cannot be served."""
        before, self._folder = self._folder, next(self._folders)
        copies = self._served
        try:
            copies = _with_copies(self._served, self._folder)  # first: what is tried is what is served
            for path in copies.files:
                try_out(path)
            Service(copies)
        except (ImgcError, OSError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = before
            text = str(error)
            for copy, path in zip(copies.files, self._served.files, strict=True):
                text = text.replace(str(copy), str(path))
            log.error("the models are not replaced, for they cannot be served: %s", text)
            return
        os.environ[CONFIG_VARIABLE] = _text_of(copies)
        super().handle_hup()
        shutil.rmtree(before, ignore_errors=True)


def _with_copies(config: ServeConfig, folder: Path) -> ServeConfig:
    """Copy the model files, each into a folder of its own for its name says how it is called; return their config."""
    places = (folder / str(n) for n in count())

    def copied(path: Path) -> Path:
        copy = next(places) / path.name
        copy.parent.mkdir(parents=True)
        if format_of(path) is Format.ONNX:
            copy.write_bytes(onnx_bytes(path))
        else:
            shutil.copyfile(path, copy)
        return copy

    models = tuple(source.model_copy(update={"path": copied(source.path)}) for source in config.models)
    degrade = None if config.degrade is None else copied(config.degrade)
    return config.model_copy(update={"models": models, "degrade": degrade})


def _text_of(config: ServeConfig) -> str:
    """Return the config as JSON with the key in it: the environment of a child is read by this user alone."""
    values = config.model_dump(mode="json")
    if config.api_key is not None:
        values["api_key"] = config.api_key.get_secret_value()
    return json.dumps(values)
