"""What a run folder says about itself.

`recipe.json` is what was asked for: enough to make the run again. `record.json` is what came of it.

    RUN/
      recipe.json        challenge, subset, method, hyper-parameters, seed
      manifest.csv       every image used, with its SHA-256
      log.jsonl          a line of JSON every so many steps
      checkpoint.pt      where `--resume` goes on from
      model.pt           the weights that predict
      predictions.csv    the submission (.zip, .json, .txt for other tasks)
      validation.csv     the same for the validation images, where they were left out of a training
      scores.json        the score, with intervals
      record.json        hashes, versions, device, cost
      rehearsal/         the same training without the validation images, and its curve on them
      report.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vipriors.challenges.schema import Challenge
from vipriors.data.files import read_bytes, write_atomic
from vipriors.problems import BadInput, Problem
from vipriors.tasks.score import Score

Count = Annotated[int, Field(ge=0)]
Model = TypeVar("Model", bound=BaseModel)


class RunRecipe(BaseModel):
    """What a run was asked to do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    challenge: Challenge
    challenge_file: str
    """As it was named on the command line: an embedded challenge, or the path of a YAML file."""
    classes: tuple[str, ...] = Field(min_length=1)
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
        write_atomic(folder / "recipe.json", (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> RunRecipe:
        """Reads `recipe.json`.

        Raises:
            BadInput: The folder is no run, or its recipe is damaged; every wrong field is listed.
        """
        if not (folder / "recipe.json").is_file():
            raise BadInput.single(folder, "is not a run folder: it has no recipe.json")
        return read_model(cls, folder / "recipe.json")

    def differences(self, other: RunRecipe) -> list[Problem]:
        """Every field in which another recipe differs from this one, but for the challenge's path."""
        named = {"challenge_file"}
        mine = flatten(self.model_dump(mode="json", exclude=named))
        theirs = flatten(other.model_dump(mode="json", exclude=named))
        return [
            Problem(f"recipe.json, {key}", f"is {mine.get(key)!r}; asked for now: {theirs.get(key)!r}")
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
        ]


class Counts(BaseModel):
    """Images of each split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Count
    val: Count
    test: Count
    unlabelled: Count = 0


class RunRecord(BaseModel):
    """What came of a run. It is written last: a run is finished when it is there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    counts: Counts
    predictions: str = "predictions.csv"
    """Name of the submission's file."""
    predictions_sha256: str
    validation: Annotated[float, Field(ge=0, le=1)] | None = None
    """The task's headline score on the validation images: of the rehearsal, or of the run itself if it left
    them out."""
    facts: dict[str, Any] = {}
    """What the method says of its fit: cost, hashes of the weights."""
    environment: dict[str, Any] = {}

    def write(self, folder: Path) -> None:
        """Writes `record.json`."""
        write_atomic(folder / "record.json", (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Reads `record.json`.

        Raises:
            BadInput: The run is not finished, or its record is damaged; every wrong field is listed.
        """
        if not (folder / "record.json").is_file():
            message = "is not a finished run: it has no record.json; finish it with `vipriors run … --resume`"
            raise BadInput.single(folder, message)
        return read_model(cls, folder / "record.json")


def read_score(folder: Path) -> Score | None:
    """The score of a finished run; None where the test labels were not at hand.

    Raises:
        BadInput: `scores.json` is damaged; every wrong field is listed.
    """
    file = folder / "scores.json"
    if not file.is_file():
        return None
    record = read_json(file)
    if not isinstance(record, dict):
        raise BadInput.single(file, "is not a JSON object")
    return Score.from_json(record, str(file))


def read_model(model: type[Model], file: Path) -> Model:
    """A validated JSON file.

    Raises:
        BadInput: Lists every wrong field.
    """
    return validated(model, read_json(file), str(file))


def validated(model: type[Model], value: object, place: str) -> Model:
    """A validated value; `place` is what problems call it."""
    try:
        # Through JSON, where lists stand for tuples.
        return model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise BadInput(
            Problem(f"{place}, {'.'.join(map(str, fault['loc'])) or 'whole file'}", fault["msg"])
            for fault in error.errors(include_url=False)
        ) from None


def read_json(file: Path) -> Any:
    """Any JSON file; one that cannot be read or is none is bad input."""
    try:
        return json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise BadInput.single(file, f"is not JSON: {error}") from None


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
