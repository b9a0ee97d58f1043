"""A baseline server, FastAPI with ONNX Runtime, tuned: `python -m evals.serve.baseline_fastapi MODEL PORT LIMIT`.

Raw body, uvloop and httptools, no access log, the work in a thread so that the event loop stays free, one at a time,
since the server has one core. uvicorn answers 503 to what comes when LIMIT requests are at work, so that it sheds load
as our server does.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from evals.serve.baseline_model import BaselineModel


def create_app(model_path: Path) -> FastAPI:
    """Return the application, its model open and warm."""
    model, app, pool = BaselineModel(model_path), FastAPI(), ThreadPoolExecutor(1)

    @app.post("/classify")
    async def classify(request: Request) -> Response:
        body = await request.body()
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(pool, model.classify, body))

    @app.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    return app


if __name__ == "__main__":
    application = create_app(Path(sys.argv[1]))
    uvicorn.run(
        application,
        port=int(sys.argv[2]),
        limit_concurrency=int(sys.argv[3]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",  # a warning for each request that is shed would cost what is measured
    )
