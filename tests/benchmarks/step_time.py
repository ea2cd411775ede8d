"""Step time of the supernet against the textbook one, as ratios, in one process: ``tox -e bench``."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from spaces.base import Mixture, NetworkConfig
from spaces.nas_bench_201.supernet import NASBench201Supernet
from tests.textbook import TextbookSupernet

SIZES = [(8, 1, 16), (16, 1, 32), (16, 5, 32)]
BATCH = 64


def step(network: nn.Module, mixture: Mixture, images: torch.Tensor, labels: torch.Tensor, optimizer) -> float:
    start = time.perf_counter()
    loss = nn.functional.cross_entropy(network(images, mixture), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    soft = Mixture(torch.randn(6, 5).softmax(1))
    hard = Mixture.of((3, 1, 2, 3, 4, 0), 5)
    print(f"{'C':>3} {'N':>2} {'size':>4} {'textbook':>10} {'soft':>8} {'ratio':>6} {'K=4':>8} {'one-hot':>8}")
    for channels, cells, size in SIZES:
        config = NetworkConfig(channels, cells, 10)
        networks = {
            "textbook": (TextbookSupernet(config), soft),
            "soft": (NASBench201Supernet(config), soft),
            "K=4": (NASBench201Supernet(NetworkConfig(channels, cells, 10, partial_channels=4)), soft),
            "one-hot": (NASBench201Supernet(config), hard),
        }
        images, labels = torch.randn(BATCH, 3, size, size), torch.randint(10, (BATCH,))
        optimizers = {k: torch.optim.SGD(n.parameters(), 0.025, 0.9) for k, (n, _) in networks.items()}
        repeats = 10 if cells == 1 else 2
        times: dict[str, list[float]] = {key: [] for key in networks}
        for _ in range(repeats + 1):
            for key, (network, mixture) in networks.items():
                times[key].append(step(network, mixture, images, labels, optimizers[key]))
        t = {key: 1000 * statistics.median(values[1:]) for key, values in times.items()}
        print(
            f"{channels:3} {cells:2} {size:4} {t['textbook']:7.0f} ms {t['soft']:5.0f} ms "
            f"{t['textbook'] / t['soft']:6.2f} {t['K=4']:5.0f} ms {t['one-hot']:5.0f} ms"
        )


if __name__ == "__main__":
    main()
