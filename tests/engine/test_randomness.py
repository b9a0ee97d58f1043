from __future__ import annotations

import torch

from compress.engine.randomness import Purpose, generator, seeded_torch


def test_streams_of_other_seeds_purposes_and_keys_differ():
    keys = [(0, Purpose.ORDER, 0), (1, Purpose.ORDER, 0), (0, Purpose.AUGMENT, 0), (0, Purpose.ORDER, 1)]
    assert len({float(generator(*key).random()) for key in keys}) == len(keys)
    assert generator(0, Purpose.ORDER, 5).random() == generator(0, Purpose.ORDER, 5).random()


def test_torch_is_seeded_inside_and_restored_after():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded_torch(3, Purpose.TORCH, 1):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.get_rng_state(), before)
