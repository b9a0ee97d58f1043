from __future__ import annotations

import pytest

from compress.serve.core import deadline as module
from compress.serve.core.deadline import Deadline
from compress.serve.errors import RequestError


def test_passes_until_its_time_then_names_the_step_not_begun(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    deadline = Deadline(250)
    deadline.check("decoding")
    now[0] += 0.2
    assert deadline.remaining_s() == pytest.approx(0.05)
    now[0] += 0.1
    assert deadline.remaining_s() == 0
    with pytest.raises(RequestError, match="250 ms passed before inference") as caught:
        deadline.check("inference")
    assert (caught.value.status, caught.value.code) == (504, "deadline")
