"""What a run was made from, and the commands that make it again and check it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from vipriors.challenges.schema import InputSection
from vipriors.report.finished import FinishedRun

COSTS = {"seconds": "training seconds", "flops_per_image": "FLOPs per image, forward"}
NARROW_SPACE = "\u202f"


def facts(run: FinishedRun, floors: tuple[FinishedRun, ...]) -> dict[str, dict[str, str]]:
    """Everything that was set, used and spent, by group."""
    recipe, outcome = run.recipe, run.outcome
    challenge = recipe.challenge
    spent = {key: value for key, value in outcome.facts.items() if not key.endswith("sha256")}
    hashes = {key: value for key, value in outcome.facts.items() if key.endswith("sha256")}
    data = {
        "challenge": challenge.name,
        "task": challenge.task,
        "classes": str(len(recipe.classes)),
        **_input(challenge.input),
        "images" if challenge.subset.images else "images a class": "all"
        if recipe.images_per_class is None
        else str(recipe.images_per_class),
        "subset seed": str(recipe.subset_seed),
        **{
            f"{split} images": grouped(count)
            for split, count in outcome.counts
            if count or split != "unlabelled"
        },
        "invariance": _words(challenge.invariance.model_dump()),
    }
    method = {
        "method": recipe.method,
        "preset": recipe.preset,
        "seed": str(recipe.seed),
        "fitted to": recipe.fit_on,
        "rehearsed": as_text(recipe.rehearse),
        "precision": recipe.precision,
    }
    groups = {
        "Data": data,
        "Method": method,
        "Hyper-parameters": {key: as_text(value) for key, value in recipe.hyper_parameters.items()},
        "Floors": {floor.recipe.method: _words(floor.recipe.hyper_parameters) for floor in floors},
        "Cost": {COSTS.get(key, key.replace("_", " ")): grouped(value) for key, value in spent.items()},
        "Made with": {key: as_text(value) for key, value in outcome.environment.items()},
        "SHA-256": {
            "manifest": recipe.manifest_sha256,
            "predictions": outcome.predictions_sha256,
            **{key.removesuffix("_sha256").replace("_", " "): as_text(hash) for key, hash in hashes.items()},
        },
    }
    return {group: values for group, values in groups.items() if values}


def run_command(run: FinishedRun, floors: bool) -> str:
    """The command that makes the run again, over several lines.

    Every hyper-parameter is stated, so that the command stays exact when a preset changes; other options
    are stated where they are not what the challenge or the command takes by itself.
    """
    recipe = run.recipe
    subset = recipe.challenge.subset
    words = [
        "vipriors run",
        shlex.quote(recipe.challenge_file),
        shlex.quote(recipe.method),
    ]
    words += [f"--preset {shlex.quote(recipe.preset)}", f"--seed {recipe.seed}"]
    if recipe.images_per_class != (subset.images_per_class or subset.images):
        words.append(f"--images-per-class {recipe.images_per_class}")
    if recipe.subset_seed != subset.seed:
        words.append(f"--subset-seed {recipe.subset_seed}")
    if source := _source(run):
        words.append(" ".join(source))
    if recipe.fit_on != "train+val":
        words.append(f"--fit {shlex.quote(recipe.fit_on)}")
    words += ["--rehearse"] if recipe.rehearse else []
    words += ["--floors"] if floors else []
    if recipe.precision != "auto":
        words.append(f"--precision {shlex.quote(recipe.precision)}")
    words += [f"--set {shlex.quote(f'{k}={as_text(v)}')}" for k, v in recipe.hyper_parameters.items()]
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 76:
            lines[-1] += " \\"
            lines.append(" ")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join(lines)


def audit_command(run: FinishedRun) -> str:
    """The command that checks the run.

    A relative folder stands as it was given; of an absolute one, which tells of a person's machine, the name.
    """
    folder = run.folder.name if run.folder.is_absolute() else str(run.folder)
    return shlex.join(["vipriors", "audit", folder, *_source(run)])


def grouped(value: Any) -> str:
    """A whole number with its thousands apart; anything else as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", NARROW_SPACE)
    return as_text(value)


def as_text(value: Any) -> str:
    """A JSON value as `--set` takes it."""
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


def _source(run: FinishedRun) -> list[str]:
    source = run.recipe.challenge.source
    return [] if source.world or source.path else ["--source", "DIR"]


def _input(given: InputSection) -> dict[str, str]:
    """What one image, clip, cloud or map is brought to."""
    if given.points:
        return {"points of a cloud": str(given.points)}
    if given.nodes:
        return {"nodes of a map": str(given.nodes), "numbers of a node": str(given.channels)}
    (height, width), scale = given.size, given.map_scale
    finer = {"label maps to learn from, H × W": f"{scale * height} × {scale * width}"} if scale > 1 else {}
    return {"input, H × W × C": f"{height} × {width} × {given.channels}"} | finer


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {as_text(value)}" for key, value in values.items()) or "none"
