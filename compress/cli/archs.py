"""`imgc archs`: the architectures that can be trained, with what they cost."""

from __future__ import annotations

from dataclasses import asdict

from compress.cli.options import AsJson
from compress.cli.output import echo


def archs(as_json: AsJson = False) -> None:
    """List the architectures: size, work, speed, and where pretrained weights come from."""
    from compress.cli.output import print_json, print_table
    from compress.models.arch_facts import ARCH_FACTS

    if as_json:
        print_json({name: asdict(facts) for name, facts in ARCH_FACTS.items()})
        return
    rows = [
        (
            name,
            facts.weights or "none: train from scratch",
            facts.input_px,
            f"{facts.params / 1e6:.2f} M",
            f"{facts.macs / 1e6:.0f} M",
            f"{facts.relative_time:g}",
        )
        for name, facts in ARCH_FACTS.items()
    ]
    header = ("architecture", "ImageNet weights from", "input px", "parameters", "MACs", "time")
    print_table("architectures", header, rows, left=2)
    echo("with 1000 classes, at the input named; time: float, one thread, mobilenet_v3_small is 1")
    echo("train one: imgc init IMAGES --arch NAME; without a network add --weights FILE of the same architecture")
