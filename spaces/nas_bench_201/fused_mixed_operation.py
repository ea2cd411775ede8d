"""All mixed edges that leave one node: their formula, and the same with its gradient written out, for CPUs.

A search spends most of its time here, and that on memory: on writing, reading and keeping whole feature maps. Automatic
differentiation of the formula does each more often than it has to.

* A 1×1 convolution is normalised before it is computed. If its input has the mean μ and the covariance Σ, the output of
  the weights U has the mean Uμ and the variance diag(UΣUᵀ). What is left is a product, added to the 3×3 convolutions in
  place, and a shift, which the batch normalisation of these adds.
* Skipped and pooled inputs are added in place too, to what other nodes have sent already.
* The gradient over the weight of a skip or of a pooling is an inner product.
* BLAS is slow on rows of less than 16 numbers: pixels of fewer channels are multiplied several at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.spaces.nas_bench_201.encoding import CONV1, CONV3, POOL, SKIP
from harness.spaces.nas_bench_201.pooling import AveragePool, average, spread

EPSILON = 1e-5
"""ε of batch normalisation, PyTorch's default."""


def mixed_edges(x: Tensor, rectified: Tensor, threes: Tensor, u: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """The output of each of a node's E outgoing edges: the outputs of its operations, weighted and summed.

    Args:
        x: (batch, c, h, w), the node's value.
        rectified: ReLU(x).
        threes: (batch, E·c, h, w), the 3×3 convolutions of ``rectified`` on all edges.
        u: (E·c, c, 1, 1), the weights U of the 1×1 convolutions on all edges.
        weights: (E, operations).

    Returns:
        E tensors of the shape of x.
    """
    scale = weights.t().repeat_interleave(x.shape[1], 1)
    ones = F.batch_norm(F.conv2d(rectified, u), None, None, scale[CONV1], None, training=True)
    convolved = ones + F.batch_norm(threes, None, None, scale[CONV3], None, training=True)
    pooled: Tensor = AveragePool.apply(x)  # type: ignore[no-untyped-call]
    parts = zip(convolved.split(x.shape[1], dim=1), weights, strict=True)
    return tuple(part + w[SKIP] * x + w[POOL] * pooled for part, w in parts)


class MixedEdges(torch.autograd.Function):
    """:func:`mixed_edges` on a CPU, added to E further arguments in their place if there are any.

    Second derivatives are those of the formula.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, rectified: Tensor, threes: Tensor, u: Tensor, weights: Tensor, *totals: Tensor
    ) -> tuple[Tensor, ...]:
        inputs = x, rectified, threes, u, weights
        x, rectified, threes = map(channels_last, inputs[:3])
        scale = weights.t().repeat_interleave(x.shape[1], 1)
        rows = pixels(rectified)
        ones = normalize(rows, u.flatten(1), scale[CONV1])
        shift = ones.kernel.mv(ones.mean).neg_()
        y, mean, deviation = torch.native_batch_norm(threes, scale[CONV3], shift, None, None, True, 0.0, EPSILON)
        several = abreast(rows)
        beside(pixels(y), several).addmm_(beside(rows, several), blocks(ones.kernel, several).t())
        pooled = average(x)
        ctx.weights = weights.tolist()
        ctx.save_for_backward(*inputs, scale[CONV3], mean, deviation, *ones)
        ctx.mark_dirty(*totals)
        parts = y.split(x.shape[1], dim=1)
        if totals:
            for total, part, w in zip(totals, parts, ctx.weights, strict=True):
                total.add_(part).add_(x, alpha=w[SKIP]).add_(pooled, alpha=w[POOL])
            return totals
        return tuple(
            torch.add(part, x, alpha=w[SKIP]).add_(pooled, alpha=w[POOL])
            for part, w in zip(parts, ctx.weights, strict=True)
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        inputs, (scale, mean, deviation, *ones) = saved[:5], saved[5:]
        to_totals = gradients[: len(ctx.needs_input_grad) - len(inputs)]
        if torch.is_grad_enabled():
            return differentiate(inputs, gradients) + to_totals
        (x, rectified, threes), (u, weights) = map(channels_last, inputs[:3]), inputs[3:]
        parts = [channels_last(gradient) for gradient in gradients]
        joined = parts[0] if len(parts) == 1 else channels_last(torch.cat(parts, 1))
        to_threes, to_scale3, joined_sum = torch.ops.aten.native_batch_norm_backward(
            joined, threes, scale, None, None, mean, deviation, True, EPSILON, [True, True, True]
        )
        to_rectified = torch.empty_like(rectified)  # no view of anything, so that autograd can add to it in place
        to_u, to_scale1 = denormalize(
            pixels(to_rectified), pixels(rectified), u.flatten(1), Normalized(*ones), pixels(joined), joined_sum
        )
        (part, *others), (w, *other_weights) = parts, ctx.weights
        to_x, to_pooled = part * w[SKIP], part * w[POOL]
        for part, w in zip(others, other_weights, strict=True):
            to_x.add_(part, alpha=w[SKIP])
            to_pooled.add_(part, alpha=w[POOL])
        to_x.add_(spread(to_pooled, overwrite=True))
        to_weights = None
        if ctx.needs_input_grad[4]:
            to_weights = torch.zeros_like(weights)
            for operation, to_scale in ((CONV1, to_scale1), (CONV3, to_scale3)):
                to_weights[:, operation] = to_scale.view(-1, x.shape[1]).sum(1)
            for operation, output in ((SKIP, x), (POOL, average(x))):
                flat = pixels(output).flatten()
                to_weights[:, operation] = torch.stack([pixels(part).flatten().dot(flat) for part in parts])
        return to_x, to_rectified, to_threes, to_u.view_as(u), to_weights, *to_totals


def differentiate(inputs: tuple[Tensor, ...], gradients: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """The gradient of :func:`mixed_edges`, itself differentiable; None for inputs that need none."""
    own = [tensor.view_as(tensor) for tensor in inputs]  # their gradient does not go on into what they come from
    wanted = [tensor for tensor in own if tensor.requires_grad]
    gradients_over = iter(torch.autograd.grad(mixed_edges(*own), wanted, gradients, create_graph=True))
    return tuple(next(gradients_over) if tensor.requires_grad else None for tensor in own)


class Normalized(NamedTuple):
    """Scaled and normalised 1×1 convolutions, (rows - mean) @ kernelᵀ, and what their gradient needs."""

    kernel: Tensor  # gain · U
    mean: Tensor  # μ
    product: Tensor  # UΣ
    deviation: Tensor  # 1 / √(v + ε), with the variance v = diag(UΣUᵀ)
    gain: Tensor  # scale · deviation


def normalize(rows: Tensor, u: Tensor, scale: Tensor) -> Normalized:
    """``scale`` · BN(rows @ uᵀ) as one product.

    Args:
        rows: (n, c), the input of the convolutions, a row for each pixel.
        u: (outputs, c).
        scale: (outputs,).
    """
    several = abreast(rows)
    mean = rows.mean(0)
    centred = (beside(rows, several) - torch.cat([mean] * several)).view_as(rows)
    product = u @ (centred.t() @ centred).div_(len(rows))
    deviation = (product * u).sum(1).clamp_(min=0).add_(EPSILON).rsqrt_()
    gain = scale * deviation
    return Normalized(u * gain[:, None], mean, product, deviation, gain)


def denormalize(
    to_rows: Tensor, rows: Tensor, u: Tensor, ones: Normalized, outputs: Tensor, outputs_sum: Tensor
) -> tuple[Tensor, Tensor]:
    """The gradients over u and scale, given that over the outputs, (n, outputs), and its sum over their rows.

    The gradient over rows is written into ``to_rows``.
    """
    kernel, mean, product, deviation, gain = ones
    n = len(rows)
    to_kernel = torch.addr(outputs.t() @ rows, outputs_sum, mean, alpha=-1)
    to_scale = (to_kernel * u).sum(1).mul_(deviation)
    to_variance = to_scale * gain * deviation  # × -2
    to_u = (to_kernel * gain[:, None]).addcmul_(to_variance[:, None], product, value=-1)
    to_covariance = (u.t() * to_variance) @ u  # × -2
    to_mean = torch.addmv(to_covariance.mv(mean), kernel.t(), outputs_sum, alpha=-1)
    several = abreast(rows)
    torch.addmm(
        torch.cat([to_mean] * several),
        beside(rows, several),
        blocks(to_covariance, several),
        beta=1 / n,
        alpha=-1 / n,
        out=beside(to_rows, several),
    ).addmm_(beside(outputs, several), blocks(kernel, several))
    return to_u, to_scale


def abreast(rows: Tensor) -> int:
    """Number of rows that are multiplied as one: enough for 16 numbers."""
    several = max(1, 16 // rows.shape[1])
    return several if len(rows) % several == 0 else 1


def beside(rows: Tensor, several: int) -> Tensor:
    """So many rows as one."""
    return rows.view(-1, several * rows.shape[1])


def blocks(matrix: Tensor, several: int) -> Tensor:
    """The block-diagonal matrix that multiplies so many rows as one."""
    return matrix if several == 1 else torch.block_diag(*[matrix] * several)


def channels_last(x: Tensor) -> Tensor:
    """``x`` with its channels last in memory: itself where they are."""
    return x.contiguous(memory_format=torch.channels_last)


def pixels(x: Tensor) -> Tensor:
    """``x`` (batch, c, h, w), with channels last, as a matrix with a row for each pixel of each image."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1])
