"""The states of a search in progress, which the harness hands to the hooks of a method.

:class:`SearchState` is that of a weight-sharing method, :class:`QueryState` that of a query-based one. Either holds the
method's own state in ``memory``.
"""

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
    """The result of one forward pass: the mean cross-entropy, and the number of correctly classified images."""

    loss: Tensor
    correct: Tensor


@dataclass
class Passes:
    """Counts of what a search computed with the supernet: a cost that does not depend on the machine."""

    forward: int = 0
    backward: int = 0
    examples: int = 0


def classify(
    network: Callable[[Tensor], Tensor],
    batch: Batch,
    passes: Passes,
    *,
    label_smoothing: float = 0.0,
    mixed_precision: bool = False,
) -> Forward:
    """Compute the cross-entropy of a batch, and how many of its images are classified rightly.

    Args:
        network: gives the logits (batch, classes) of images.
        batch: images and labels.
        passes: counts this forward pass.
        label_smoothing: share of the target that is spread evenly over all classes.
        mixed_precision: compute in bfloat16 what bears it.
    """
    passes.forward += 1
    passes.examples += len(batch.labels)
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=mixed_precision):
        logits = network(batch.images)
        loss = nn.functional.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)
    return Forward(loss, (logits.detach().argmax(dim=1) == batch.labels).sum())


Validate = Callable[[Mixture], float]
"""One-shot accuracy: % of the search-validation images that the supernet classifies correctly under a mixture.

The harness promises that candidates can be compared by it. Every call sees all images of the search-validation half,
each once, without augmentation, in the same order and the same batches. Batch normalisation uses the statistics of each
batch. No gradient is recorded. Afterwards w, α, the running statistics and every random stream are what they were
before. Its forward passes and examples are counted in ``passes``; its time is charged to the hook that calls it, and
counts as derivation in :meth:`WeightSharingMethod.begin_epoch` and :meth:`WeightSharingMethod.derive`. It sees neither
the test set nor a table.
"""


Curvature = Callable[[], float]
"""The largest eigenvalue of ∇²_α of the validation loss now, without the weight decay of α; NaN where not finite.

It is computed on one batch of the search-validation half, without augmentation and always the same one, under the
method's mixture (softmax(α) where the mixture is drawn at random). Like :data:`Validate` it leaves w, α, the running
statistics and every random stream as they were, counts its passes (a backward pass for the gradient and for each
product of the Hessian and a vector), and charges its time to the hook that calls it.
"""


class Query(NamedTuple):
    """An architecture to evaluate, and the epochs of its training; None: the full training, the longest there is."""

    architecture: Architecture
    epochs: int | None = None


class Evaluation(NamedTuple):
    """An architecture that a query-based method asked for, and its validation accuracy (%)."""

    architecture: Architecture
    valid_accuracy: float


@dataclass
class QueryState:
    """One search of a query-based method in progress.

    Attributes:
        space: the search space.
        history: all evaluations so far, in order; only read by methods.
        rng: the method's own random stream (a CPU generator).
        lower_fidelities: numbers of epochs, ascending, of the trainings there are besides the full one. Which training
            was behind which evaluation follows from the history: it is what the method asked for.
        memory: the method's own state; see :meth:`Method.initial_memory`.
    """

    space: SearchSpace
    history: list[Evaluation]
    rng: torch.Generator
    lower_fidelities: Sequence[int] = ()
    memory: dict[str, Any] = field(default_factory=dict)


