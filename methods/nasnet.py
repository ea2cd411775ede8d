"""NASNet's search: a recurrent controller trained by proximal policy optimisation (Zoph et al., CVPR 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.methods.base import Evaluation, QueryMethod, gumbel
from harness.spaces.base import Architecture, SearchSpace


class NASNet(QueryMethod):
    """An LSTM draws a cell edge by edge; PPO raises the probability of the edges' choices in cells above the baseline.

    The paper's controller makes the decisions of NASNet's cells; here there is one decision per edge, each with a
    softmax of its own. The reward is the validation accuracy (0 to 1), the baseline the moving average of the rewards
    before. After every ``batch`` cells follow ``updates`` steps of Adam on PPO's clipped objective (Schulman et al.,
    2017, equation 7), in which each decision has the whole reward; the paper gives neither these two numbers nor the
    range of clipping. The result is the best cell seen. Where a node keeps some of its edges, the space's rule on log p
    with the noise of the draw says which; the others then count as ``none``.

    With the published learning rate the controller needs thousands of cells (the paper's search evaluated some 20,000)
    and is little but random search over a few hundred; 0.01 suits such budgets.
    """

    name = "nasnet"
    paper = "Zoph, Vasudevan, Shlens & Le: Learning transferable architectures. CVPR 2018, arXiv:1707.07012"
    summary = "LSTM controller trained by PPO on the validation accuracy of the cells it draws; no supernet"

    learning_rate: float = Field(0.00035, gt=0, description="of Adam on the controller")
    hidden: int = Field(100, ge=1, description="units of the controller's LSTM layer and of its embeddings")
    entropy_weight: float = Field(1e-5, ge=0, description="weight of the entropy (nats a decision) in the objective")
    baseline_decay: float = Field(0.95, ge=0, lt=1, description="of the moving average of rewards")
    clip: float = Field(0.2, gt=0, lt=1, description="ε of PPO: ratios of probabilities beyond 1 ± ε earn no more")
    batch: int = Field(20, ge=1, description="cells drawn from one controller before it is updated")
    updates: int = Field(10, ge=1, description="steps of Adam on each batch of cells")
    epochs_per_cell: int = Field(
        1, ge=1, description="epochs each proposed cell is trained before it is validated; a controller needs many"
    )

    def ask(self, space: SearchSpace, history: Sequence[Evaluation], rng: torch.Generator) -> Architecture:
        with one_thread():
            return self.controller(space, history, rng.initial_seed()).draw(space, rng)

    def controller(self, space: SearchSpace, history: Sequence[Evaluation], seed: int) -> Controller:
        """The controller after an update for each full batch of the history; its initial weights follow from the seed.

        The last one is kept, so that a history that goes on from where it was costs the new updates alone.
        """
        key = (self, type(space), seed)
        known = _LATEST.pop(key, None)
        if known is None or list(history[: len(known.seen)]) != known.seen:
            _LATEST.clear()
            known = Learner(self, space, seed)
        while len(history) - len(known.seen) >= self.batch:
            known.learn(history[len(known.seen) :][: self.batch])
        _LATEST[key] = known
        return known.controller

    def objective(self, log_p: Tensor, before: Tensor, chosen: Tensor, advantage: Tensor) -> Tensor:
        """PPO's clipped objective and the entropy, means over cells and decisions.

        Args:
            log_p: (cells, decisions, operations), of the controller that learns.
            before: (cells, decisions), log p of the choices when they were made.
            chosen: (cells, decisions), operations.
            advantage: (cells,), reward less baseline.
        """
        ratio = (log_p.gather(2, chosen[:, :, None])[:, :, 0] - before).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        surrogate = torch.minimum(ratio * advantage[:, None], clipped * advantage[:, None])
        entropy = -(log_p.exp() * log_p).sum(dim=2)
        return surrogate.mean() + self.entropy_weight * entropy.mean()


State = tuple[Tensor, Tensor]
"""Of an LSTM layer: hidden and cell state."""


class Controller(nn.Module):
    """An LSTM layer that is shown each decision before it makes the next one, and a softmax a decision."""

    def __init__(self, decisions: int, operations: int, hidden: int, rng: torch.Generator) -> None:
        super().__init__()
        self.decisions = decisions
        self.embedding = nn.utils.skip_init(nn.Embedding, operations + 1, hidden)  # the last one begins a cell
        self.lstm = nn.utils.skip_init(nn.LSTMCell, hidden, hidden)
        self.heads = nn.ModuleList(nn.utils.skip_init(nn.Linear, hidden, operations) for _ in range(decisions))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=rng)

    def forward(self, cells: Tensor) -> Tensor:
        """log p (cells, decisions, operations) of the decisions, each given those before it in ``cells``.

        Given the first k decisions of cells, (cells, k), it is of those and of the next.
        """
        state, rows = None, []
        for decision in range(min(cells.shape[1] + 1, self.decisions)):
            log_p, state = self.decide(decision, cells[:, decision - 1] if decision else self.start(len(cells)), state)
            rows.append(log_p)
        return torch.stack(rows, dim=1)

    def start(self, count: int) -> Tensor:
        """What stands for the decision before the first one, (count,)."""
        return torch.full((count,), self.embedding.num_embeddings - 1)

    def decide(self, decision: int, before: Tensor, state: State | None) -> tuple[Tensor, State]:
        """log p (cells, operations) of one decision, given the one before it (cells,), and the next state."""
        following: State = self.lstm(self.embedding(before), state)
        return self.heads[decision](following[0]).log_softmax(dim=1), following

    @torch.no_grad()
    def draw(self, space: SearchSpace, rng: torch.Generator) -> Architecture:
        """A cell, each decision by its probability: the largest log p with Gumbel noise is taken."""
        chosen, state, scores = self.start(1), None, []
        for decision in range(self.decisions):
            log_p, state = self.decide(decision, chosen, state)
            scores.append(log_p + gumbel(log_p.shape, rng))
            chosen = scores[-1].argmax(dim=1)
        return space.discretize(torch.cat(scores))


class Learner:
    """A controller, its optimiser and its baseline, which have learnt from the evaluations in ``seen``."""

    def __init__(self, method: NASNet, space: SearchSpace, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed ^ 1)  # not what the method draws from
        self.method = method
        self.controller = Controller(len(space.edges), len(space.operations), method.hidden, rng)
        self.adam = torch.optim.Adam(self.controller.parameters(), lr=method.learning_rate)
        self.seen: list[Evaluation] = []
        self._total = self._weight = 0.0

    def learn(self, batch: Sequence[Evaluation]) -> None:
        """The updates on one batch of cells, drawn from the controller as it is."""
        method = self.method
        chosen = torch.tensor([seen.architecture for seen in batch])
        advantage = torch.tensor([self._advantage(seen.valid_accuracy / 100) for seen in batch])
        with torch.no_grad():
            before = self.controller(chosen).gather(2, chosen[:, :, None])[:, :, 0]
        for _ in range(method.updates):
            self.adam.zero_grad()
            (-method.objective(self.controller(chosen), before, chosen, advantage)).backward()
            self.adam.step()
        self.seen += batch

    def _advantage(self, reward: float) -> float:
        """Reward less the moving average of those before it, which then takes it in; of the first reward, 0."""
        baseline = self._total / self._weight if self._weight else reward
        decay = self.method.baseline_decay
        self._total = decay * self._total + (1 - decay) * reward
        self._weight = decay * self._weight + (1 - decay)
        return reward - baseline


@contextmanager
def one_thread() -> Iterator[None]:
    """In the block, PyTorch computes on one thread: on small matrices more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_LATEST: dict[tuple[NASNet, type[SearchSpace], int], Learner] = {}
"""The learner of the search that asked last."""
