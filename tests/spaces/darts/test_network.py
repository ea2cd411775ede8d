"""The DARTS supernet against the same sums written out, and the discrete network against the supernet."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture, NetworkConfig, SpaceError, initialize
from harness.spaces.darts.encoding import CELL_EDGES, OPERATIONS
from harness.spaces.darts.network import DiscreteNetwork
from harness.spaces.darts.skeleton import CellPosition
from harness.spaces.darts.space import PUBLISHED, DARTSSpace
from harness.spaces.darts.supernet import OUTGOING, DARTSSupernet, EdgeNorm, MixedCell
from harness.spaces.network_size import parameters

SPACE = DARTSSpace()
SMALL = NetworkConfig(channels=4, cells=1, classes=3)
V2 = SPACE.parse(PUBLISHED)
CONVOLUTIONS = SPACE.parse(
    "normal:|sep_conv_3x3~0|skip_connect~1|+|dil_conv_3x3~0|sep_conv_5x5~2|+|dil_conv_5x5~1|skip_connect~3|"
    "+|sep_conv_3x3~3|sep_conv_3x3~4|;"
    "reduce:|sep_conv_5x5~0|skip_connect~1|+|dil_conv_3x3~0|skip_connect~2|+|skip_connect~0|dil_conv_5x5~3|"
    "+|sep_conv_3x3~1|skip_connect~4|"
)
"""A genotype without pooling, of which the supernet computes the same as the discrete network."""


def random(seed: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=stream(0, seed), dtype=torch.float64)


def supernet(config: NetworkConfig = SMALL) -> DARTSSupernet:
    network = DARTSSupernet(config)
    initialize(network, lambda name: stream(0, name))
    return network.double()


# A cell and its edges


def norm(x: Tensor) -> Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


class Normalise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return norm(x)


def factorized(x: Tensor, weights: list[Tensor]) -> Tensor:
    x = x.relu()
    return norm(torch.cat([F.conv2d(x, weights[0], stride=2), F.conv2d(x[:, :, 1:, 1:], weights[1], stride=2)], 1))


def separable(x: Tensor, weights: list[Tensor], stride: int, dilation: int) -> Tensor:
    depthwise, pointwise = weights
    padding = dilation * (depthwise.shape[-1] // 2)
    y = F.conv2d(x.relu(), depthwise, None, stride, padding, dilation, groups=x.shape[1])
    return norm(F.conv2d(y, pointwise))


def apply(name: str, x: Tensor, weights: list[Tensor], stride: int) -> Tensor:
    """An operation as the paper and the authors' code have it, written out."""
    match name:
        case "max_pool_3x3":
            return norm(F.max_pool2d(x, 3, stride, 1))
        case "avg_pool_3x3":
            return norm(F.avg_pool2d(x, 3, stride, 1, count_include_pad=False))
        case "skip_connect":
            return x if stride == 1 else factorized(x, weights)
        case "sep_conv_3x3" | "sep_conv_5x5":
            return separable(separable(x, weights[:2], stride, 1), weights[2:], 1, 1)
        case "dil_conv_3x3" | "dil_conv_5x5":
            return separable(x, weights, stride, 2)
    raise AssertionError(name)


def weights_of(cell: MixedCell, edge: int, name: str) -> list[Tensor]:
    """The supernet's kernels of an operation on one edge."""
    source = CELL_EDGES[edge][0]
    outgoing, position = cell.outgoing[source], OUTGOING[source].index(edge)
    operations = outgoing.convolutions
    kernels = list(operations[name].parameters()) if name in operations else []
    return [kernel.chunk(outgoing.edges)[position] for kernel in kernels]


