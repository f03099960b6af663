"""`vipriors run`: few images in; a trained model, a checked submission and its score out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vipriors import methods, tasks
from vipriors.data.files import sha256_file, write_atomic
from vipriors.data.manifest import write_manifest
from vipriors.data.subset import UNLABELLED
from vipriors.methods.protocol import Context, Method, SelfTuning, TrainingSet
from vipriors.problems import BadInput
from vipriors.runs import bridges
from vipriors.runs.environment import environment
from vipriors.runs.prepared import RunData, StageProgress
from vipriors.runs.records import Counts, RunRecipe, RunRecord, read_score
from vipriors.tasks.score import Score


@dataclass(frozen=True)
class Plan:
    """What a run is to do, besides its data."""

    method: str = "baseline"
    """A method's name; `baseline` is the one that the challenge names."""
    preset: str = "tiny"
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Hyper-parameters as text, over the preset's."""
    seed: int = 0
    fit_on: Literal["train", "train+val"] = "train+val"
    """`train` leaves the validation images out, and logs how well they are recognised."""
    challenge_file: str = ""
    """How the challenge was named, if by the path of its file; for the report's commands."""
    rehearse: bool = False
    """Train once on `train` alone first, to see the curve on the validation images."""


@dataclass(frozen=True)
class Learned:
    """What learning leaves, before the test images are looked at."""

    model: Any
    facts: dict[str, Any]
    validation: float | None


def run(
    data: RunData,
    plan: Plan,
    out: Path,
    *,
    execution: Any = None,
    resume: bool = False,
    progress: StageProgress | None = None,
) -> Score | None:
    """Trains, predicts, checks and scores; leaves a run folder (see `vipriors.runs.records`).

    Args:
        data: The images.
        plan: Method, preset, seed and so on.
        out: The run folder. Must be new or empty unless `resume` is set.
        execution: A `vipriors.train.Execution`; the best device there is by default.
        resume: Go on with a run that was interrupted. It must have been asked for in the same words.
        progress: Told how far each stage is.

    Returns:
        The score, or None where the test labels are not at hand.

    Raises:
        BadInput: Something asked for does not exist or does not fit, or `out` holds another run.
    """
    learned = learn(data, plan, out, execution=execution, resume=resume, progress=progress)
    return read_score(out) if learned is None else finish(data, learned, out, execution)


def finish(data: RunData, learned: Learned, out: Path, execution: Any = None) -> Score | None:
    """The second part of `run`: predicts, checks, scores, and writes the record that ends the run."""
    file = out / f"predictions{bridges.find(data.challenge.task).SUFFIX}"
    score = score_predictions(data, "test", learned.model, file)
    if score is not None:
        write_atomic(out / "scores.json", (json.dumps(score.to_json(), indent=1) + "\n").encode())
    counts = {split: len(data.select(split)) for split in Counts.model_fields}
    RunRecord(
        counts=Counts(**counts),
        predictions=file.name,
        predictions_sha256=sha256_file(file),
        validation=learned.validation,
        facts=learned.facts,
        environment=environment(execution.resolved_device() if execution is not None else None),
    ).write(out)
    return score


def learn(
    data: RunData,
    plan: Plan,
    out: Path,
    *,
    execution: Any = None,
    resume: bool = False,
    progress: StageProgress | None = None,
) -> Learned | None:
    """The first part of `run`, which touches no test image: resolves the recipe, trains, stores the model.

    Returns:
        What was learned, or None if the run in `out` is finished already.
    """
    name = data.challenge.baseline if plan.method == "baseline" else plan.method
    method = methods.configure(name, plan.preset, plan.overrides)
    if (task := methods.listing(name).family) != data.challenge.task:
        expected = f"challenge {data.challenge.name} is about {data.challenge.task}"
        raise BadInput.single(f"method {name}", f"is for the task {task}; {expected}")
    if out.exists() and any(out.iterdir()) and not resume:
        raise BadInput.single(out, "is not empty; go on with --resume, or choose another --out")
    has_validation = bool(data.select("val"))
    if not has_validation and (plan.rehearse or plan.fit_on == "train"):
        images = data.images_per_class
        raise BadInput.single(
            data.root, f"has no validation images at {images} a class; fit to train+val without --rehearse"
        )
    if isinstance(method, SelfTuning) and has_validation:
        method = method.tuned(_apart(data))

    recipe = _recipe(data, plan, name, method, execution)
    if resume and (out / "recipe.json").exists():
        if differences := RunRecipe.read(out).differences(recipe):
            raise BadInput(differences)
        if (out / "record.json").exists():
            return None
    out.mkdir(parents=True, exist_ok=True)
    recipe.write(out)
    write_manifest(out / "manifest.csv", data.rows)

    validation = None
    context = Context(plan.seed, out, resume, execution, partial(progress, "train") if progress else None)
    if plan.rehearse:
        rehearsal = dataclasses.replace(
            context,
            folder=out / "rehearsal",
            progress=partial(progress, "rehearse") if progress else None,
        )
        validation = _validation_score(data, method.fit(_apart(data), rehearsal).model, out)
    if plan.fit_on == "train":
        fitted = method.fit(_apart(data), context)
        validation = _validation_score(data, fitted.model, out)
    else:
        fitted = method.fit(_training_set(data, "train", "val"), context)
    fitted.model.save(out)
    return Learned(fitted.model, fitted.facts, validation)


