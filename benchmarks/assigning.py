"""Times the assignment of points of two clouds: exact, and by auction, in one process.

    python benchmarks/assigning.py [--points 128 256 512 1024] [--pairs 32] [--device cpu] [--json]

A time is the least of three for the whole batch of pairs, of solids of different classes: of the processor on
a CPU, which other work on the machine disturbs least, and by the clock on a GPU. `excess` is how much larger
the auction's sum of distances is than the least, as a share of it; `random` is that of any permutation.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vipriors.priors.augment.point_mixup import (
    auction_assignment,
    distances,
    exact_assignment,
    random_assignment,
)
from vipriors.worlds._digits import random_of
from vipriors.worlds._shapes import surface_points
from vipriors.worlds.solids import CLASSES, solid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    records = [measure(points, args.pairs, args.epsilon, torch.device(args.device)) for points in args.points]
    if args.json:
        print(json.dumps(records, indent=2))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measure(points: int, pairs: int, epsilon: float, device: torch.device) -> dict[str, Any]:
    first, second = clouds(pairs, points, 0).to(device), clouds(pairs, points, 1).to(device)
    exact, exact_seconds = timed(lambda: exact_assignment(first, second), device)
    near, near_seconds = timed(lambda: auction_assignment(first, second, epsilon), device)
    costs = distances(first, second)

    def total(assignment: Tensor) -> float:
        return float(costs.gather(2, assignment[:, :, None]).sum())

    chance = random_assignment(first, torch.Generator().manual_seed(0))
    return {
        "points": points,
        "pairs": pairs,
        "device": str(device),
        "exact_ms": round(1000 * exact_seconds, 2),
        "auction_ms": round(1000 * near_seconds, 2),
        "excess": round(total(near) / total(exact) - 1, 5),
        "random": round(total(chance) / total(exact) - 1, 5),
    }


def clouds(pairs: int, points: int, offset: int) -> Tensor:
    """Clouds in the unit ball, `(pairs, points, 3)`; those of another offset are of other classes."""
    found = []
    for number in range(pairs):
        key = f"solids/train/{CLASSES[(number + offset) % len(CLASSES)]}/{number + offset}"
        cloud, _ = surface_points(solid(key), points, random_of(f"{key}/{points}"))
        cloud -= (cloud.max(0) + cloud.min(0)) / 2
        found.append(cloud / np.sqrt((cloud**2).sum(1).max()))
    return torch.from_numpy(np.stack(found)).float()


def timed(work: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, float]:
    """The result, and the least seconds of three."""
    least = float("inf")
    for _ in range(3):
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        began = clock()
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        least = min(least, clock() - began)
    return result, least


if __name__ == "__main__":
    main()
