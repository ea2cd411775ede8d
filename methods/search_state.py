"""The state of a search in progress, which the harness hands to the hooks of a weight-sharing method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.spaces.base import Architecture, Mixture, SearchSpace, Supernet


class Batch(NamedTuple):
    """Images (batch, 3, height, width), float32, normalised and augmented, and their labels (batch,), int64."""

    images: Tensor
    labels: Tensor


class Forward(NamedTuple):
    """What one forward pass gave: the mean cross-entropy, and how many images of the batch were classified rightly."""

    loss: Tensor
    correct: Tensor


@dataclass
class Passes:
    """Hardware-free cost: what a search computed, whatever the machine."""

    forward: int = 0
    backward: int = 0
    examples: int = 0


Validate = Callable[[Mixture], float]
"""One-shot accuracy: how many % of search-validation images the supernet classifies rightly under a mixture.

What the harness promises, so that candidates can be compared by it: every call sees all images of the search-validation
half, each once, without augmentation, in the same order and in the same batches; batch normalisation uses the
statistics of each batch; no gradient is recorded; w, α, the running statistics and every random stream are afterwards
what they were before. Its forward passes and examples are counted in ``passes``; its time is charged to the hook that
calls it, and that of :meth:`WeightSharingMethod.begin_epoch` and :meth:`WeightSharingMethod.derive` is derivation. It
sees neither the test set nor a table.
"""


Curvature = Callable[[], float]
"""The largest eigenvalue of ∇²_α of the validation loss now, without the weight decay of α; NaN where not finite.

It is computed on one batch of the search-validation half, without augmentation, the same one whenever asked for, under
the method's mixture (softmax(α) where that draws noise). As with :data:`Validate`, w, α, the running statistics and
every random stream are left as they were, the passes are counted (a backward pass for the gradient and for each product
of the Hessian and a vector), and the time is charged to the hook that calls it.
"""


@dataclass
class SearchState:
    """One search in progress: everything a gradient method may read and change.

    Attributes:
        space: the search space.
        supernet: its parameters are the network weights w.
        alphas: the architecture parameters by name; never in ``weight_optimizer``.
        weight_optimizer: SGD of the protocol; its ``lr`` follows the protocol's schedule.
        alpha_optimizer: what :meth:`WeightSharingMethod.alpha_optimizer` returned.
        noise: the method's own random stream (a CPU generator).
        validate: accuracy (%) under a mixture on the whole search-validation half; see :data:`Validate`.
        curvature: largest eigenvalue of the Hessian of the validation loss in α; see :data:`Curvature`.
        clip_norm: largest gradient norm of w, or None; never applied to α.
        epochs: number of epochs of this run.
        epoch: the epoch in progress, 0 to ``epochs - 1``.
        passes: counts of what was computed so far.
        memory: what a method must remember beside α and w: numbers and tensors, in lists and dictionaries.
        stopped: set by a method that ends before the last epoch: no more steps are made, none of its hooks but
            :meth:`WeightSharingMethod.derive` is called, and the epochs that are left cost nothing.
        mixed_precision: forward passes compute in bfloat16 what bears it; parameters, losses and gradients are float32.
        costs: what the loss of α pays for the whole weight of each operation, (edges, operations); None: nothing.
    """

    space: SearchSpace
    supernet: Supernet
    alphas: dict[str, nn.Parameter]
    weight_optimizer: torch.optim.Optimizer
    alpha_optimizer: torch.optim.Optimizer
    rng: torch.Generator
    validate: Validate
    curvature: Curvature
    clip_norm: float | None
    epochs: int
    epoch: int = 0
    passes: Passes = field(default_factory=Passes)
    memory: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False
    mixed_precision: bool = False
    costs: Tensor | None = None

    @property
    def alpha(self) -> nn.Parameter:
        """α: (edges, operations)."""
        return self.alphas["alpha"]

    @property
    def weights(self) -> list[nn.Parameter]:
        """The network weights w, in the order of ``supernet.parameters()`` but without a walk through its modules."""
        return [parameter for group in self.weight_optimizer.param_groups for parameter in group["params"]]

    @property
    def in_last_epoch(self) -> bool:
        """Whether the cell derived now is the result of the search."""
        return self.epoch == self.epochs - 1

    def fork_rng(self) -> torch.Generator:
        """A generator that draws what ``noise`` would draw next and leaves ``noise`` where it is; for deriving."""
        ahead = torch.Generator()
        ahead.set_state(self.rng.get_state())
        return ahead

    def best_by_validation(self, cells: Iterable[Architecture]) -> Architecture:
        """The first of the cells with the highest one-shot accuracy on the whole search-validation half.

        Each cell is computed alone with the shared weights; one that comes twice is scored once.
        """
        operations = len(self.space.operations)
        return max(dict.fromkeys(cells), key=lambda cell: self.validate(Mixture.of(cell, operations)))

    def forward(self, batch: Batch, mixture: Mixture) -> Forward:
        """The supernet's cross-entropy on a batch under a mixture; counted as one forward pass.

        Where the mixture is differentiable in α and its operations have ``costs``, the gradient of the loss is also
        that of the expected cost Σ_e Σ_o weights[e, o] · costs[e, o]; the value stays the cross-entropy alone.

        Raises TypeError for what is no mixture, such as the None of a hook that forgot to return.
        """
        if not isinstance(mixture, Mixture):
            raise TypeError(f"mixture and weight_mixture must return a Mixture: this is {mixture!r}")
        self.passes.forward += 1
        self.passes.examples += len(batch.labels)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=self.mixed_precision):
            logits = self.supernet(batch.images, mixture)
            loss = nn.functional.cross_entropy(logits, batch.labels)
        if self.costs is not None and mixture.weights.grad_fn is not None:
            expected = (mixture.weights * self.costs).sum()
            loss = loss + (expected - expected.detach())
        return Forward(loss, (logits.detach().argmax(dim=1) == batch.labels).sum())

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """d loss / d parameters, zeros where the loss does not depend on one; counted as one backward pass."""
        self.passes.backward += 1
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]

    def update_alpha(self, loss: Tensor) -> None:
        """One step of α's optimiser down the gradient of ``loss``; w stays as it is."""
        self.step_alpha(self.gradients(loss, list(self.alphas.values())))

    def update_weights(self, loss: Tensor) -> None:
        """One step of w's optimiser down the gradient of ``loss``, clipped; α stays as it is."""
        self.step_weights(self.gradients(loss, self.weights))

    def update_jointly(self, loss: Tensor) -> None:
        """One step of both optimisers from one backward pass (single-level search)."""
        alphas, weights = list(self.alphas.values()), self.weights
        found = self.gradients(loss, alphas + weights)
        self.step_alpha(found[: len(alphas)])
        self.step_weights(found[len(alphas) :])

    def step_alpha(self, gradients: Iterable[Tensor]) -> None:
        """One step of α's optimiser with the given gradients, in the order of ``alphas``."""
        for parameter, gradient in zip(self.alphas.values(), gradients, strict=True):
            parameter.grad = gradient
        self.alpha_optimizer.step()

    def step_weights(self, gradients: Iterable[Tensor]) -> None:
        """One clipped step of w's optimiser with the given gradients, in the order of ``supernet.parameters()``."""
        weights = self.weights
        for parameter, gradient in zip(weights, gradients, strict=True):
            parameter.grad = gradient
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(weights, self.clip_norm)
        self.weight_optimizer.step()