def run_floors(
    data: RunData, seed: int, out: Path, progress: StageProgress | None = None
) -> dict[str, Score | None]:
    """Runs the challenge's floors on the same images, in `out/floors/<name>`; scores by name."""
    scores = {}
    for number, floor in enumerate(data.challenge.floors):
        if progress:
            progress("floors", number, len(data.challenge.floors), floor)
        scores[floor] = run(data, Plan(floor, seed=seed), out / "floors" / floor, resume=True)
    if progress:
        progress("floors", len(scores), len(scores), "")
    return scores


def score_predictions(data: RunData, split: str, model: Any, file: Path) -> Score | None:
    """Predicts the images of `val` or `test`, writes the file, checks it as anyone would, and scores it.

    Returns:
        The score; None where the labels are not at hand.

    Raises:
        BadInput: The predictions do not pass the check.
    """
    bridge, task = bridges.find(data.challenge.task), tasks.load(data.challenge.task)
    bridge.write(data, split, model, file)
    truth = bridge.truth(data, split)
    if truth is None:
        return None
    predictions, problems = task.check(file.read_bytes(), truth.index, file.name)
    if problems:
        raise BadInput(problems)
    score: Score = task.score(predictions, truth.labels, truth.index, truth.classes)
    return score


def load_model(out: Path, execution: Any = None) -> tuple[RunRecipe, Any]:
    """The trained model of a finished run, with the run's recipe."""
    recipe = RunRecipe.read(out)
    RunRecord.read(out)
    method = methods.restore(recipe.method, recipe.hyper_parameters)
    *sides, channels = recipe.challenge.form.shape
    shape = (channels, *sides)
    return recipe, method.load(out, shape, len(recipe.classes), execution)


def _training_set(data: RunData, *splits: str) -> TrainingSet:
    labelled = bridges.find(data.challenge.task).labelled(data, *splits)
    unlabelled = data.load(UNLABELLED).images if data.select(UNLABELLED) else None
    return TrainingSet(labelled, data.classes, data.challenge.invariance, unlabelled=unlabelled)


def _apart(data: RunData) -> TrainingSet:
    """The training images alone, with the validation images held out."""
    held_out = bridges.find(data.challenge.task).labelled(data, "val")
    return dataclasses.replace(_training_set(data, "train"), held_out=held_out)


def _recipe(data: RunData, plan: Plan, name: str, method: Method, execution: Any) -> RunRecipe:
    return RunRecipe(
        challenge=data.challenge,
        challenge_file=plan.challenge_file or data.challenge.name,
        classes=data.classes,
        images_per_class=data.images_per_class,
        subset_seed=data.subset_seed,
        manifest_sha256=data.manifest_sha256,
        method=name,
        preset=plan.preset,
        # Through JSON, so that tuples compare equal to what is read back.
        hyper_parameters=json.loads(json.dumps(dataclasses.asdict(method))),  # type: ignore[call-overload]
        seed=plan.seed,
        fit_on=plan.fit_on,
        rehearse=plan.rehearse,
        precision=execution.precision if execution is not None else "auto",
    )


def _validation_score(data: RunData, model: Any, out: Path) -> float | None:
    """The task's headline score on the validation images, whose predictions stay in the run's folder."""
    file = out / f"validation{bridges.find(data.challenge.task).SUFFIX}"
    score = score_predictions(data, "val", model, file)
    return score.estimates[score.headline].value if score else None
