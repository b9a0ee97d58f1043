from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.core.boxes import AnchorMap, BoxCoding
from compress.detect.coding import anchors_of
from compress.models.archs import library
from compress.models.detectors import DETECTORS, new_detector_spec
from compress.models.ssdlite import EXTRA_WIDTHS, SsdLite, TimmBackbone
from tests.lively import liven

GRIDS = ((5, 9), (3, 5), (2, 3), (1, 2), (1, 1), (1, 1))  # two of the backbone, each further one of half the sides
CODING = BoxCoding(
    maps=tuple(
        AnchorMap(
            rows=rows, columns=columns, sizes=tuple((0.1 + 0.1 * size, 0.9 - 0.1 * index) for size in range(count))
        )
        for index, ((rows, columns), count) in enumerate(zip(GRIDS, (2, 3, 1, 4, 2, 1), strict=True))
    )
)
WIDTHS = (4, 6)
SCORES = 3


class TwoMaps(nn.Module):
    """Stands for a backbone."""

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        first, second = (
            images_NCHW.mean() + torch.randn(len(images_NCHW), width, *grid)
            for width, grid in zip(WIDTHS, GRIDS, strict=False)
        )
        return first, second


class Told(nn.Module):
    """Stands for a head: it answers with a map made before, where its own map has the sides for it."""

    def __init__(self, answer_CHW: Tensor) -> None:
        super().__init__()
        self.answer_CHW = answer_CHW

    def forward(self, map_NCHW: Tensor) -> Tensor:
        assert map_NCHW.shape[2:] == self.answer_CHW.shape[1:]
        return self.answer_CHW.expand(len(map_NCHW), -1, -1, -1)


def _net() -> SsdLite:
    torch.manual_seed(0)
    return SsdLite(TwoMaps(), WIDTHS, [len(one.sizes) for one in CODING.maps], SCORES)


def _anchors_on(one: AnchorMap) -> Tensor:
    """Return a head's map whose four numbers of each size at each cell are the anchor that belongs there."""
    answer_CHW = torch.zeros(4 * len(one.sizes), one.rows, one.columns)
    for size, (width, height) in enumerate(one.sizes):
        for row in range(one.rows):
            for column in range(one.columns):
                centre = (column + 0.5) / one.columns, (row + 0.5) / one.rows
                answer_CHW[4 * size : 4 * size + 4, row, column] = torch.tensor([*centre, width, height])
    return answer_CHW


def test_an_answer_lands_where_the_anchor_of_its_cell_and_size_is():
    net = _net()
    net.box_heads = nn.ModuleList(Told(_anchors_on(one)) for one in CODING.maps)
    raw_NA4, _ = net(torch.zeros(2, 3, 8, 8))
    for raw_A4 in raw_NA4:
        np.testing.assert_allclose(raw_A4.numpy(), anchors_of(CODING), atol=1e-6)


def test_the_scores_of_an_anchor_are_where_its_box_is():
    net = _net()
    maps = [_anchors_on(one) for one in CODING.maps]
    net.box_heads = nn.ModuleList(Told(answer) for answer in maps)
    three = [answer.unflatten(0, (-1, 4))[:, [3, 0, 1]].flatten(0, 1) for answer in maps]
    net.score_heads = nn.ModuleList(Told(answer) for answer in three)
    raw_NA4, logits_NAK = net(torch.zeros(2, 3, 8, 8))
    assert logits_NAK.shape == (2, CODING.anchors, SCORES)
    assert torch.equal(logits_NAK, raw_NA4[..., [3, 0, 1]])


def test_each_image_has_its_own_answers():
    net = _net().eval()
    raw_NA4, logits_NAK = net(torch.zeros(2, 3, 8, 8))
    assert not torch.equal(raw_NA4[0], raw_NA4[1])
    assert not torch.equal(logits_NAK[0], logits_NAK[1])


def test_a_map_behind_the_backbone_has_half_the_sides_rounded_up():
    maps, net = [torch.zeros(2, WIDTHS[-1], *GRIDS[1])], _net()
    for block in net.extra:
        maps.append(block(maps[-1]))
    assert [tuple(one.shape[1:]) for one in maps[1:]] == [
        (width, *grid) for width, grid in zip(EXTRA_WIDTHS, GRIDS[2:], strict=True)
    ]


def test_all_filters_of_more_than_a_pixel_look_at_one_channel():
    wide = [one for one in _net().modules() if isinstance(one, nn.Conv2d) and one.kernel_size != (1, 1)]
    assert len(wide) == len(EXTRA_WIDTHS) + 2 * len(GRIDS)
    assert all(one.groups == one.in_channels for one in wide)


def test_a_number_of_anchors_for_each_map_is_needed():
    with pytest.raises(ValueError, match="zip"):
        SsdLite(TwoMaps(), WIDTHS, [6] * 5, SCORES)


def test_fresh_heads_are_small_and_their_biases_nought():
    net = _net()
    for head in (*net.box_heads, *net.score_heads):
        assert not head[-1].bias.any()
        assert 0.01 < head[-1].weight.std() < 0.05


@pytest.mark.parametrize("arch", [name for name, info in DETECTORS.items() if info.backbone])
def test_the_maps_are_the_expansion_and_the_last_map_of_timms_own_network(arch):
    info = DETECTORS[arch]
    network = liven(library("timm").create_model(info.backbone), (3, 64, 64))
    seen: dict[str, Tensor] = {}
    for name, module in (("expansion", network.blocks[info.tap][0].bn1), ("blocks", network.blocks)):
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out.clone()}))
    images_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        last = network.forward_features(images_NCHW)
        wide, deep = TimmBackbone(network, info.tap).eval()(images_NCHW)
    torch.testing.assert_close(wide, seen["expansion"])
    torch.testing.assert_close(deep, last)
    assert (wide.shape[1], deep.shape[1]) == info.widths
    assert (wide.shape[2:], deep.shape[2:]) == ((4, 4), (2, 2))


@pytest.mark.parametrize("arch", [name for name, info in DETECTORS.items() if info.backbone])
def test_every_layer_learns_from_boxes_and_scores(arch):
    spec = new_detector_spec(arch, ["a", "b"], 128)
    model = DETECTORS[arch].build(spec.boxes, spec.num_classes)
    raw_NA4, logits_NAK = model(torch.randn(2, *spec.input_chw))
    (raw_NA4.square().mean() + logits_NAK.square().mean()).backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert still == []
