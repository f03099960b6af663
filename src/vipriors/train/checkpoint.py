"""Checkpoints of a training: what a run that was stopped at any moment goes on from."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE = "checkpoint.pt"


def save(folder: Path, parts: dict[str, Any], **state: Any) -> None:
    """Writes the checkpoint beside the old one and swaps them, so that a kill leaves one of the two."""
    state |= {name: part.state_dict() for name, part in parts.items()}
    partial = folder / f"{FILE}.tmp"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / FILE)


def restore(folder: Path, parts: dict[str, Any], device: torch.device) -> tuple[int, float, Tensor, int]:
    """Loads the checkpoint, and cuts the log back to it: lines after it will be written again."""
    state = torch.load(folder / FILE, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    log = folder / "log.jsonl"
    lines = [line for line in log.read_bytes().splitlines(True) if _logged_step(line) <= state["step"]]
    os.truncate(log, sum(map(len, lines)))
    return state["step"], state["seconds"], state["running"], state["counted"]


def _logged_step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except ValueError:  # the process was killed in the middle of this line
        return math.inf
