"""The reference supernet of NAS-Bench-201: the mixed operation as the DARTS paper writes it, one module an operation.

It computes what :class:`harness.spaces.nas_bench_201.supernet.NASBench201Supernet` computes, up to rounding, and takes
about two and a half times as long. It is there to be read, and to check the fused supernet against:
``--set supernet.implementation=reference``. From the same seed both start with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.spaces.base import Mixture, NetworkConfig, Supernet, initialize
from harness.spaces.nas_bench_201.encoding import CONV1, CONV3, EDGES, OPERATIONS
from harness.spaces.nas_bench_201.skeleton import Skeleton
from harness.spaces.nas_bench_201.supernet import NODES, OUTGOING, NASBench201Supernet


class Zero(nn.Module):
    """The operation ``none``."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


def relu_conv_bn(channels: int, kernel: int, running: bool) -> nn.Sequential:
    """ReLU, convolution, batch normalisation without affine parameters, as in the search of DARTS (section 3)."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels, affine=False, track_running_stats=running),
    )


def make_operation(name: str, channels: int, running: bool) -> nn.Module:
    """One operation of the space, which keeps width and resolution.

    Args:
        name: of the operation.
        channels: its width.
        running: batch normalisation keeps running statistics and uses them in evaluation.
    """
    match name:
        case "none":
            return Zero()
        case "skip_connect":
            return nn.Identity()
        case "nor_conv_1x1":
            return relu_conv_bn(channels, 1, running)
        case "nor_conv_3x3":
            return relu_conv_bn(channels, 3, running)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    raise ValueError(f"no operation of NAS-Bench-201: {name}")


class MixedOperation(nn.Module):
    """All operations of one edge: Σ_o weights[o] · o(x) (Liu et al., DARTS, ICLR 2019, arXiv:1806.09055, eq. 2)."""

    def __init__(self, channels: int, running: bool) -> None:
        super().__init__()
        self.operations = nn.ModuleList(make_operation(name, channels, running) for name in OPERATIONS)

    def forward(self, x: Tensor, weights: Tensor, selected: int | None) -> Tensor:
        """x is (batch, channels, h, w), weights (operations,); only the operation ``selected`` is computed, if any."""
        if selected is not None:
            return weights[selected] * self.operations[selected](x)  # type: ignore[no-any-return]
        return torch.stack([w * operation(x) for w, operation in zip(weights, self.operations, strict=True)]).sum(0)


class ReferenceCell(nn.Module):
    """A cell with a mixed operation on every edge; a node is the sum of the edges that enter it."""

    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.groups, self.searched = config.partial_channels, config.searched_channels(channels)
        self.edges = nn.ModuleList(MixedOperation(self.searched, config.batch_norm == "running") for _ in EDGES)

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        nodes = [x]  # each (batch, channels, h, w)
        for node in range(1, NODES):
            entering = [
                self.edge_output(edge, nodes[source], mixture)
                for edge, (source, target) in enumerate(EDGES)
                if target == node
            ]
            nodes.append(torch.stack(entering).sum(0))
        return nodes[-1]

    def edge_output(self, edge: int, x: Tensor, mixture: Mixture) -> Tensor:
        """The output of one edge, in the shape of its input x.

        With partial channels the first 1/K of the channels pass through the operations, and all channels are shuffled
        (Xu et al., PC-DARTS, ICLR 2020, arXiv:1907.05737, eq. 2); ``edge_weights`` are its edge normalisation (eq. 3).
        """
        selected = None if mixture.selected is None else mixture.selected[edge]
        y = self.edges[edge](x[:, : self.searched], mixture.weights[edge], selected)
        if mixture.edge_bias is not None:
            y = y + mixture.edge_bias[edge]
        if self.groups > 1:
            y = F.channel_shuffle(torch.cat([y, x[:, self.searched :]], dim=1), self.groups)
        return y if mixture.edge_weights is None else mixture.edge_weights[edge] * y  # type: ignore[no-any-return]


class ReferenceSupernet(Supernet):
    """The skeleton of NAS-Bench-201 around cells of mixed operations."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Skeleton(config, lambda channels: ReferenceCell(channels, config))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        mixture = replace(mixture, weights=mixture.weights.to(images))  # Mixture.of knows no device or precision
        return self.network(images, mixture)  # type: ignore[no-any-return]

    def initialize(self, generator_for: Callable[[str], torch.Generator]) -> None:
        """Initialise with the weights that the fused supernet would have: searches then differ in rounding alone."""
        fused = NASBench201Supernet(self.config)
        fused.initialize(generator_for)
        initialize(self, generator_for)  # also resets batch normalisation
        copy_weights(fused, self)


def paired_weights(
    fused: NASBench201Supernet, reference: ReferenceSupernet
) -> Iterator[tuple[nn.Parameter, slice, nn.Parameter]]:
    """For every weight of the reference: the fused parameter that holds it, the rows of it, and the weight."""
    skeleton, reference_skeleton = fused.network, reference.network
    for part in ("stem", "reductions", "head"):
        layers, reference_layers = getattr(skeleton, part), getattr(reference_skeleton, part)
        for parameter, weight in zip(layers.parameters(), reference_layers.parameters(), strict=True):
            yield parameter, slice(None), weight
    for stage, reference_stage in zip(skeleton.stages, reference_skeleton.stages, strict=True):
        for cell, reference_cell in zip(stage, reference_stage, strict=True):  # type: ignore[call-overload]
            for node, edges in enumerate(OUTGOING):
                for position, edge in enumerate(edges):
                    rows = slice(position * cell.mixed, (position + 1) * cell.mixed)
                    operations = reference_cell.edges[edge].operations
                    yield cell.conv1[node].conv.weight, rows, operations[CONV1][1].weight
                    yield cell.conv3[node].conv.weight, rows, operations[CONV3][1].weight


def copy_weights(fused: NASBench201Supernet, reference: ReferenceSupernet) -> None:
    """Give the reference the weights of the fused supernet."""
    with torch.no_grad():
        for parameter, rows, weight in paired_weights(fused, reference):
            weight.copy_(parameter[rows])
