"""Versions and hardware, as recorded with every result."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def environment(device: Any = None) -> dict[str, Any]:
    """Versions and hardware; `device` is the torch device of the training, if there was one."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "processor": _processor(),
    }
    for package in ("vipriors", "numpy", "pillow", "scikit-learn", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if device is not None:
        import torch

        found["threads"] = torch.get_num_threads()
        found["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
