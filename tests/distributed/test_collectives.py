from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from compress.distributed import collectives
from tests.distributed.two_fits import CASES, run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have carried out all cases."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "tests.distributed.two_fits", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _result(together: Path, case: str) -> dict:
    return json.loads((together / f"{list(CASES).index(case)}-0" / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_do_what_one_does(together, tmp_path, case):
    found = _result(together, case)
    alone, model = run(case, tmp_path)
    for row, expected in zip(found["history"], alone.history, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-4)
        assert row["val_top1_pct"] == expected["val_top1_pct"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(torch.tensor(found["weights"][name]).to(tensor), tensor, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_a_parameter_that_nobody_uses_stays_as_it_was(together):
    assert _result(together, "uneven")["weights"]["unused"] == [[1.0, 1.0], [1.0, 1.0]]


@pytest.mark.slow
def test_the_first_process_alone_writes(together):
    written = sorted(path.name for path in together.rglob("*") if path.is_file())
    assert written == sorted(["checkpoint.safetensors", "events.out.tfevents.0.imgc", "result.json"] * len(CASES))
    assert {path.name.split("-")[1] for path in together.iterdir()} == {"0"}


def test_alone_nothing_happens():
    model = torch.nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    before = model.weight.grad.clone()
    assert collectives.add_gradients(model, 1.5, torch.device("cpu")) == 1.5
    assert torch.equal(model.weight.grad, before)
    assert collectives.add_up([3, 4]) == [3, 4]
    assert collectives.from_first(b"mine") == b"mine"
    collectives.require_equal("", "nobody to disagree with")
    assert collectives.share_of(5).tolist() == [0, 1, 2, 3, 4]
