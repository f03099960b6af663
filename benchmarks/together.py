"""Times five seeds at once (`train_together`) beside the same trainings one after another (`train`).

    python benchmarks/together.py [--seeds 5] [--steps 60] [--json]

Small residual networks on random images, batches of 32, without augmentation, on the best device there is.
The first ten steps of each are not timed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vipriors.methods.classification.residual import residual_network
from vipriors.train import Batches, Execution, Recipe, train
from vipriors.train.together import train_together

WARM = 10
CASES = {
    "8 px, grey, width 16": (8, 1, 16),
    "28 px, grey, width 16": (28, 1, 16),
    "32 px, width 32": (32, 3, 32),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    device = Execution().resolved_device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    records = [{"what": what} | measured(args.seeds, args.steps, *case) for what, case in CASES.items()]
    records = [record | {"device": name} for record in records]
    if args.json:
        print(json.dumps(records, indent=1))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def measured(seeds: int, steps: int, side: int, channels: int, width: int) -> dict[str, float]:
    """Milliseconds a step of one training alone, and of all together."""
    execution = Execution(precision="float32")
    device = execution.resolved_device()
    recipe = Recipe(steps=WARM + steps, batch_size=32)
    images = np.random.default_rng(0).integers(0, 256, (200, side, side, channels), np.uint8)

    def network() -> nn.Module:
        widths = (width, 2 * width, 4 * width)
        return residual_network(channels, 10, stem=width, widths=widths, blocks=1, image_size=side)

    def batches(seed: int) -> Batches:
        return Batches(images, np.arange(200) % 10, batch_size=32, seed=seed, device=device)

    alone = timed(
        WARM,
        lambda tell: train(
            network(),
            batches(0),
            recipe,
            lambda net, x, y, _: functional.cross_entropy(net(x), y),
            execution=execution,
            progress=tell,
            log_every=WARM,
        ),
    )
    together = timed(
        WARM,
        lambda tell: train_together(
            [network() for _ in range(seeds)],
            [batches(seed) for seed in range(seeds)],
            recipe,
            lambda x, y, _: (x, y),
            functional.cross_entropy,
            seeds=range(seeds),
            execution=execution,
            progress=tell,
        ),
    )
    found = {"alone_ms": 1000 * alone / steps, "together_ms": 1000 * together / steps}
    found |= {"times_one": together / alone, "times_faster_than_one_by_one": seeds * alone / together}
    return {key: round(value, 2) for key, value in found.items()}


def timed(warm: int, work: Callable[[Callable[[int, int, str], None]], object]) -> float:
    """Seconds from the step `warm` to the end."""
    began = 0.0

    def tell(step: int, _steps: int, _words: str) -> None:
        nonlocal began
        if step <= warm:
            began = time.perf_counter()

    work(tell)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
