"""Local search: climb to the best neighbour until none is better (White, Nolen & Savani, UAI 2021)."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from harness.methods.base import QueryMethod, QueryState
from harness.spaces.base import Architecture


class LocalSearch(QueryMethod):
    """Evaluate all neighbours of a cell and move to the best if it is better, else start anew at random (section 3).

    Neighbours are evaluated in random order. No cell is evaluated twice: each climb uses the evaluations of those
    before, and a move to a known cell costs nothing.
    """

    name = "local-search"
    paper = "White, Nolen & Savani: Exploring the loss landscape in NAS. UAI 2021, arXiv:2005.02960"
    summary = "hill climbing over all neighbours of a cell, from random starts; no supernet"

    query_until_lower: bool = Field(
        False, description="move to a better neighbour as soon as it is known, before the others are evaluated"
    )
    epochs_per_cell: int = Field(
        1,
        ge=1,
        description="training epochs of each proposed cell before it is validated; few, since a climb needs many cells",
    )

    def ask(self, state: QueryState) -> Architecture:
        space, rng = state.space, state.rng
        accuracy: dict[Architecture, float] = {}
        current: Architecture = ()
        unseen: list[Architecture] = []  # the neighbours of the current cell still to be evaluated
        for cell, valid_accuracy in state.history:
            accuracy.setdefault(cell, valid_accuracy)
            if unseen:
                unseen.remove(cell)
            else:
                current = cell
            while not unseen or (self.query_until_lower and accuracy[cell] > accuracy[current]):
                neighbours = space.neighbours(current)
                unseen = [neighbour for neighbour in neighbours if neighbour not in accuracy]
                best = max(neighbours, key=lambda neighbour: accuracy.get(neighbour, -math.inf))
                if accuracy.get(best, -math.inf) <= accuracy[current] or (unseen and not self.query_until_lower):
                    break
                current, unseen = best, []
        if unseen:
            return unseen[int(torch.randint(len(unseen), (), generator=rng))]
        start = space.sample(rng)
        while start in accuracy and len(accuracy) < space.size:
            start = space.sample(rng)
        return start