def expected_edge(cell: MixedCell, edge: int, x: Tensor, mixture: Mixture, K: int) -> Tensor:
    row, stride = edge + 14 * cell.reduction, 2 if cell.reduction and CELL_EDGES[edge][0] < 2 else 1
    searched, bypass = x[:, : x.shape[1] // K], x[:, x.shape[1] // K :]
    y = torch.zeros_like(searched[:, :, ::stride, ::stride])
    for o, name in enumerate(OPERATIONS):
        if name != "none" and (mixture.selected is None or mixture.selected[row] == o):
            y = y + mixture.weights[row, o] * apply(name, searched, weights_of(cell, edge, name), stride)
    if mixture.edge_bias is not None:
        y = y + mixture.edge_bias[row]
    if K > 1:
        y = torch.cat([y, F.max_pool2d(bypass, 2) if stride == 2 else bypass], dim=1)
        y = y.unflatten(1, (K, -1)).transpose(1, 2).flatten(1, 2)
    return y if mixture.edge_weights is None else mixture.edge_weights[row] * y


def expected_cell(cell: MixedCell, s0: Tensor, s1: Tensor, mixture: Mixture, K: int, after_reduction: bool) -> Tensor:
    first, second = (list(part.parameters()) for part in (cell.inputs.first, cell.inputs.second))
    nodes = [
        factorized(s0, first) if after_reduction else norm(F.conv2d(s0.relu(), *first)),
        norm(F.conv2d(s1.relu(), *second)),
    ]
    for target in (2, 3, 4, 5):
        entering = [
            expected_edge(cell, edge, nodes[source], mixture, K)
            for edge, (source, end) in enumerate(CELL_EDGES)
            if end == target
        ]
        nodes.append(sum(entering[1:], entering[0]))
    return torch.cat(nodes[2:], dim=1)


def expected_logits(network: DARTSSupernet, images: Tensor, mixture: Mixture) -> Tensor:
    """The whole network of five cells, of which the second and the fourth reduce."""
    stem, linear = network.network.stem[0], network.network.head[2]
    s0 = s1 = norm(F.conv2d(images, stem.weight, padding=1))
    for number, cell in enumerate(network.network.cells):
        assert cell.reduction == (number in (1, 3))
        s0, s1 = s1, expected_cell(cell, s0, s1, mixture, 1, after_reduction=number in (2, 4))
    return s1.mean((2, 3)) @ linear.weight.T + linear.bias


def soft() -> Mixture:
    return Mixture(random("soft", 28, 8).requires_grad_())


def with_edge_terms(mixture: Mixture) -> Mixture:
    return replace(
        mixture, edge_weights=random("factor", 28).requires_grad_(), edge_bias=random("bias", 28).requires_grad_()
    )


def sampled() -> Mixture:
    """A one-hot mixture as straight-through estimators make it, of every edge, as no genotype has it."""
    chosen = torch.randint(8, (28,), generator=stream(0, "chosen"))
    weights = F.one_hot(chosen, 8) * (1 + 0.1 * random("hard", 28, 8))
    return Mixture(weights.requires_grad_(), selected=tuple(chosen.tolist()))


@pytest.mark.parametrize("reduction", [False, True], ids=["normal", "reduce"])
@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize(
    "mixture",
    [with_edge_terms(soft()), with_edge_terms(sampled())],
    ids=["soft", "sampled"],
)
def test_a_cell_computes_the_sums_of_the_paper(mixture: Mixture, K: int, reduction: bool) -> None:
    """Values, and the gradients of weights, mixture and input."""
    position = CellPosition(inputs=(6, 8), channels=4, reduction=reduction, after_reduction=not reduction)
    cell = MixedCell(position, replace(SMALL, partial_channels=K)).double()
    initialize(cell, lambda name: stream(0, name))
    s0 = random("s0", 2, 6, 4, 4) if reduction else random("s0", 2, 6, 8, 8)
    s1 = random("s1", 2, 8, 4, 4).requires_grad_()
    ours, theirs = cell(s0, s1, mixture), expected_cell(cell, s0, s1, mixture, K, not reduction)
    torch.testing.assert_close(ours, theirs)
    parts = [mixture.weights, mixture.edge_weights, mixture.edge_bias, s1, *cell.parameters()]
    wanted, upstream = [part for part in parts if part is not None], random("upstream", *ours.shape)
    outputs, expected = (
        torch.autograd.grad(y, wanted, upstream, allow_unused=True, materialize_grads=True) for y in (ours, theirs)
    )
    torch.testing.assert_close(outputs, expected)


def test_the_network_is_made_of_such_cells() -> None:
    network, images, mixture = supernet(), random("images", 2, 3, 8, 8), soft()
    with torch.no_grad():
        torch.testing.assert_close(network(images, mixture), expected_logits(network, images, mixture))


def test_running_statistics_are_kept_for_every_edge() -> None:
    ours, plain = EdgeNorm(3, 2, running=True).double(), nn.BatchNorm2d(2, affine=False).double()
    for batch in range(3):
        x = random(f"x {batch}", 2, 2, 3, 3)
        torch.testing.assert_close(ours(x, [1], torch.tensor([0.5]).double()), 0.5 * plain(x))
    ours.eval()
    plain.eval()
    torch.testing.assert_close(ours(x, [1]), plain(x))
    torch.testing.assert_close(ours(x, [2]), x / (1 + 1e-5) ** 0.5)  # not chosen before


def test_selecting_computes_what_mixing_with_zeros_computes() -> None:
    network, mixture, images = supernet(), sampled(), random("images", 2, 3, 4, 4)
    torch.testing.assert_close(network(images, mixture), network(images, replace(mixture, selected=None)))


def test_an_operation_is_computed_only_on_the_edges_that_selected_it() -> None:
    network, computed = SPACE.supernet(SMALL), Counter[str]()
    for cell in network.network.cells:
        for outgoing in cell.outgoing:
            for name, operation in outgoing.convolutions.items():
                operation.register_forward_pre_hook(lambda _, args, name=name: computed.update({name: len(args[1])}))
    with torch.no_grad():
        network(torch.zeros(2, 3, 4, 4), Mixture.of(CONVOLUTIONS, 8))
    expected = Counter[str]()
    for edge, (operation, (source, _)) in enumerate(zip(CONVOLUTIONS, SPACE.edges, strict=True)):
        reduction = edge >= 14
        if operation and (OPERATIONS[operation] != "skip_connect" or (reduction and source in (6, 7))):
            expected[OPERATIONS[operation]] += 2 if reduction else 3  # cells of a kind
    assert computed == expected


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_batch_normalisation_of_cells_and_stem(batch_norm: Any) -> None:
    network = supernet(replace(SMALL, batch_norm=batch_norm))
    for name, module in network.network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            stem = name.startswith("stem")
            assert module.affine == stem
            assert module.track_running_stats == (stem or batch_norm == "running")
    images, mixture = random("images", 4, 3, 4, 4), soft()
    with torch.no_grad():
        trained = network(images, mixture)
        network.network.cells.eval()  # the stem's running statistics play no part
        assert torch.allclose(network(images, mixture), trained) == (batch_norm == "batch")


def test_widths_that_K_does_not_divide_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"K=4 must divide every width of the supernet; it does not divide 6"):
        SPACE.supernet(replace(SMALL, channels=6, partial_channels=4))


