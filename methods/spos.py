"""SPOS: single path one-shot neural architecture search with uniform sampling (Guo et al., ECCV 2020)."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from harness.methods.base import SearchState, WeightSharingMethod
from harness.spaces.base import Architecture, Mixture, SearchSpace


class SPOS(WeightSharingMethod):
    """Train w on one uniformly drawn cell per batch; then evolve cells by one-shot accuracy (algorithm 1).

    There is no α and no α step. Every generation consists of crossovers and mutations of the ``parents`` best cells so
    far. A cell is scored once, with the shared weights, on the whole search-validation half. The paper computes the
    statistics of batch normalisation anew for each cell; here they are those of each batch. Where a node keeps some of
    its edges, children exchange all inputs of a node instead of single edges.

    The published settings ask for 1000 cells. Each new one costs a pass over half of the images, so that all cost at
    most the forward passes of 1000 epochs of training, without the backward ones. Before the last epoch nothing is
    scored, and the cell is the first of the first generation, a uniformly drawn one.
    """

    name = "spos"
    paper = "Guo, Zhang, Mu, Heng, Liu, Wei & Sun: Single path one-shot. ECCV 2020, arXiv:1904.00420"
    summary = "supernet trained on uniformly drawn cells; evolution by one-shot accuracy"
    group = "weight-sharing"
    bilevel: ClassVar[bool] = False

    population: int = Field(50, ge=1, description="cells of the first generation, drawn uniformly")
    generations: int = Field(20, ge=1, description="T, number of generations, including the first one")
    parents: int = Field(10, ge=1, description="k, number of the best cells so far, from which a generation is made")
    crossovers: int = Field(25, ge=0, description="children of two parents in each generation")
    mutations: int = Field(25, ge=0, description="children of one parent in each generation")
    mutation: float = Field(
        0.1,
        ge=0,
        le=1,
        description="probability that a mutation redraws the operation of an edge (space darts: the inputs of a node)",
    )

    def initial_alphas(self, space: SearchSpace, rng: torch.Generator) -> dict[str, Tensor]:
        return {}

    def mixture(self, state: SearchState) -> Mixture:
        return Mixture.of(state.space.sample(state.rng), len(state.space.operations))

    def derive(self, state: SearchState) -> Architecture:
        rng, space = state.fork_rng(), state.space
        if not state.in_last_epoch:
            return space.sample(rng)
        scores: dict[Architecture, float] = {}
        generation = [space.sample(rng) for _ in range(self.population)]
        for number in range(self.generations):
            if number > 0:
                best = sorted(scores, key=lambda cell: -scores[cell])[: self.parents]
                generation = [crossover(pick(best, rng), pick(best, rng), space, rng) for _ in range(self.crossovers)]
                generation += [mutated(pick(best, rng), self.mutation, space, rng) for _ in range(self.mutations)]
            for cell in generation:
                if cell not in scores:
                    scores[cell] = state.validate(Mixture.of(cell, len(space.operations)))
        return max(scores, key=lambda cell: scores[cell])


def pick(cells: list[Architecture], rng: torch.Generator) -> Architecture:
    """One of the cells, with equal probability."""
    return cells[int(torch.randint(len(cells), (1,), generator=rng))]


def crossover(one: Architecture, other: Architecture, space: SearchSpace, rng: torch.Generator) -> Architecture:
    """A cell whose edges each have the operation of either parent, with equal probability.

    Where nodes drop edges, its nodes each have the inputs of either parent.
    """
    units = inputs(space, one)
    sides = torch.randint(2, (1 + max(units),), generator=rng).tolist()
    return tuple((one, other)[sides[unit]][edge] for edge, unit in enumerate(units))


def mutated(cell: Architecture, probability: float, space: SearchSpace, rng: torch.Generator) -> Architecture:
    """The cell with each edge's operation, or each node's inputs, drawn anew with ``probability``.

    The draw may give the same again.
    """
    units, anew = inputs(space, cell), space.sample(rng)
    redrawn = (torch.rand(1 + max(units), generator=rng) < probability).tolist()
    return tuple(anew[edge] if redrawn[unit] else cell[edge] for edge, unit in enumerate(units))


def inputs(space: SearchSpace, cell: Architecture) -> list[int]:
    """The unit of exchange that each edge belongs to: the edge itself or, where nodes drop edges, its node's inputs."""
    if len(space.kept(cell)) == len(cell):
        return list(range(len(cell)))
    nodes = sorted({target for _, target in space.edges})
    return [nodes.index(target) for _, target in space.edges]
