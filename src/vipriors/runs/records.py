"""What a run folder says about itself.

`recipe.json` is what was asked for: enough to make the run again. `record.json` is what came of it.

    RUN/
      recipe.json        challenge, subset, method, hyper-parameters, seed
      manifest.csv       every image used, with its SHA-256
      log.jsonl          a line of JSON every so many steps
      checkpoint.pt      where `--resume` goes on from
      model.pt           the weights that predict
      predictions.csv    the submission
      scores.json        the score, with intervals
      record.json        hashes, versions, device, cost
      rehearsal/         the same training without the validation images, and its curve on them
      report.html
"""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vipriors.challenges.schema import Challenge
from vipriors.problems import BadInput, Problem


class RunRecipe(BaseModel):
    """What a run was asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    challenge: Challenge
    classes: tuple[str, ...]
    images_per_class: int | None
    subset_seed: int
    manifest_sha256: str
    method: str
    preset: str
    hyper_parameters: dict[str, Any]
    seed: int
    fit_on: Literal["train", "train+val"] = "train+val"
    rehearse: bool = False
    precision: str = "auto"

    def write(self, folder: Path) -> None:
        """Writes `recipe.json`."""
        write_text(folder / "recipe.json", self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> RunRecipe:
        """Reads `recipe.json`.

        Raises:
            BadInput: The folder is no run, or its recipe is damaged; every wrong field is listed.
        """
        file = folder / "recipe.json"
        if not file.is_file():
            raise BadInput.single(folder, "is not a run folder: it has no recipe.json")
        try:
            return cls.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise BadInput(
                Problem(f"{file}, {'.'.join(map(str, fault['loc'])) or 'whole file'}", fault["msg"])
                for fault in error.errors(include_url=False)
            ) from None

    def differences(self, other: RunRecipe) -> list[Problem]:
        """Every field in which another recipe differs from this one."""
        mine, theirs = flatten(self.model_dump(mode="json")), flatten(other.model_dump(mode="json"))
        return [
            Problem(f"recipe.json, {key}", f"is {mine.get(key)!r}; asked for now: {theirs.get(key)!r}")
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def environment(device: Any = None) -> dict[str, Any]:
    """Versions and hardware, as recorded with every result. `device` is a torch device, if one was used."""
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


def write_text(path: Path, text: str) -> None:
    """Writes a file so that a kill at any moment leaves the old one or the new one whole."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
