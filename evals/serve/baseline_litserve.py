"""A baseline server, LitServe with ONNX Runtime: `python -m evals.serve.baseline_litserve MODEL PORT`.

The raw body, which `decode_request` declares as bytes; one worker and one API process, the fast queue, no batching.
No postponed annotations here: LitServe reads those of `decode_request` as they stand.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import litserve
from fastapi import Body

from evals.serve.baseline_model import BaselineModel


class Classify(litserve.LitAPI):  # type: ignore[misc]
    """The model behind LitServe's hooks."""

    def __init__(self, model_path: str) -> None:
        super().__init__(api_path="/classify")
        self._model_path = model_path

    def setup(self, device: str) -> None:
        """Open the model, in the worker process."""
        self._model = BaselineModel(Path(self._model_path))

    def decode_request(self, request: Annotated[bytes, Body()]) -> bytes:
        """Return the body."""
        return request

    def predict(self, body: bytes) -> dict[str, Any]:
        """Return the best classes."""
        return self._model.classify(body)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the answer as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Classify(sys.argv[1]), accelerator="cpu", workers_per_device=1, timeout=False, fast_queue=True
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
