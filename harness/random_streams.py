"""Named random streams: one independent generator per purpose, so that methods can be compared seed by seed.

Whatever noise a method draws, for one seed every method sees the same split, batches, augmentation and initial weights.
All streams are CPU generators, on every device.
"""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int | str, *names: str) -> torch.Generator:
    """The generator of one purpose of one seed: a hash of the seed and the names decides its state."""
    digest = hashlib.sha256("/".join((str(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


class Streams:
    """The streams of one run that advance as it goes; their state is part of every checkpoint."""

    NAMES = ("train-order", "train-augmentation", "valid-order", "valid-augmentation", "method")

    def __init__(self, seed: int | str) -> None:
        self._generators = {name: stream(seed, name) for name in self.NAMES}

    def __getitem__(self, name: str) -> torch.Generator:
        return self._generators[name]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The state of every generator."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        for name, generator in self._generators.items():
            generator.set_state(state[name])
