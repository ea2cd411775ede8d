"""Diagnostics of a supernet: measured beside the search of a weight-sharing method, and never part of it.

A search with diagnostics and one without are the same, bit for bit: random numbers come from streams of their own, the
running statistics of batch normalisation are restored, no optimizer steps and no gradient is kept. Time and memory
count as no search cost, and no pass is counted. Nothing here sees a table: the report, which has one, says how well the
supernet ranks cells.

Batch normalisation always uses the statistics of the images at hand, in stem and head too: running statistics are those
of the mixture that was trained, and would be wrong for a single path through the supernet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.config.protocol import Diagnostics
from harness.data.batches import Images
from harness.errors import HarnessError
from harness.methods.base import Passes, SearchState, WeightSharingMethod
from harness.random_streams import stream
from harness.runs.schema import DiagnosticFields, LastDiagnostics
from harness.spaces.base import Architecture, Mixture, SearchSpace

TOLERANCE = 1e-4
"""Largest residual of Lanczos's method, relative to the largest absolute eigenvalue."""

NO_HESSIAN = "leave it out with: --fresh --set diagnostics.hessian=false"
"""Advice to a user who needs the Hessian as a diagnostic alone."""


class SupernetDiagnostics:
    """The measurements of one search.

    Args:
        method: of the search.
        state: of the search, only read; if it has no α of shape (edges, operations), nothing is measured.
        valid: the search-validation half.
        settings: the measurements, and how often they are made.
        seed: of the run.
    """

    def __init__(
        self, method: WeightSharingMethod, state: SearchState, valid: Images, settings: Diagnostics, seed: int
    ) -> None:
        self.method, self.state, self.settings = method, state, settings
        shape = (len(state.space.edges), len(state.space.operations))
        self._possible = "alpha" in state.alphas and state.alpha.shape == shape
        self._valid, self._seed = valid, seed

    def due(self, epoch: int) -> bool:
        """Tell if anything is measured after an epoch, from 0."""
        wanted = self._possible and (self.settings.gap or self.settings.hessian)
        return wanted and ((epoch + 1) % self.settings.every == 0 or epoch + 1 == self.state.epochs)

    def measure(self, cell: Architecture) -> DiagnosticFields:
        """Measure everything that the settings ask for, of the search as it is now; ``cell`` is the derived one.

        Raises :class:`HarnessError` where the supernet is not twice differentiable or the memory does not suffice.
        """
        fields = DiagnosticFields()
        with preserve_buffers(self.state.supernet):
            mixture = deterministic_mixture(self.method, self.state)
            if self.settings.gap:
                fields["mixture_accuracy"] = self.accuracy(mixture)
                fields["derived_accuracy"] = self.accuracy(single_path(mixture, cell))
            if self.settings.hessian:
                fields["hessian_eigenvalue"] = self.eigenvalue(mixture, Passes())
        return fields

    def eigenvalue(self, mixture: Mixture, passes: Passes, otherwise: str = NO_HESSIAN) -> float | None:
        """Compute :func:`largest_eigenvalue` of the loss under a mixture on one batch; ``passes`` counts it."""
        chosen = self._drawn(self._valid.batch_size, "batch")
        (batch,) = replace(chosen, batch_size=len(chosen)).in_order()
        loss = F.cross_entropy(self.state.supernet(batch.images, mixture), batch.labels)
        passes.forward += 1
        passes.examples += len(chosen)
        return largest_eigenvalue(loss, self.state.alpha, passes, otherwise)

    @property
    def due_at_end(self) -> bool:
        """Tell if anything is measured only after the last epoch."""
        return self._possible and (self._ranks or self.settings.perturbation)

    @property
    def _ranks(self) -> bool:
        """Tell if cells are ranked: not in spaces too large for a table, which alone could say how they rank."""
        return self.settings.ranking_cells > 0 and self.state.space.enumerable

    def measure_final(self) -> LastDiagnostics:
        """Measure everything that the settings ask for at the end of the search."""
        measured = LastDiagnostics()
        space = self.state.space
        with preserve_buffers(self.state.supernet):
            mixture = deterministic_mixture(self.method, self.state)
            if self._ranks:
                cells = sample_cells(space, self.settings.ranking_cells)
                measured["indices"] = [space.index(cell) for cell in cells]
                measured["accuracies"] = [self.accuracy(single_path(mixture, cell)) for cell in cells]
            if self.settings.perturbation:
                measured["perturbation"] = self._perturbation(mixture)
        return measured

    def _perturbation(self, mixture: Mixture) -> list[list[float]]:
        """Points of accuracy that the supernet loses when an operation is left out of an edge: (edges, operations).

        The score by which DARTS-PT selects (Wang et al., ICLR 2021, arXiv:2108.04392, eq. 4), of all edges as they are
        after the last epoch. As in the authors' code, the weights that remain on the edge are not normalised again.
        """
        whole = self.accuracy(mixture)
        edges, operations = mixture.weights.shape
        return [
            [whole - self.accuracy(without_operation(mixture, edge, operation)) for operation in range(operations)]
            for edge in range(edges)
        ]

    @torch.no_grad()
    def accuracy(self, mixture: Mixture) -> float:
        """Measure the accuracy (%) of the supernet under a mixture on the chosen search-validation images."""
        chosen = self._drawn(self.settings.images, "images")
        correct = 0
        for images, labels in chosen.measured():
            correct += int((self.state.supernet(images, mixture).argmax(dim=1) == labels).sum())
        return 100 * correct / len(chosen)

    def _drawn(self, count: int | None, purpose: str) -> Images:
        """Draw so many search-validation images, always the same ones; None: all. Without augmentation."""
        valid = self._valid
        if count is None:
            return valid
        order = torch.randperm(len(valid), generator=stream(self._seed, "diagnostics", purpose))
        chosen = order[:count].to(valid.images.device)
        return replace(valid, images=valid.images[chosen], labels=valid.labels[chosen])


