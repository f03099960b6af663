"""Times the training engine beside the usual loop, and beside a loop with nothing in it.

    python benchmarks/training.py [--only 32px 224px overhead memory] [--repeats 5] [--json]

The usual loop is what most code has: image files in a folder for each class, torchvision's `ImageFolder`
and `v2` transforms, a `DataLoader` with two workers, SGD. Both sides have the same images, network, batch
size and number of steps, take turns, and are timed from their first batch on; what happens once (decoding
here, starting workers there) is listed apart. The loop with nothing in it trains on one batch that is ready
in memory: what the engine takes longer than it is the engine's cost. Needs torchvision.

Both sides have the same number of torch threads, by default one a core. With `--threads 1` on more cores the
usual loop's workers have cores of their own, which the engine leaves idle. On a machine that does other work
too, torch's threads, which wait for each other by spinning, can make a step take many times as long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from vipriors.data.images import read_image
from vipriors.methods.classification.residual import residual_network
from vipriors.priors.augment import Compose, Flip, ResizedCrop, Shift
from vipriors.train import Batches, Execution, Recipe, Standardise, train

CLASSES = 10
WORKERS = 2
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """Images and a network to train on them."""

    stored: int
    """Side of the image files in pixels."""
    size: int
    """Side of what the network is fed."""
    width: int
    """Channels of the residual network; 0 is a linear layer, so that nothing but loading takes time."""
    images: int
    batch_size: int
    steps: int

    @property
    def name(self) -> str:
        """As the table shows it."""
        network = f"residual network, width {self.width}" if self.width else "linear layer"
        return f"{self.size} px, {network}"

    def network(self) -> nn.Module:
        """The same initial weights at every call."""
        torch.manual_seed(0)
        if not self.width:
            return nn.Sequential(nn.Flatten(), nn.Linear(3 * self.size**2, CLASSES))
        widths = (self.width, 2 * self.width, 4 * self.width)
        return residual_network(3, CLASSES, stem=self.width, widths=widths, blocks=1, image_size=self.size)


CASES = {
    "32px": [Case(32, 32, width, 2000, 32, steps) for width, steps in ((0, 400), (8, 100), (16, 60))],
    "224px": [Case(256, 224, width, 400, 16, steps) for width, steps in ((0, 30), (8, 30))],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = (*CASES, "overhead", "memory")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds, help="all of them by default")
    parser.add_argument("--repeats", type=int, default=5, help="medians are taken over these")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of the training process"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        side, case, folder = args.child
        print(json.dumps(peak_memory(side, Case(**json.loads(case)), Path(folder))))
        return
    records: list[dict[str, Any]] = []
    for kind in args.only:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            if kind in CASES:
                write_images(folder, CASES[kind][0])
                records += [compare(case, folder, args.repeats) for case in CASES[kind]]
            elif kind == "overhead":
                records += [overhead(case, folder, args.repeats) for case in CASES["32px"][1:]]
            else:
                for case in (CASES["32px"][1], CASES["224px"][1]):
                    write_images(folder / str(case.size), case)
                    records.append(memory(case, folder / str(case.size), args.threads))
    if args.json:
        print(json.dumps({"torch": torch.__version__, "threads": args.threads, "records": records}, indent=1))
        return
    for record in records:
        print("  ".join(f"{key} {value}" for key, value in record.items()))


def write_images(folder: Path, case: Case) -> None:
    """Smooth random pictures, so that they compress as photographs do: PNG when small, JPEG when large."""
    rng = np.random.default_rng(0)
    suffix = "png" if case.stored <= 64 else "jpg"
    for number in range(case.images):
        target = folder / str(number % CLASSES) / f"{number}.{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (case.stored // 8, case.stored // 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((case.stored, case.stored), Image.Resampling.BICUBIC).save(target)


def compare(case: Case, folder: Path, repeats: int) -> dict[str, Any]:
    """Images a second of both sides, and how many times faster ours is."""
    sides = {"ours": ours, "usual": usual}
    timings: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for repeat in range(repeats + 1):
        for side, run in sides.items():
            timing = run(case, folder)
            if repeat:  # the first of each compiles kernels and warms caches
                timings[side].append(timing)
    once = {side: statistics.median(once for once, _ in found) for side, found in timings.items()}
    loop = {side: statistics.median(loop for _, loop in found) for side, found in timings.items()}
    return {
        "what": case.name,
        **{f"{side}_images_per_s": round(case.steps * case.batch_size / loop[side]) for side in sides},
        **{f"{side}_once_s": round(once[side], 2) for side in sides},
        "times_faster": round(loop["usual"] / loop["ours"], 2),
    }


def ours(case: Case, folder: Path) -> tuple[float, float]:
    """Seconds to decode all images once, and to train."""
    began = time.perf_counter()
    files = sorted(folder.glob("*/*.*"))
    images = np.stack([read_image(file, channels=3) for file in files])
    labels = np.array([int(file.parent.name) for file in files])
    ready = time.perf_counter()
    crop = Shift(4) if case.size == case.stored else ResizedCrop(case.size)
    augment = Compose((crop, Flip()))

    def loss(network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        return functional.cross_entropy(network(augment(images, generator)), targets)

    network = nn.Sequential(Standardise.of(images), case.network())
    batches = Batches(images, labels, batch_size=case.batch_size, seed=0, device=CPU)
    train(network, batches, recipe(case), loss, execution=Execution("cpu"))
    return ready - began, time.perf_counter() - ready


def usual(case: Case, folder: Path) -> tuple[float, float]:
    """Seconds until the first batch is there, and to train from then on."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    small = case.size == case.stored
    transform = v2.Compose(
        [
            v2.RandomCrop(case.size, padding=4) if small else v2.RandomResizedCrop(case.size),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    began = time.perf_counter()
    loader = DataLoader(
        ImageFolder(folder, transform),
        case.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        drop_last=True,
        persistent_workers=True,
    )
    batches = (batch for _ in itertools.count() for batch in loader)
    first = next(batches)
    ready = time.perf_counter()
    plain_loop(case.network(), itertools.chain([first], batches), case)
    return ready - began, time.perf_counter() - ready


def plain_loop(network: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], case: Case) -> None:
    """SGD as a tutorial writes it."""
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, case.steps)
    network.train()
    for images, targets in itertools.islice(batches, case.steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(images), targets).backward()
        optimizer.step()
        scheduler.step()


