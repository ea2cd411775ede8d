"""The mixed edges that leave a node: what is written out against the formula, in double precision where not said."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from harness.random_streams import stream
from harness.spaces.nas_bench_201.fused_mixed_operation import MixedEdges, mixed_edges

Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs(edges: int = 2, channels: int = 3, size: int = 4, batch: int = 2, seed: int = 0) -> Inputs:
    """A node's value, rectified and convolved, the weights of its 1×1 convolutions and those of its operations."""

    def random(name: str, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=stream(seed, name), dtype=torch.float64)

    x = random("x", batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    threes = random("threes", batch, edges * channels, size, size).contiguous(memory_format=torch.channels_last)
    return leaves(x, F.relu(x), threes, random("u", edges * channels, channels, 1, 1), random("weights", edges, 5))


def leaves(*tensors: Tensor) -> Inputs:
    x, rectified, threes, u, weights = (tensor.detach().clone().requires_grad_() for tensor in tensors)
    return x, rectified, threes, u, weights


def outcome(outputs: tuple[Tensor, ...], arguments: Inputs) -> list[Tensor]:
    """The outputs, and the gradients of a sum in which all of them differ."""
    loss = sum((output * (i + output)).mean() for i, output in enumerate(outputs, start=1))
    assert isinstance(loss, Tensor)
    return [*outputs, *torch.autograd.grad(loss, arguments)]


@settings(deadline=None)
@given(
    edges=st.integers(1, 3),
    channels=st.integers(1, 8),
    size=st.integers(1, 5),
    batch=st.integers(1, 3),
    seed=st.integers(0, 9),
)
@example(edges=3, channels=8, size=4, batch=2, seed=0)  # two pixels multiplied at once
@example(edges=3, channels=8, size=3, batch=1, seed=0)  # cannot be
def test_the_outputs_and_all_gradients_are_those_of_the_formula(
    edges: int, channels: int, size: int, batch: int, seed: int
) -> None:
    if batch * size**2 == 1:
        batch = 2  # one value has no variance
    arguments = inputs(edges, channels, size, batch, seed)
    torch.testing.assert_close(
        outcome(MixedEdges.apply(*arguments), arguments),
        outcome(mixed_edges(*arguments), arguments),
    )


def test_the_gradients_are_those_of_finite_differences_and_so_are_the_second() -> None:
    assert torch.autograd.gradcheck(MixedEdges.apply, inputs())
    assert torch.autograd.gradgradcheck(MixedEdges.apply, inputs(), fast_mode=True)


def test_outputs_are_added_to_totals_in_their_place_and_the_gradient_goes_on_to_them() -> None:
    arguments = inputs()
    expected = [1 + part for part in mixed_edges(*arguments)]
    ones = [torch.ones_like(arguments[0], requires_grad=True) for _ in expected]
    totals = [one * 1 for one in ones]
    result = MixedEdges.apply(*arguments, *totals)
    torch.testing.assert_close(list(result), expected)
    assert [total.data_ptr() for total in result] == [total.data_ptr() for total in totals]
    upstream = [torch.full_like(one, i) for i, one in enumerate(ones)]
    assert all(map(torch.equal, torch.autograd.grad(result, ones, upstream), upstream))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_memory_order_will_do(layout: torch.memory_format) -> None:
    arguments = inputs()
    other = leaves(*(t.contiguous(memory_format=layout) if t.ndim == 4 else t for t in arguments))
    torch.testing.assert_close(outcome(MixedEdges.apply(*other), other), outcome(mixed_edges(*arguments), arguments))


@pytest.mark.parametrize("mean", [0.0, 30.0, 3000.0])
def test_single_precision_suffices_where_an_input_varies_little_about_a_large_mean(mean: float) -> None:
    arguments = inputs(channels=8, size=8, batch=8)
    arguments = leaves(arguments[0], mean + 0.1 * arguments[1], *arguments[2:])
    single = leaves(*(tensor.float() for tensor in arguments))
    with torch.no_grad():
        exact = mixed_edges(*arguments)[0]
        result, by_formula = MixedEdges.apply(*single)[0], mixed_edges(*single)[0]
    error, of_the_formula = (float((value.double() - exact).abs().max()) for value in (result, by_formula))
    assert error <= 1e-5 + 2 * of_the_formula


def test_an_input_that_does_not_vary_makes_no_nan() -> None:
    arguments = inputs()
    single = leaves(
        *(tensor.float() for tensor in (arguments[0], torch.full_like(arguments[1], 1 / 3), *arguments[2:]))
    )
    assert all(value.isfinite().all() for value in outcome(MixedEdges.apply(*single), single))
