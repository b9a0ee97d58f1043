"""What docs say of the training loops."""

from __future__ import annotations

from evals.results.schema import Block

LOOPS = {"plain": "the plain loop", "careful": "the careful plain loop"}
"""Key of a loop's facts -> its name in a sentence."""


RATES = "rates"


def training_sentences(block: Block) -> list[str]:
    """Return how often only one of two loops is right on a test image, and what ours did once before an epoch."""
    if block.key == RATES:
        return [_rates_sentence(block)]
    texts = [
        f"Only {name} is right on {block.number(f'only_{key}'):.0f} of the test images, only imgc on "
        f"{block.number(f'only_ours_beside_{key}'):.0f} (exact McNemar p {block.number(f'mcnemar_p_{key}'):.2f})."
        for key, name in LOOPS.items()
        if f"only_{key}" in block.facts
    ]
    decoding = f"Once, before imgc's first epoch: decoding in {block.number('first_decoding_s'):.1f} s."
    return [" ".join([*texts, decoding])]


def _rates_sentence(block: Block) -> str:
    worse = int(block.number("worse"))
    gain, settings = block.number("gain_pp"), block.number("settings")
    return (
        f"With the same seeds, the rate by the number of steps is {gain:.1f} points better than 2e-3, the default "
        f"before (median of {settings:.0f} settings), and worse in {worse or 'none'} of them."
    )