def recipe(case: Case) -> Recipe:
    return Recipe(steps=case.steps, batch_size=case.batch_size)


def overhead(case: Case, folder: Path, repeats: int) -> dict[str, Any]:
    """What a step of the engine takes beyond forward, backward and update, in percent."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (case.images, case.size, case.size, 3), dtype=np.uint8)
    batches = Batches(
        images, rng.integers(0, CLASSES, case.images), batch_size=case.batch_size, seed=0, device=CPU
    )

    def loss(network: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        return functional.cross_entropy(network(images), targets)

    def engine(out: Path | None) -> None:
        train(case.network(), batches, recipe(case), loss, execution=Execution("cpu"), folder=out)

    def bare() -> None:
        network = case.network().to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(
            network.parameters(), 0.05, 0.9, weight_decay=5e-4, nesterov=True, fused=True
        )
        images, targets = batches(0)
        for _ in range(case.steps):
            functional.cross_entropy(network(images), targets).backward()
            optimizer.step()
            optimizer.zero_grad()

    sides: dict[str, Callable[[], None]] = {
        "bare": bare,
        "engine": lambda: engine(None),
        "engine_with_folder": lambda: engine(folder),
    }
    timings: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(2 * repeats + 1):
        for side, run in sides.items():
            began = time.perf_counter()
            run()
            if repeat:
                timings[side].append(time.perf_counter() - began)
    # Of each round the ratio: what else the machine does slows neighbouring runs alike.
    extra = {
        side: statistics.median(t / b - 1 for t, b in zip(timings[side], timings["bare"], strict=True))
        for side in ("engine", "engine_with_folder")
    }
    return {
        "what": f"overhead at {case.name}",
        **{f"{side}_ms": round(1000 * min(found) / case.steps, 3) for side, found in timings.items()},
        **{f"{side}_percent": round(100 * value, 1) for side, value in extra.items()},
    }


def memory(case: Case, folder: Path, threads: int) -> dict[str, Any]:
    """Peak resident memory of both sides, each in a process of its own."""
    found = {"what": f"peak memory at {case.name}"}
    for side in ("ours", "usual"):
        arguments = ["--threads", str(threads), "--child", side, json.dumps(vars(case)), str(folder)]
        answer = subprocess.run(
            [sys.executable, __file__, *arguments], check=True, capture_output=True
        ).stdout
        found |= json.loads(answer)
    return found


def peak_memory(side: str, case: Case, folder: Path) -> dict[str, int]:
    """Megabytes of this process after training, and of the largest of its workers."""
    {"ours": ours, "usual": usual}[side](case, folder)
    # Not getrusage: its peak of a process goes back to before it was this program.
    status = Path("/proc/self/status").read_text()
    peaks = {f"{side}_mb": int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024}
    if side == "usual":
        peaks["largest_worker_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return peaks


if __name__ == "__main__":
    main()
