"""DARTS-PT: architecture selection by perturbation (Wang, Cheng, Chen, Tang & Hsieh, ICLR 2021)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace

EXCLUDED = -1000.0
"""α of an operation that was not chosen on a decided edge: its softmax is exactly 0, and stays so."""


class DARTSPT(WeightSharingMethod):
    """DARTS whose cell is chosen by each operation's contribution to the supernet, not by the size of its α (alg. 1).

    In the last part of the run the edges are decided one after the other, in random order and at equal intervals. Each
    operation of the edge is left out in turn; the one without which the supernet's accuracy is lowest is chosen. The
    accuracy is on the whole search-validation half. Between decisions w and α of the undecided edges learn on. The
    decisions are written into α, so that the space's rule on α gives the cell; before the first one it is the cell of
    DARTS. Where a node keeps some of its edges, it keeps in the end those without which the supernet is worst.

    The authors add the deciding epochs to those of the search, with a tenth of the learning rate; here they are part of
    the run, at the end of the learning rate's cosine, so that all methods have equal budgets.
    """

    name = "darts-pt"
    paper = "Wang, Cheng, Chen, Tang & Hsieh: DARTS-PT. ICLR 2021, arXiv:2108.04392"
    summary = "DARTS that chooses the operations without which the supernet is worst"
    group = "weight-sharing"

    selection: float = Field(
        0.2, gt=0, le=1, description="last fraction of the epochs, in which edges are decided (paper: 25 of 125)"
    )

    @torch.no_grad()
    def begin_epoch(self, state: SearchState) -> None:
        alpha = state.alpha
        while len(undecided := undecided_edges(alpha)) > len(alpha) - self.decided_by(state):
            edge = undecided[int(torch.randint(len(undecided), (1,), generator=state.rng))]
            chosen = most_needed_operation(state, edge)
            alpha[edge] = EXCLUDED
            alpha[edge, chosen] = 0

    @torch.no_grad()
    def derive(self, state: SearchState) -> Architecture:
        cell = super().derive(state)
        if not state.in_last_epoch or len(state.space.kept(cell)) == len(cell):
            return cell
        errors = [100 - without(state, edge, slice(None)) for edge in range(len(cell))]
        return state.space.discretize(state.alpha, state.alpha.new_tensor(errors)[:, None].expand_as(state.alpha))

    def decided_by(self, state: SearchState) -> int:
        """The number of edges decided as this epoch begins: 1 in the first epoch of the selection, all in the last."""
        edges, span = len(state.space.edges), max(1, round(self.selection * state.epochs))
        since = state.epoch - (state.epochs - span)
        if since < 0:
            return 0
        return 1 + (edges - 1) * since // (span - 1) if span > 1 else edges


def undecided_edges(alpha: Tensor) -> list[int]:
    """The edges on which no operation is excluded; α is (edges, operations)."""
    return (alpha > EXCLUDED / 2).all(dim=1).nonzero().flatten().tolist()


def most_needed_operation(state: SearchState, edge: int) -> int:
    """The first operation without which the supernet is least accurate; the other weights stay as they are (eq. 4).

    As in the authors' code, the weights that remain on the edge are not normalised again. An operation that the space's
    rule never gives, such as ``none`` where nodes drop edges, is no candidate.
    """
    accuracies = {operation: without(state, edge, operation) for operation in derivable(state.space, edge)}
    return min(accuracies, key=lambda operation: accuracies[operation])


def derivable(space: SearchSpace, edge: int) -> list[int]:
    """The operations that the space's rule gives an edge which prefers them to all others of the cell."""
    operations = []
    for operation in range(len(space.operations)):
        scores = torch.zeros(len(space.edges), len(space.operations))
        scores[edge, operation] = 1
        strengths = scores.amax(dim=1, keepdim=True).expand_as(scores)
        if space.discretize(scores, strengths)[edge] == operation:
            operations.append(operation)
    return operations


def without(state: SearchState, edge: int, operations: int | slice) -> float:
    """Accuracy (%) of the supernet without some operations of an edge."""
    weights = state.alpha.softmax(dim=1)
    weights[edge, operations] = 0
    return state.validate(Mixture(weights))