@contextmanager
def preserve_buffers(supernet: nn.Module) -> Iterator[None]:
    """Restore the running statistics of a network, bit for bit, when the block ends."""
    before = [buffer.clone() for buffer in supernet.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(supernet.buffers(), before, strict=True):
                buffer.copy_(value)


def deterministic_mixture(method: WeightSharingMethod, state: SearchState) -> Mixture:
    """Return the mixture that diagnostics use: the method's own if it draws no random numbers, and else softmax(α).

    softmax(α) is the mean of the one-hot samples of Gumbel-argmax methods (GDAS, and SNAS at temperature 0), and what
    Zela et al. (ICLR 2020) differentiate for DARTS.
    """
    rng = torch.Generator()
    before = rng.get_state()
    mixture = method.mixture(replace(state, rng=rng, passes=Passes()))
    if torch.equal(rng.get_state(), before):
        return mixture
    return Mixture(state.alpha.softmax(dim=1))


def single_path(mixture: Mixture, cell: Architecture) -> Mixture:
    """Make the mixture of one cell alone, with the edge weights that the network weights were trained with."""
    one_hot = Mixture.of(cell, mixture.weights.shape[1])
    return replace(one_hot, edge_weights=mixture.edge_weights)


def without_operation(mixture: Mixture, edge: int, operation: int) -> Mixture:
    """Leave one operation of one edge out of a mixture; everything else keeps its weight."""
    weights = mixture.weights.detach().clone()
    weights[edge, operation] = 0
    return replace(mixture, weights=weights)


def largest_eigenvalue(
    loss: Tensor, alpha: Tensor, passes: Passes | None = None, otherwise: str = NO_HESSIAN
) -> float | None:
    """The largest eigenvalue of the Hessian of ``loss`` with respect to α; None where it is not finite.

    By :func:`lanczos`; the backward passes are counted.

    The weight decay of α is no part of ``loss``: with its term the eigenvalue is larger by just the weight decay. Zela
    et al. (Understanding and robustifying DARTS, ICLR 2020, arXiv:1909.09656) report it with the term.

    Raises :class:`HarnessError` where second derivatives cannot be computed, with what to do ``otherwise``.
    """
    passes = Passes() if passes is None else passes
    passes.backward += 1
    try:
        return lanczos(loss, alpha, passes)
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise HarnessError(f"the Hessian with respect to α cannot be computed ({text}); {otherwise}") from None


def alpha_gradient(loss: Tensor, alpha: Tensor) -> Tensor:
    """The gradient of ``loss`` in α, to be differentiated again. Raises RuntimeError where it does not depend on α."""
    (gradient,) = torch.autograd.grad(loss, alpha, create_graph=True, allow_unused=True)
    if gradient is None:
        raise RuntimeError("the loss does not depend on α: the method's mixture must compute its weights from it")
    return gradient


def lanczos(loss: Tensor, alpha: Tensor, passes: Passes) -> float | None:
    """The largest eigenvalue of the Hessian of ``loss`` in α by Lanczos's method; None where it is not finite.

    Each step takes one product of the Hessian and a vector. The last one leaves a residual of at most
    :data:`TOLERANCE` times the largest absolute eigenvalue, as far as it is known. All steps are made orthogonal to
    each other again (Golub & Van Loan, Matrix computations, chapter 10). The first vector is always the same.
    """
    gradient = alpha_gradient(loss, alpha)
    start = torch.randn(alpha.numel(), dtype=torch.float64, generator=stream("diagnostics", "lanczos"))
    basis = (start / start.norm())[None]
    diagonal, off_diagonal = list[Tensor](), list[Tensor]()
    while True:
        direction = basis[-1].to(alpha).view_as(alpha)
        (product,) = torch.autograd.grad(gradient, alpha, direction, retain_graph=True)
        passes.backward += 1
        new = product.flatten().double().cpu()
        if not bool(new.isfinite().all()):
            return None
        diagonal.append(new @ basis[-1])
        for _ in range(2):  # once is not enough in floating point
            new = new - basis.T @ (basis @ new)
        size = new.norm()
        projected = torch.diag(torch.stack(diagonal))
        for row, value in enumerate(off_diagonal):
            projected[row, row + 1] = projected[row + 1, row] = value
        values, vectors = torch.linalg.eigh(projected)
        if size * vectors[-1, -1].abs() <= TOLERANCE * values.abs().max() or len(basis) == alpha.numel():
            return float(values[-1])
        off_diagonal.append(size)
        basis = torch.cat([basis, (new / size)[None]])


def sample_cells(space: SearchSpace, count: int) -> list[Architecture]:
    """Draw different cells of a space uniformly: always the same, and the first ones of any larger sample.

    They are all cells of the space if it has no more than ``count``.
    """
    generator = stream("diagnostics", "cells")
    cells: dict[Architecture, None] = {}
    while len(cells) < min(count, space.size):
        cells[space.sample(generator)] = None
    return list(cells)
