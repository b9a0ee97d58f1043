from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from compress.cli.doctor import list_packages
from compress.cli.errors import EXTRA_OF_MODULE, ImgcGroup, describe, ending_signals
from compress.errors import DataError, GateError, RecipeError, StageError, UsageError
from tests.runtime.test_trial import endless
from tests.waiting import until


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("x"), 2), (RecipeError("x"), 2), (DataError("x"), 2), (StageError("x"), 4), (GateError("x"), 5)],
)
def test_expected_failures_keep_their_code(error: Exception, code: int):
    assert describe(error) == ("error: x", code)


def test_the_hint_has_its_own_line():
    assert describe(UsageError("no run", hint="imgc train"))[0] == "error: no run\nhint: imgc train"


@pytest.mark.parametrize(("module", "extra"), sorted(EXTRA_OF_MODULE.items()))
def test_a_missing_backend_names_the_extra(module: str, extra: str):
    text, code = describe(ModuleNotFoundError(f"No module named '{module}.nn'", name=f"{module}.nn"))
    assert code == 3
    assert f"imgc-toolkit[{extra}]" in text


def test_every_extra_is_one_of_the_distribution():
    assert set(EXTRA_OF_MODULE.values()) <= {package.extra for package in list_packages()}


def test_a_bug_of_ours_is_not_called_a_missing_backend():
    text, code = describe(ModuleNotFoundError("No module named 'compress.nothing'", name="compress.nothing"))
    assert code == 4
    assert "--debug" in text


def test_interruption_says_how_to_go_on():
    text, code = describe(KeyboardInterrupt())
    assert code == 130
    assert "again" in text


def test_a_full_disk_is_named_with_the_file():
    text, code = describe(OSError(errno.ENOSPC, "No space left on device", "/runs/x"))
    assert code == 4
    assert text.startswith("error: /runs/x: No space left on device\nhint: ")


def test_the_unforeseen_is_one_line():
    text, code = describe(ValueError("first\nsecond"))
    assert code == 4
    assert text.splitlines()[0] == "error: unforeseen ValueError: first"


def _app(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=ImgcGroup, pretty_exceptions_enable=False)

    @app.callback()
    def root(debug: bool = False) -> None:
        pass

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_a_traceback_only_with_debug():
    quiet = CliRunner().invoke(_app(ValueError("boom")), ["fail"])
    assert (quiet.exit_code, "Traceback" in quiet.output) == (4, False)
    loud = CliRunner().invoke(_app(ValueError("boom")), ["--debug", "fail"])
    assert (loud.exit_code, "Traceback" in loud.stderr) == (4, True)


def test_exits_and_usage_errors_pass_through():
    assert CliRunner().invoke(_app(typer.Exit(7)), ["fail"]).exit_code == 7
    assert CliRunner().invoke(_app(ValueError()), ["fail", "--nonsense"]).exit_code == 2
    assert CliRunner().invoke(_app(KeyboardInterrupt()), ["fail"]).exit_code == 130


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_as_ctrl_c_does(number: signal.Signals, code: int):
    kept = []
    app = typer.Typer(cls=ImgcGroup, pretty_exceptions_enable=False)

    @app.callback()
    def root(debug: bool = False) -> None:
        pass

    @app.command()
    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            kept.append("what was made")

    before = signal.getsignal(number)
    result = CliRunner().invoke(app, ["work"])
    assert result.exit_code == code
    assert result.stderr.startswith(f"error: ended by {number.name}\nhint: run the same command again")
    assert kept == ["what was made"]
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


_STUCK = """
import sys
from pathlib import Path
import numpy as np
from compress.cli import errors
from compress.core.preprocess import Preprocess
from compress.runtime.open import open_predictor
errors.GRACE_S = 0.5
predictor = open_predictor(Path(sys.argv[1]), preprocess=Preprocess(resize_px=16, crop_px=16))
with errors.ending_signals():
    print("runs", flush=True)
    predictor.predict(np.zeros((1, 3, 16, 16), np.float32))
"""


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_a_command_that_does_not_come_back_from_a_library_ends_all_the_same(tmp_path: Path):
    command = [sys.executable, "-c", _STUCK, str(endless(tmp_path / "endless.onnx"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "runs\n"
        begun_s = cpu_s(process.pid)
        until(lambda: cpu_s(process.pid) > begun_s + 0.3)  # it is in the graph, not before it
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


def test_who_handles_the_signal_himself_ends_in_his_own_time():
    program = (
        "import signal, time\n"
        "from compress.cli import errors\n"
        "errors.GRACE_S = 0.1\n"
        "with errors.ending_signals():\n"
        "    signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    time.sleep(0.5)\n"
        "    print('drained')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "drained\n"), done.stderr