# The discrete network


def inherit(network: DiscreteNetwork, weights: DARTSSupernet, genotype: Architecture) -> None:
    """Give a discrete network the weights that the supernet holds for its genotype."""
    network.stem.load_state_dict(weights.network.stem.state_dict())
    network.head.load_state_dict(weights.network.head.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(network.cells, weights.network.cells, strict=True):
            pairs = [(ours.inputs, list(theirs.inputs.parameters()))]
            for edge, (source, target) in enumerate(CELL_EDGES):
                if operation := genotype[edge + 14 * theirs.reduction]:
                    pairs.append((ours.edges[f"{target}<-{source}"], weights_of(theirs, edge, OPERATIONS[operation])))
            for module, held in pairs:
                kernels = [parameter for parameter in module.parameters() if parameter.dim() == 4]  # the rest is affine
                for kernel, value in zip(kernels, held, strict=True):
                    kernel.copy_(value)


def test_it_computes_what_the_supernet_computes_with_the_same_weights() -> None:
    weights, network = supernet(), DiscreteNetwork(CONVOLUTIONS, SMALL)
    inherit(network, weights, CONVOLUTIONS)
    images = random("images", 4, 3, 4, 4)
    # in training both normalise by the batch, and the affine parameters of the network are still 1 and 0
    torch.testing.assert_close(network.double()(images), weights(images, Mixture.of(CONVOLUTIONS, 8)))


def test_pooling_differs_by_the_batch_normalisation_of_the_supernet_alone() -> None:
    weights, network = supernet(), DiscreteNetwork(V2, SMALL)
    inherit(network, weights, V2)
    for cell in network.cells:
        for name, operation in cell.edges.items():
            if isinstance(operation, nn.MaxPool2d):
                cell.edges[name] = nn.Sequential(operation, Normalise())
    images = random("images", 4, 3, 4, 4)
    torch.testing.assert_close(network.double()(images), weights(images, Mixture.of(V2, 8)))


def test_the_published_network_has_the_published_size() -> None:
    """3.3 M parameters in the paper's table 1, to the authors' own count (without the auxiliary head)."""
    network = SPACE.network(V2, NetworkConfig(channels=36, cells=6, classes=10))
    assert len(network.cells) == 20
    assert parameters(network) == 3_349_342


@pytest.mark.parametrize(("cells", "depth"), [(1, 5), (2, 8), (6, 20)])
def test_reductions_stand_at_a_third_and_two_thirds_of_the_depth(cells: int, depth: int) -> None:
    with torch.device("meta"):
        network = SPACE.network(V2, NetworkConfig(channels=2, cells=cells, classes=10))
    widths = [cell.inputs.second[1].out_channels for cell in network.cells]
    assert [i for i in range(1, depth) if widths[i] == 2 * widths[i - 1]] == [depth // 3, 2 * depth // 3]
    assert len(widths) == depth
