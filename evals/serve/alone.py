"""What no server can beat: decoding, preprocessing and inference of the same images in one thread, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time

from compress.benchmark.server_process import pinned
from compress.benchmark.single_stream import answer
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor
from evals.serve.targets import SERVER_CORES


class Alone:
    """A model file in this process."""

    def __init__(self, model: Path) -> None:
        """Open it for one thread."""
        self._predictor: Predictor = open_predictor(model, threads=1)

    def label(self, body: bytes) -> str:
        """Return the class of an image, as evaluation finds it."""
        return self._predictor.spec.labels[answer(self._predictor, [body])[0]]

    def cpu_ms(self, bodies: Sequence[bytes], passes: int = 3) -> float:
        """Return the processor time of one image on the server's core, in ms, the mean over passes."""
        with pinned(SERVER_CORES):
            self.label(bodies[0])
            begun = process_time()
            for _ in range(passes):
                for body in bodies:
                    self.label(body)
            return 1000 * (process_time() - begun) / (passes * len(bodies))
