"""From images to a small, fast, trustworthy image classifier: what the command `imgc` does, for programs.

What `__all__` names is promised to stay; everything below (`compress.core`, `compress.runtime`, ...) may change. See
docs/reference/python-api.md.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from compress import api, package
from compress.api import Model, evaluate, load, run
from compress.errors import (
    BackendMissingError,
    DataError,
    GateError,
    ImgcError,
    ModelFileError,
    RecipeError,
    StageError,
    UsageError,
)
from compress.results import (
    BenchmarkResult,
    BenchmarkRow,
    Classification,
    EvaluationResult,
    GateResult,
    Prediction,
    RunResult,
    StageResult,
)

if TYPE_CHECKING:
    from compress.api import benchmark
else:
    # `compress.benchmark` is a room too: Python sets the module under this name whenever something in it is imported,
    # in place of any function. So the module is made to be called.
    from compress import benchmark

    class _CallableRoom(ModuleType):
        __call__ = staticmethod(api.benchmark)

    benchmark.__class__ = _CallableRoom

__all__ = [
    "BackendMissingError",
    "BenchmarkResult",
    "BenchmarkRow",
    "Classification",
    "DataError",
    "EvaluationResult",
    "GateError",
    "GateResult",
    "ImgcError",
    "Model",
    "ModelFileError",
    "Prediction",
    "RecipeError",
    "RunResult",
    "StageError",
    "StageResult",
    "UsageError",
    "__version__",
    "benchmark",
    "evaluate",
    "load",
    "run",
]

__version__ = package.VERSION
