"""The textbook NAS-Bench-201 supernet, the tests' oracle: a module per edge and operation, mixed as sum(w · op(x))."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.spaces.base import Mixture, NetworkConfig
from harness.spaces.nas_bench_201.encoding import EDGES
from harness.spaces.nas_bench_201.skeleton import Skeleton
from harness.spaces.nas_bench_201.supernet import OUTGOING, NASBench201Supernet, shuffle


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


def relu_conv_bn(channels: int, kernel: int, running: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels, affine=False, track_running_stats=running),
    )


class TextbookCell(nn.Module):
    def __init__(self, channels: int, config: NetworkConfig) -> None:
        super().__init__()
        self.groups = config.partial_channels
        self.mixed = channels // self.groups
        running = config.batch_norm == "running"
        self.edges = nn.ModuleList(
            nn.ModuleList(
                [
                    Zero(),
                    nn.Identity(),
                    relu_conv_bn(self.mixed, 1, running),
                    relu_conv_bn(self.mixed, 3, running),
                    nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
                ]
            )
            for _ in EDGES
        )

    def forward(self, x: Tensor, mixture: Mixture) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    total = total + self.edge(edge, nodes[source], mixture)
            nodes.append(total)
        return nodes[-1]

    def edge(self, edge: int, x: Tensor, mixture: Mixture) -> Tensor:
        searched, bypass = x[:, : self.mixed], x[:, self.mixed :]
        y = torch.zeros_like(searched)
        for o, operation in enumerate(self.edges[edge]):
            if mixture.selected is None or mixture.selected[edge] == o:
                y = y + mixture.weights[edge, o] * operation(searched)
        if mixture.edge_bias is not None:
            y = y + mixture.edge_bias[edge]
        if self.groups > 1:
            y = shuffle(torch.cat([y, bypass], dim=1), self.groups)
        return y if mixture.edge_weights is None else y * mixture.edge_weights[edge]


class TextbookSupernet(nn.Module):
    """Same interface as the supernet of the space; parameter order differs, see ``copy_weights``."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.network = Skeleton(config, lambda channels: TextbookCell(channels, config))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        return self.network(images, mixture)


def paired_weights(
    fused: NASBench201Supernet, textbook: TextbookSupernet
) -> list[tuple[nn.Parameter, slice, nn.Parameter]]:
    """(fused parameter, rows of it, textbook parameter) for every weight of the textbook supernet."""
    pairs: list[tuple[nn.Parameter, slice, nn.Parameter]] = []
    ours, theirs = fused.network, textbook.network
    for part in ("stem", "reductions", "head"):
        for a, b in zip(getattr(ours, part).parameters(), getattr(theirs, part).parameters(), strict=True):
            pairs.append((a, slice(None), b))
    for stage_a, stage_b in zip(ours.stages, theirs.stages, strict=True):
        for cell_a, cell_b in zip(stage_a, stage_b, strict=True):
            for node, edges in enumerate(OUTGOING):
                for position, edge in enumerate(edges):
                    rows = slice(position * cell_a.mixed, (position + 1) * cell_a.mixed)
                    pairs.append((cell_a.conv1[node].conv.weight, rows, cell_b.edges[edge][2][1].weight))
                    pairs.append((cell_a.conv3[node].conv.weight, rows, cell_b.edges[edge][3][1].weight))
    return pairs


def copy_weights(fused: NASBench201Supernet, textbook: TextbookSupernet) -> None:
    """Give the textbook supernet the weights of the fused one."""
    with torch.no_grad():
        for a, rows, b in paired_weights(fused, textbook):
            b.copy_(a[rows])
