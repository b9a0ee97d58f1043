"""Several processes learn as one does: each image of a batch weighs the same, wherever it is."""

from __future__ import annotations

import pytest
import torch

from compress.engine.detection import losses
from compress.engine.detection.batches import BACKGROUND
from compress.engine.detection.losses import detection_loss, per_process
from compress.engine.detection.options import DetectOptions
from tests.engine.detection.test_losses import KNOWN
from tests.engine.detection.test_losses import _batch as batch_of
from tests.engine.detection.test_losses import _outputs as outputs


def test_the_losses_of_processes_add_up_to_that_of_the_wholebatch_of(monkeypatch: pytest.MonkeyPatch):
    raw, logits = outputs()
    whole = detection_loss(DetectOptions())((raw, logits), batch_of(KNOWN))
    assert torch.equal(per_process(torch.tensor(0), 3), torch.tensor(1))

    shares = [[0], [1, 2]]  # one box, and six: means of their own would weigh them alike
    totals = torch.stack(((batch_of(KNOWN).classes_NA != BACKGROUND).sum(), torch.tensor(len(KNOWN)))).float()
    monkeypatch.setattr(losses, "world_size", lambda: 2)
    monkeypatch.setattr(losses, "sum_in_place", lambda values: values.copy_(totals))
    parts = [
        detection_loss(DetectOptions())((raw[share], logits[share]), batch_of([KNOWN[index] for index in share]))
        * (len(share) / len(KNOWN))
        for share in shares
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)
