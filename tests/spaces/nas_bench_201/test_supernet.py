"""The supernet against the reference: outputs and every gradient, in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from harness.random_streams import stream
from harness.spaces.base import Architecture, Mixture, NetworkConfig, SpaceError, initialize
from harness.spaces.nas_bench_201 import supernet as supernet_module
from harness.spaces.nas_bench_201.pooling import AveragePool
from harness.spaces.nas_bench_201.reference import ReferenceSupernet, copy_weights, paired_weights
from harness.spaces.nas_bench_201.space import NASBench201
from harness.spaces.nas_bench_201.supernet import OUTGOING, MixedCell, NASBench201Supernet, shuffle
from harness.spaces.network_size import flops

SPACE = NASBench201()
SMALL = NetworkConfig(channels=4, cells=1, classes=3)
CELLS: dict[str, Architecture] = {
    "all none": (0,) * 6,
    "all skip": (1,) * 6,
    "all conv 1x1": (2,) * 6,
    "all conv 3x3": (3,) * 6,
    "all pool": (4,) * 6,
    "every operation": (3, 1, 2, 0, 4, 3),
    "two of a kind on a node": (3, 3, 2, 1, 2, 4),
    "node without input": (0, 0, 0, 3, 2, 4),
    "node without output": (3, 2, 0, 4, 0, 0),
    "output without input": (3, 2, 1, 0, 0, 0),
}


def pair(config: NetworkConfig, seed: int = 0) -> tuple[NASBench201Supernet, ReferenceSupernet]:
    """A supernet and a reference one of the same weights, in double precision."""
    fused, reference = NASBench201Supernet(config), ReferenceSupernet(config)
    initialize(fused, lambda name: stream(seed, name))
    fused.double()
    reference.double()
    copy_weights(fused, reference)
    return fused, reference


def random(seed: str, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=stream(0, seed), dtype=torch.float64)


def leaf(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_()


def soft(seed: str = "soft") -> Mixture:
    """Unlike a softmax, of both signs, so that nothing cancels."""
    return Mixture(leaf(random(seed, 6, 5)))


def discrete(cell: Architecture) -> Mixture:
    """A one-hot mixture as straight-through estimators make it: near one on the selected operation alone."""
    weights = F.one_hot(torch.tensor(cell), 5) * (1 + 0.1 * random("hard", 6, 5))
    return Mixture(leaf(weights), selected=cell)


def with_edge_terms(mixture: Mixture) -> Mixture:
    return replace(mixture, edge_weights=leaf(random("factor", 6)), edge_bias=leaf(random("bias", 6)))


def assert_same(config: NetworkConfig, mixture: Mixture, *, train: bool = True) -> None:
    """Outputs, running statistics, and the gradients of weights, mixture and images are those of the reference."""
    fused, reference = pair(config)
    images, labels = leaf(random("images", 4, 3, 8, 8)), torch.tensor([0, 1, 2, 1])
    if not train:  # statistics that differ from their initial value
        for _ in range(2):
            fused(images, soft("before"))
            reference(images, soft("before"))
    fused.train(train)
    reference.train(train)
    parts = [mixture.weights, mixture.edge_weights, mixture.edge_bias, images]
    inputs = [part for part in parts if part is not None]

    def run(network: nn.Module) -> tuple[Tensor, list[Tensor]]:
        output = network(images, mixture)
        wanted = inputs + list(network.parameters())
        loss = F.cross_entropy(output, labels)
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True)
        return output, [torch.zeros_like(w) if g is None else g for w, g in zip(wanted, gradients, strict=True)]

    ours, our_gradients = run(fused)
    theirs, their_gradients = run(reference)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradients[: len(inputs)], their_gradients[: len(inputs)])

    by_parameter = dict(zip(reference.parameters(), their_gradients[len(inputs) :], strict=True))
    ours_by_parameter = dict(zip(fused.parameters(), our_gradients[len(inputs) :], strict=True))
    compared: dict[nn.Parameter, int] = dict.fromkeys(ours_by_parameter, 0)
    for parameter, rows, other in paired_weights(fused, reference):
        torch.testing.assert_close(ours_by_parameter[parameter][rows], by_parameter.pop(other))
        compared[parameter] += parameter[rows].numel()
    assert not by_parameter
    assert all(count == parameter.numel() for parameter, count in compared.items())
    for ours_now, theirs_now in paired_statistics(fused, reference):
        torch.testing.assert_close(ours_now, theirs_now)


def paired_statistics(fused: NASBench201Supernet, reference: ReferenceSupernet) -> Iterator[tuple[Tensor, Tensor]]:
    """(ours, the reference's) of every running mean and variance."""
    for part in ("stem", "reductions", "head"):
        yield from zip(getattr(fused.network, part).buffers(), getattr(reference.network, part).buffers(), strict=True)
    cells = [
        (a, b)
        for stage_a, stage_b in zip(fused.network.stages, reference.network.stages, strict=True)
        for a, b in zip(stage_a, stage_b, strict=True)
    ]
    for ours, theirs in cells:
        for node, edges in enumerate(OUTGOING):
            for position, edge in enumerate(edges):
                for convolution, operation in ((ours.conv1[node], 2), (ours.conv3[node], 3)):
                    if convolution.running:
                        norm = theirs.edges[edge].operations[operation][2]
                        yield convolution.running_mean[position], norm.running_mean
                        yield convolution.running_var[position], norm.running_var


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("batch_norm", ["batch", "running"])
@pytest.mark.parametrize("K", [1, 2, 4])
def test_soft_mixture(K: int, batch_norm: str, train: bool) -> None:
    config = replace(SMALL, partial_channels=K, batch_norm=batch_norm)
    assert_same(config, soft(), train=train)


@pytest.mark.parametrize("K", [1, 2, 4])
def test_edge_weights_and_bias(K: int) -> None:
    assert_same(replace(SMALL, partial_channels=K), with_edge_terms(soft()))
    assert_same(replace(SMALL, partial_channels=K), replace(with_edge_terms(soft()), edge_bias=None))
    assert_same(replace(SMALL, partial_channels=K), replace(with_edge_terms(soft()), edge_weights=None))


def test_several_cells_a_stage() -> None:
    assert_same(replace(SMALL, cells=2, channels=8, partial_channels=4), with_edge_terms(soft()))


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_head_without_affine_parameters(batch_norm: str, train: bool) -> None:
    config = replace(SMALL, head_affine=False, batch_norm=batch_norm)
    assert_same(config, soft(), train=train)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_one_hot_mixture_with_straight_through_weights(cell: Architecture) -> None:
    assert_same(SMALL, discrete(cell))
    assert_same(replace(SMALL, batch_norm="running"), with_edge_terms(discrete(cell)))
    assert_same(replace(SMALL, batch_norm="running"), discrete(cell), train=False)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_one_hot_mixture_on_partial_channels(cell: Architecture) -> None:
    assert_same(replace(SMALL, partial_channels=2), with_edge_terms(discrete(cell)))


def test_selecting_computes_what_mixing_with_zeros_computes() -> None:
    fused, _ = pair(SMALL)
    images = random("images", 4, 3, 8, 8)
    for cell in CELLS.values():
        mixture = discrete(cell)
        torch.testing.assert_close(fused(images, mixture), fused(images, replace(mixture, selected=None)))


def test_any_discrete_cell_with_inherited_weights() -> None:
    fused, reference = pair(SMALL)
    images = random("images", 4, 3, 8, 8)
    generator = stream(0, "cells")
    with torch.no_grad():
        for cell in [*CELLS.values(), *(SPACE.sample(generator) for _ in range(40))]:
            mixture = Mixture.of(cell, 5)
            torch.testing.assert_close(fused(images, mixture), reference(images, mixture))


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_one_hot_mixture_multiplies_as_often_as_the_discrete_network(
    cell: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplications = 0
    convolve = F.conv2d

    def counting(x: Tensor, weight: Tensor, *args, **kwargs) -> Tensor:
        nonlocal multiplications
        y = convolve(x, weight, *args, **kwargs)
        multiplications += y[0].numel() * weight[0].numel()
        return y

    discrete_network = SPACE.network(cell, SMALL)
    classifier = 16 * 3 + 3
    expected = flops(discrete_network, 8) - classifier
    supernet = NASBench201Supernet(SMALL)
    monkeypatch.setattr(F, "conv2d", counting)
    supernet(torch.zeros(1, 3, 8, 8).expand(2, 3, 8, 8), Mixture.of(cell, 5))
    assert multiplications == expected


@pytest.mark.parametrize(("cell", "nodes"), [((4,) * 6, 3), ((4, 1, 3, 4, 0, 2), 1), ((3,) * 6, 0)])
def test_one_hot_mixture_pools_a_node_once_and_only_where_chosen(
    cell: Architecture, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = []

    class Counting(AveragePool):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            pooled.append(x)
            return AveragePool.forward(ctx, x)

    monkeypatch.setattr(supernet_module, "AveragePool", Counting)
    NASBench201Supernet(SMALL)(torch.zeros(2, 3, 8, 8), Mixture.of(cell, 5))
    assert len(pooled) == 3 * nodes


def test_second_derivatives_over_the_mixture() -> None:
    fused, reference = pair(SMALL)
    images, labels = random("images", 2, 3, 4, 4), torch.tensor([0, 1])

    def curvature(network: nn.Module) -> Tensor:
        """The Hessian of the loss over the mixture's weights, times a random direction."""
        mixture = soft()
        loss = F.cross_entropy(network(images, mixture), labels)
        (slope,) = torch.autograd.grad(loss, mixture.weights, create_graph=True)
        return torch.autograd.grad(slope, mixture.weights, random("direction", 6, 5))[0]

    expected = curvature(reference)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(curvature(fused), expected)


@pytest.mark.parametrize("K", [1, 2])
def test_twice_differentiable_with_respect_to_inputs_and_mixture(K: int) -> None:
    cell = MixedCell(2, replace(SMALL, partial_channels=K)).double()
    initialize(cell, lambda name: stream(0, name))
    x, weights = leaf(random("x", 2, 2, 3, 3)), leaf(random("soft", 6, 5))
    assert torch.autograd.gradgradcheck(lambda x, weights: cell(x, Mixture(weights)), (x, weights), fast_mode=True)


class WeightGradients(TorchDispatchMode):
    """Counts the convolutions whose weight gradient is computed."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution_backward.default:
            self.count += args[-1][1]
        return func(*args, **(kwargs or {}))


def test_a_gradient_over_the_mixture_alone_computes_none_of_the_network_weights() -> None:
    supernet = NASBench201Supernet(SMALL)
    mixture = Mixture(torch.rand(6, 5, requires_grad=True))
    counts = []
    for wanted in ([mixture.weights], list(supernet.parameters())):
        loss = supernet(torch.randn(2, 3, 8, 8, generator=stream(0, "images")), mixture).sum()
        with WeightGradients() as gradients:
            torch.autograd.grad(loss, wanted)
        counts.append(gradients.count)
    # Stem, two reductions, three cells of a 3×3 kernel on three nodes; 1×1 kernels are matrices, and no convolutions.
    assert counts == [0, 1 + 2 * 3 + 3 * 3]


@pytest.mark.parametrize(("K", "layout"), [(1, torch.channels_last), (2, torch.contiguous_format)])
def test_cells_keep_their_memory_layout_whatever_that_of_the_images(K: int, layout: torch.memory_format) -> None:
    supernet = NASBench201Supernet(replace(SMALL, partial_channels=K))
    kept = []
    for module in supernet.modules():
        if isinstance(module, MixedCell):
            module.register_forward_hook(
                lambda _, arguments, output: kept.extend(
                    x.is_contiguous(memory_format=layout) for x in (arguments[0], output)
                )
            )
    images = torch.randn(2, 3, 8, 8, generator=stream(0, "images"))
    outputs = [
        supernet(images.contiguous(memory_format=layout), Mixture(torch.full((6, 5), 0.2)))
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    assert kept == [True] * 12
    assert torch.equal(*outputs)


def test_all_cells_share_the_mixture_of_one_forward_pass() -> None:
    supernet = NASBench201Supernet(replace(SMALL, cells=2))
    seen = []
    for module in supernet.modules():
        if isinstance(module, MixedCell):
            module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    mixture = Mixture(torch.rand(6, 5))
    supernet(torch.randn(2, 3, 8, 8, generator=stream(0, "images")), mixture)
    assert len(seen) == 6
    assert all(torch.equal(used.weights, mixture.weights) for used in seen)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 8), (9, 8)])
def test_average_pool(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = leaf(random("x", 2, 3, *size).contiguous(memory_format=layout))
    y, expected = AveragePool.apply(x), F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    torch.testing.assert_close(y, expected)
    upstream = random("upstream", *y.shape)
    torch.testing.assert_close(torch.autograd.grad(y, x, upstream), torch.autograd.grad(expected, x, upstream))
    assert torch.autograd.gradgradcheck(AveragePool.apply, x)


def test_shuffle_interleaves_the_groups() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert shuffle(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize(("channels", "K", "width"), [(6, 4, 6), (4, 3, 4), (4, 8, 4)])
def test_partial_channels_that_do_not_divide_a_width_are_refused(channels: int, K: int, width: int) -> None:
    with pytest.raises(SpaceError, match=f"K={K} must divide every width.* does not divide {width}"):
        SPACE.supernet(replace(SMALL, channels=channels, partial_channels=K))


def initialised(config: NetworkConfig, seed: int = 0) -> dict[str, Tensor]:
    supernet = NASBench201Supernet(config)
    initialize(supernet, lambda name: stream(seed, "weights", name))
    return dict(supernet.named_parameters())


@pytest.mark.parametrize(
    "change",
    [{"cells": 2}, {"partial_channels": 2}, {"batch_norm": "running"}, {"classes": 7}, {"head_affine": False}],
    ids=str,
)
def test_a_layer_starts_with_the_same_values_whatever_else_there_is(change: dict) -> None:
    torch.manual_seed(1)
    ones = initialised(SMALL)
    torch.manual_seed(2)
    others = initialised(replace(SMALL, **change))
    shared = [name for name in ones if name in others and ones[name].shape == others[name].shape]
    assert len(shared) >= 11  # stem and reductions at least
    assert all(torch.equal(ones[name], others[name]) for name in shared)


def test_initial_values_are_uniform_and_different_for_every_layer_and_seed() -> None:
    config = replace(SMALL, cells=2, channels=16)
    weights = {name: value for name, value in initialised(config).items() if value.dim() > 1}
    for value in weights.values():
        bound = value[0].numel() ** -0.5
        assert value.abs().max() <= bound
        assert value.abs().max() > 0.9 * bound
    first = [value.flatten()[:16] for value in weights.values()]
    distances = torch.cdist(torch.stack(first), torch.stack(first)) + torch.eye(len(first))
    assert distances.min() > 1e-3
    assert not torch.equal(
        initialised(SMALL, seed=0)["network.stem.0.weight"], initialised(SMALL, seed=1)["network.stem.0.weight"]
    )


def test_initialising_leaves_the_global_generator_alone() -> None:
    supernet = NASBench201Supernet(SMALL)
    before = torch.get_rng_state()
    initialize(supernet, lambda name: stream(0, name))
    assert torch.equal(torch.get_rng_state(), before)


def normalisations(module: nn.Module) -> list[tuple[bool, bool]]:
    """(affine, running statistics) of every batch-norm layer below a module."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    return [(layer.affine, layer.track_running_stats) for layer in layers]


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalisation_outside_the_cells(affine: bool, batch_norm: Any) -> None:
    network = NASBench201Supernet(replace(SMALL, head_affine=affine, batch_norm=batch_norm)).network
    assert set(normalisations(network.stem) + normalisations(network.reductions)) == {(True, True)}
    assert normalisations(network.head) == [(affine, affine or batch_norm == "running")]


@pytest.mark.parametrize("batch_norm", ["batch", "running"])
def test_cells_have_no_affine_parameters_and_running_statistics_only_where_wanted(batch_norm: Any) -> None:
    cell = NASBench201Supernet(replace(SMALL, batch_norm=batch_norm)).network.stages[0][0]
    assert {name.rpartition(".")[2] for name, _ in cell.named_parameters()} == {"weight"}
    assert all(parameter.dim() == 4 for parameter in cell.parameters())
    assert len(list(cell.buffers())) == (2 * 2 * 3 if batch_norm == "running" else 0)


def test_float32_agrees_to_its_precision() -> None:
    fused, reference = pair(SMALL)
    images = random("images", 4, 3, 8, 8).float()
    mixture = Mixture(random("soft", 6, 5).float().softmax(dim=1))
    torch.testing.assert_close(fused.float()(images, mixture), reference.float()(images, mixture), rtol=1e-3, atol=1e-4)
