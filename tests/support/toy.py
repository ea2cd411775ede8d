"""Small searches for tests: a supernet whose gradients can be derived by hand, and a real one in miniature."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from harness import registry
from harness.methods.base import Batch, Evaluation, Query, QueryMethod, QueryState, SearchState, WeightSharingMethod
from harness.random_streams import stream
from harness.spaces.base import (
    Architecture,
    InvalidArchitecture,
    Mixture,
    NetworkConfig,
    SearchSpace,
    Supernet,
    initialize,
)
from harness.spaces.nas_bench_201.space import NASBench201

NAS_BENCH_201 = NASBench201()
SMALL = NetworkConfig(channels=4, cells=1, classes=3)


class OneEdge(SearchSpace):
    """A single edge of three operations."""

    name = "one-edge"
    summary = "for tests"
    operations = ("none", "a", "b")
    edges = ((0, 1),)
    size = 3

    def parse(self, text: str) -> Architecture:
        names = text.split("+")
        if not set(names) <= set(self.operations):
            raise InvalidArchitecture(f"no architecture: {text}")
        return self.validate([self.operations.index(name) for name in names])

    def format(self, architecture: Sequence[int]) -> str:
        return "+".join(self.operations[operation] for operation in self.validate(architecture))

    def index(self, architecture: Sequence[int]) -> int:
        return list(itertools.product(range(3), repeat=len(self.edges))).index(self.validate(architecture))

    def architecture(self, index: int) -> Architecture:
        return list(itertools.product(range(3), repeat=len(self.edges)))[index]

    def canonical(self, architecture: Sequence[int]) -> str:
        return self.format(architecture)

    def neighbours(self, architecture: Sequence[int]) -> list[Architecture]:
        cells = map(self.architecture, range(self.size))
        return [cell for cell in cells if sum(a != b for a, b in zip(cell, architecture, strict=True)) == 1]

    def sample(self, generator: torch.Generator) -> Architecture:
        return tuple(torch.randint(3, (len(self.edges),), generator=generator).tolist())

    def discretize(self, scores: Tensor, strengths: Tensor | None = None) -> Architecture:
        return tuple(scores.argmax(dim=1).tolist())

    def supernet(self, config: NetworkConfig) -> Supernet:
        return ScalarSupernet(len(self.edges))

    def network(self, architecture: Sequence[int], config: NetworkConfig) -> nn.Module:
        raise NotImplementedError("this toy has a supernet only")

    def reference_cells(self) -> dict[str, Architecture]:
        return {}


class TwoEdges(OneEdge):
    """Two edges that end in the same node."""

    name = "two-edges"
    edges = ((0, 2), (1, 2))
    size = 9


class ScalarSupernet(Supernet):
    """Operation o of edge e multiplies by ``w[e, o]``; operation 0 is ``none``, so that ``w[e, 0]`` is never used.

    The logits are (y, 0), where y is the sum of the edges' outputs for the mean of the image. As in a network with a
    classifier, they depend on w whatever the mixture.
    """

    def __init__(self, edges: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-0.8, 1.4, 3 * edges, dtype=torch.float64).view(edges, 3))

    def forward(self, images: Tensor, mixture: Mixture) -> Tensor:
        x = images.mean(dim=(1, 2, 3))
        y = 0 * self.w.sum() * x
        for edge, row in enumerate(self.w):
            chosen = range(3) if mixture.selected is None else [mixture.selected[edge]]
            output = torch.zeros_like(x)
            for operation in chosen:
                if operation != 0:
                    output = output + mixture.weights[edge, operation] * row[operation] * x
            if mixture.edge_bias is not None:
                output = output + mixture.edge_bias[edge]
            if mixture.edge_weights is not None:
                output = mixture.edge_weights[edge] * output
            y = y + output
        return torch.stack([y, torch.zeros_like(y)], dim=1)


def gradient_methods() -> list[str]:
    """The names of all registered weight-sharing methods."""
    return [name for name in registry.methods() if issubclass(registry.get_method(name), WeightSharingMethod)]


def build_search(
    method: WeightSharingMethod,
    space: SearchSpace = NAS_BENCH_201,
    config: NetworkConfig = SMALL,
    *,
    epochs: int = 10,
    epoch: int = 0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    clip_norm: float | None = 5.0,
) -> SearchState:
    """The state of a search of ``method`` as the harness sets one up, on a small supernet."""
    supernet = space.supernet(replace(config, **method.supernet_options()))
    initialize(supernet, lambda name: stream(seed, "weights", name))
    supernet.to(dtype).train()
    initial = method.initial_alphas(space, stream(seed, "alpha"))
    alphas = {name: nn.Parameter(value.to(dtype)) for name, value in initial.items()}
    adam = torch.optim.Adam([{"params": list(alphas.values())}], lr=0.1, betas=(0.5, 0.999), weight_decay=1e-3)
    images, labels = batch(f"validation {seed}", 20, config.classes, dtype)

    @torch.no_grad()
    def validate(mixture: Mixture) -> float:
        search.passes.forward += 1
        search.passes.examples += len(labels)
        return 100 * (supernet(images, mixture).argmax(dim=1) == labels).double().mean().item()

    def curvature() -> float:
        raise NotImplementedError("searches of the harness measure it; a test makes up its own")

    search = SearchState(
        space=space,
        supernet=supernet,
        alphas=alphas,
        weight_optimizer=torch.optim.SGD(
            supernet.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, foreach=True
        ),
        alpha_optimizer=method.alpha_optimizer(list(alphas.values()), adam),
        memory=method.initial_memory(space, stream(seed, "memory")),
        rng=stream(seed, "method"),
        validate=validate,
        curvature=curvature,
        clip_norm=clip_norm,
        epochs=epochs,
        epoch=epoch,
    )
    return search


def query_state(
    method: QueryMethod, space: SearchSpace = NAS_BENCH_201, history: Sequence[Evaluation] = (), *, seed: int = 0
) -> QueryState:
    """A search of ``method`` that has been told of ``history``, as the harness sets one up."""
    state = QueryState(space, [], stream(seed, "method"), memory=method.initial_memory(space, stream(seed, "memory")))
    for evaluation in history:
        state.history.append(evaluation)
        method.tell(state)
    return state


def proposed(method: QueryMethod, state: QueryState) -> Architecture:
    """The cell that ``method`` asks for next."""
    answer = method.ask(state)
    return answer.architecture if isinstance(answer, Query) else answer


def batch(seed: int | str, size: int = 4, classes: int = 3, dtype: torch.dtype = torch.float32) -> Batch:
    """Random images of 8×8 pixels and labels."""
    generator = stream(seed, "batch")
    images = torch.randn(size, 3, 8, 8, generator=generator)
    return Batch(images.to(dtype), torch.randint(classes, (size,), generator=generator))


def lit(name: str) -> Batch:
    """Images whose means lie well away from zero, and two classes."""
    images, labels = batch(name, 5, 2, torch.float64)
    return Batch(10 * images, labels)


def build_again(state: SearchState) -> SearchState:
    """The same search with a random stream of its own in the same state."""
    rng = torch.Generator()
    rng.set_state(state.rng.get_state())
    return replace(state, rng=rng)


def step(method: WeightSharingMethod, state: SearchState, seed: int = 0) -> None:
    """An α step, where the method has one, and a weight step."""
    train, valid = batch(f"train {seed}"), batch(f"valid {seed}")
    if method.bilevel:
        method.alpha_step(state, train, valid)
    method.weight_step(state, train)


def copies(state: SearchState) -> tuple[list[Tensor], list[Tensor]]:
    """Copies of w and of α."""
    return (
        [parameter.detach().clone() for parameter in state.supernet.parameters()],
        [parameter.detach().clone() for parameter in state.alphas.values()],
    )


def identical(ones: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """True where two lists of tensors agree bit for bit."""
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))
