"""How long to train, where nobody says."""

from __future__ import annotations

from compress.recipe.epochs import epochs_for


def test_few_images_and_fresh_weights_need_more_passes():
    assert epochs_for(3068, fresh=False) == 6
    assert epochs_for(100, fresh=False) == 30
    assert epochs_for(2800, fresh=True) > epochs_for(2800, fresh=False)
    assert epochs_for(0, fresh=True) == 60