@dataclass
class SearchState:
    """One search of a weight-sharing method in progress: everything that the method may read and change.

    Attributes:
        space: the search space.
        supernet: its parameters are the network weights w.
        alphas: the architecture parameters by name; never in ``weight_optimizer``.
        weight_optimizer: SGD of the protocol; its ``lr`` follows the protocol's schedule.
        alpha_optimizer: what :meth:`WeightSharingMethod.alpha_optimizer` returned.
        rng: the method's own random stream (a CPU generator).
        validate: accuracy (%) under a mixture on the whole search-validation half; see :data:`Validate`.
        curvature: largest eigenvalue of the Hessian of the validation loss in α; see :data:`Curvature`.
        clip_norm: largest gradient norm of w, or None; never applied to α.
        epochs: number of epochs of this run.
        epoch: the epoch in progress, 0 to ``epochs - 1``.
        passes: counts of what was computed so far.
        memory: the method's own state beside α and w; see :meth:`Method.initial_memory`.
        stopped: set by a method that ends before the last epoch. Then no more steps are made, no hook but
            :meth:`WeightSharingMethod.derive` is called, and the remaining epochs cost nothing.
        mixed_precision: whether forward passes compute in bfloat16 what can be; parameters, losses and gradients are
            float32.
        penalties: terms in the loss of α for the whole weight of each operation, (edges, operations); None: none.
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
    penalties: Tensor | None = None

    @property
    def alpha(self) -> nn.Parameter:
        """α: (edges, operations). Raises LookupError where the method has no architecture parameter of this name."""
        if "alpha" not in self.alphas:
            raise LookupError("initial_alphas returns no 'alpha': override mixture and derive, which use it by default")
        return self.alphas["alpha"]

    @property
    def weights(self) -> list[nn.Parameter]:
        """The network weights w, in the order of ``supernet.parameters()`` but without a walk through its modules."""
        return [parameter for group in self.weight_optimizer.param_groups for parameter in group["params"]]

    @property
    def in_last_epoch(self) -> bool:
        """True in the last epoch, whose derived cell is the result of the search."""
        return self.epoch == self.epochs - 1

    def fork_rng(self) -> torch.Generator:
        """A generator that draws what ``rng`` would draw next, and leaves ``rng`` where it is; for derive."""
        ahead = torch.Generator()
        ahead.set_state(self.rng.get_state())
        return ahead

    def best_by_validation(self, cells: Iterable[Architecture]) -> Architecture:
        """The first of the cells with the highest one-shot accuracy on the whole search-validation half.

        Each cell is computed alone, with the shared weights. A cell that occurs twice is scored once.
        """
        operations = len(self.space.operations)
        return max(dict.fromkeys(cells), key=lambda cell: self.validate(Mixture.of(cell, operations)))

    def forward(self, batch: Batch, mixture: Mixture) -> Forward:
        """The supernet's cross-entropy on a batch under a mixture; counted as one forward pass.

        Where the mixture is differentiable in α and there are ``penalties``, the gradient of the loss includes that of
        the expected penalty Σ_e Σ_o weights[e, o] · penalties[e, o]; its value stays the cross-entropy alone.

        Raises TypeError where ``mixture`` is no Mixture, such as the None of a hook that forgot to return.
        """
        if not isinstance(mixture, Mixture):
            raise TypeError(f"mixture and weight_mixture must return a Mixture: this is {mixture!r}")

        def network(images: Tensor) -> Tensor:
            return self.supernet(images, mixture)  # type: ignore[no-any-return]

        forward = classify(network, batch, self.passes, mixed_precision=self.mixed_precision)
        if self.penalties is None or mixture.weights.grad_fn is None:
            return forward
        expected = (mixture.weights * self.penalties).sum()
        return forward._replace(loss=forward.loss + (expected - expected.detach()))

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
        """d loss / d parameters, zeros where the loss does not depend on one; counted as one backward pass."""
        self.passes.backward += 1
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients, strict=True)]

    def update_alpha(self, loss: Tensor) -> None:
        """Take one step of α's optimizer down the gradient of ``loss``; w stays as it is."""
        self.step_alpha(self.gradients(loss, list(self.alphas.values())))

    def update_weights(self, loss: Tensor) -> None:
        """Take one step of w's optimizer down the clipped gradient of ``loss``; α stays as it is."""
        self.step_weights(self.gradients(loss, self.weights))

    def update_jointly(self, loss: Tensor) -> None:
        """Take one step of both optimizers from one backward pass (single-level search)."""
        alphas, weights = list(self.alphas.values()), self.weights
        gradients = self.gradients(loss, alphas + weights)
        self.step_alpha(gradients[: len(alphas)])
        self.step_weights(gradients[len(alphas) :])

    def step_alpha(self, gradients: Iterable[Tensor]) -> None:
        """Take one step of α's optimizer with these gradients, in the order of ``alphas``."""
        for parameter, gradient in zip(self.alphas.values(), gradients, strict=True):
            parameter.grad = gradient
        self.alpha_optimizer.step()

    def step_weights(self, gradients: Iterable[Tensor]) -> None:
        """Take one clipped step of w's optimizer with these gradients, in the order of ``supernet.parameters()``."""
        weights = self.weights
        for parameter, gradient in zip(weights, gradients, strict=True):
            parameter.grad = gradient
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(weights, self.clip_norm)
        self.weight_optimizer.step()
