"""What a challenge file says, validated.

A challenge is a task on certain data: where the images come from, which of them may be learned from, at
what size, what may be done to them without changing their label, and what the floor is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vipriors.challenges import published
from vipriors.data.lists import ListRule, read_list
from vipriors.data.loader import Form
from vipriors.data.sources import (
    ANNOTATED_KINDS,
    ArraySource,
    Source,
    detect_kind,
    open_annotated,
    open_imagenet,
    open_source,
)
from vipriors.data.sources.base import Media
from vipriors.data.sources.cityscapes import open_cityscapes
from vipriors.data.sources.domains import TwoDomains
from vipriors.data.subset import Rule, SubsetRule
from vipriors.problems import BadInput, Problem

METHODS = {
    "classification": ("residual", ("support-vector-machine", "nearest-neighbour")),
    "segmentation": ("u-net", ("majority-class", "mean-colour")),
    "detection": ("one-stage", ("box-prior",)),
    "instances": ("mask-rcnn", ("mask-prior",)),
    "actions": ("two-plus-one", ("class-prior", "frame-nearest-neighbour")),
    "reid": ("embedding", ("mean-colour-distance", "pixel-distance")),
    "points": ("point-net", ("cloud-prior", "cloud-nearest-neighbour")),
    "planning": ("estimated-links", ("straight-line", "shortest-path")),
    "generation": ("vae", ("pixel-gaussian", "noisy-copies")),
}
"""Baseline and floors of a challenge that names none, by its task."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSection(_Section):
    """Where the labelled images come from."""

    world: str | None = Field(None, description="An embedded generator, such as `digits`.")
    variant: str | None = Field(
        None,
        description="Of the world, where it has several, such as `noise` of `solids`, `fine` of `scenes`, "
        "or the number of nodes of `maps`.",
    )
    kind: Literal[
        "auto",
        "folder",
        "idx",
        "cifar-binary",
        "cifar-python",
        "numpy",
        "imagenet",
        "label-maps",
        "cityscapes",
        "coco",
        "voc",
        "delftbikes",
        "ucf101",
        "kinetics400",
        "synergy-reid",
        "points",
    ] = Field(
        "auto",
        description="Layout of the files; `auto` looks, for classification alone. `imagenet` needs a "
        "`subset.list`.",
    )
    path: Path | None = Field(None, description="Where they are, relative to the challenge file.")
    classes: tuple[str, ...] | None = Field(
        None, description="Names of the classes by label, where the files only number them."
    )
    about: str = Field("", description="How to get a copy.")


def _none_for_source(value: object) -> object:
    return None if value == "source" else value


def _none_for_all(value: object) -> object:
    return None if value == "all" else value


class TargetSection(SourceSection):
    """Other images of the same classes: the test is theirs, and those to learn from have no labels."""

    tail: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Each class has this share of the unlabelled images of the class before it; the test "
        "stays as it is.",
    )


class SubsetSection(_Section):
    """Which images may be learned from, and which are the test: drawn by number, or listed."""

    list: str | None = Field(
        None,
        description="Instead of all the rest: a published list, or a CSV file (`split,source` and perhaps "
        "`id`), relative to the challenge file.",
    )
    images_per_class: int | None = Field(None, ge=2, description="Training and validation images a class.")
    images: int | None = Field(
        None, ge=2, description="Training and validation images in all, where they have no class."
    )
    seed: int = 0
    validation: Annotated[float | None, BeforeValidator(_none_for_source)] = Field(
        0.4,
        gt=0,
        lt=1,
        description="Share of them that is validation; or `source` for the source's own validation split, "
        "beside the images that are drawn.",
    )
    test_per_class: int | None = Field(None, ge=1, description="Test images a class; all by default.")
    test_seed: int = 0
    unlabelled: Annotated[int | None, BeforeValidator(_none_for_all)] = Field(
        0, ge=0, description="Images that may be learned from without their labels, in all; or `all` others."
    )

    @model_validator(mode="after")
    def _list_stands_alone(self) -> Self:
        fields = type(self).model_fields.items()
        others = [name for name, field in fields if name != "list" and getattr(self, name) != field.default]
        if self.list is not None and others:
            raise ValueError(f"a list leaves nothing to say for {', '.join(others)}")
        if self.images is not None and self.images_per_class is not None:
            raise ValueError("give images or images_per_class, not both")
        return self


class InputSection(_Section):
    """What a method is given: fixed, because a larger input alone is worth several points."""

    size: tuple[int, int] = Field(description="Height and width in pixels.")
    points: int | None = Field(None, ge=1, description="Of each cloud, in place of a size.")
    nodes: int | None = Field(None, ge=2, description="Of each map, in place of a size.")
    channels: int = Field(3, ge=1)
    frames: int | None = Field(None, ge=1, description="Evenly spaced frames of each clip.")
    map_scale: int = Field(
        1, ge=1, description="Label maps to learn from are this many times as high and wide as the images."
    )

    @model_validator(mode="before")
    @classmethod
    def _clouds_and_maps_have_no_size(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and isinstance(count := fields.get("points", fields.get("nodes")), int):
            return {"size": (count, 1), **fields}
        return fields


class Invariance(_Section):
    """Changes of an image that leave its label as it is: what a challenge knows about its own images.

    A cloud is mirrored from left to right (x), turned about the vertical (z) and scaled, but not shifted.
    """

    flip: bool = Field(False, description="Mirrored left to right.")
    shift: int = Field(0, ge=0, description="Moved by up to this many pixels at the input size.")
    rotate: float = Field(0.0, ge=0, le=180, description="Turned by up to this many degrees either way.")
    scale: float = Field(0.0, ge=0, lt=1, description="Grown or shrunk by up to this share.")


class Challenge(_Section):
    """One competition on a task."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    task: Literal[
        "classification",
        "segmentation",
        "detection",
        "instances",
        "actions",
        "reid",
        "points",
        "planning",
        "generation",
    ]
    description: str = ""
    source: SourceSection
    target: TargetSection | None = Field(
        None, description="Where the test and the unlabelled images come from, if not from the source."
    )
    subset: SubsetSection = SubsetSection()
    input: InputSection
    invariance: Invariance = Invariance()
    baseline: str = Field(description="A method; by default the light one of the task.")
    floors: tuple[str, ...] = Field(description="Methods to beat; by default the trivial ones of the task.")
    rules: tuple[str, ...] = (
        "Only the given training and validation images may be learned from: no other data, no pre-trained "
        "weights.",
        "The test images may not be labelled by hand.",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_methods(cls, fields: Any) -> Any:
        task = fields.get("task") if isinstance(fields, dict) else None
        if not isinstance(task, str) or task not in METHODS:
            return fields
        baseline, floors = METHODS[task]
        return {"baseline": baseline, "floors": floors, **fields}

    @model_validator(mode="after")
    def _clips_have_frames(self) -> Self:
        if (self.task == "actions") != (self.input.frames is not None):
            raise ValueError("input.frames is for clips, which task actions is about, and needed there")
        return self

    @model_validator(mode="after")
    def _maps_have_a_scale(self) -> Self:
        if self.task != "segmentation" and self.input.map_scale != 1:
            raise ValueError("input.map_scale is for label maps, which task segmentation is about")
        return self

    @model_validator(mode="after")
    def _clouds_have_points(self) -> Self:
        if (self.task == "points") != (self.input.points is not None):
            raise ValueError("input.points is for clouds, which task points is about, and needed there")
        if self.source.world is None and (self.task == "points") != (self.source.kind == "points"):
            raise ValueError("source.kind points is for clouds, which task points is about, and needed there")
        return self

    @model_validator(mode="after")
    def _maps_have_nodes(self) -> Self:
        if (self.task == "planning") != (self.input.nodes is not None):
            raise ValueError("input.nodes is for maps, which task planning is about, and needed there")
        return self

    @model_validator(mode="after")
    def _only_classes_are_left_out(self) -> Self:
        if self.task != "classification" and (self.target or self.subset.unlabelled != 0):
            raise ValueError("target and subset.unlabelled are for task classification")
        if self.target and (self.target.kind == "imagenet" or self.source.kind == "imagenet"):
            raise ValueError("a target is for sources of any kind but imagenet")
        return self

    @property
    def form(self) -> Form:
        """What samples are brought to: the whole image where positions in it are predicted."""
        fit: Literal["crop", "stretch"] = "crop" if self.task in ("classification", "actions") else "stretch"
        media: Media = "points" if self.input.points else "clips" if self.input.frames else "images"
        media = "maps" if self.input.nodes else media
        return Form(self.input.size, self.input.channels, fit, self.input.frames, media)

    def rule(self, images_per_class: int | None = None, seed: int | None = None) -> Rule:
        """What cuts the subset, with another size or seed if given.

        Of a list, a size takes that many of each class, training and validation images together in the
        list's proportion: the first of the list with seed 0, a draw from it with any other.

        Raises:
            BadInput: The list cannot be read, or size and seed make no subset.
        """
        subset = self.subset
        if subset.list is not None:
            if subset.list in published.NAMES:
                rows = published.read_published(subset.list)
            else:
                rows = tuple(read_list(Path(subset.list)))
            return ListRule(rows, images_per_class, seed or 0, name=subset.list)
        return SubsetRule(
            images_per_class=images_per_class or subset.images_per_class or subset.images,
            seed=subset.seed if seed is None else seed,
            validation=subset.validation,
            test_per_class=subset.test_per_class,
            test_seed=subset.test_seed,
            unlabelled=subset.unlabelled,
            tail=self.target.tail if self.target else 1.0,
        )

    def open(self, path: Path | None = None, *, images: bool = True) -> Source:
        """The source: the embedded world, or the files at `path` (the challenge file's by default).

        With a target both are one source; the target's files are where the challenge file says.

        Args:
            path: The user's copy.
            images: False where labels are enough: those of ImageNet are listed, so that no copy is needed.

        Raises:
            BadInput: The files are missing or damaged, or no path is known.
        """
        if self.target is None:
            return self._open_one(path, images)
        other = self.model_copy(update={"source": self.target, "target": None})
        return TwoDomains(self._open_one(path, images), other._open_one(None, images))

    def _open_one(self, path: Path | None, images: bool) -> Source:
        """The source alone."""
        if self.source.world:
            from vipriors.worlds import load_source

            return load_source(self.source.world, self.task, self.source.variant)
        path = path or self.source.path
        if self.source.kind == "imagenet" and not images:
            return self._open_imagenet(None)
        if path is None:
            how = f" {self.source.about}" if self.source.about else ""
            raise BadInput.single(
                f"challenge {self.name}",
                f"needs your copy of its images: give its folder with --source.{how}",
            )
        if self.source.kind == "cityscapes" and isinstance(rule := self.rule(), ListRule):
            keys = [row.source for row in rule.rows]
            return open_cityscapes(path, self.task, self.source.classes, keys)
        if self.source.kind in ANNOTATED_KINDS:
            return open_annotated(self.source.kind, path, self.task, self.source.classes)
        kind = detect_kind(path) if self.source.kind == "auto" else self.source.kind
        source = self._open_imagenet(path) if kind == "imagenet" else open_source(kind, path)
        if self.source.classes is None:
            return source
        if not isinstance(source, ArraySource) or len(source.classes) != len(self.source.classes):
            found = f"the source has {len(source.classes)} classes"
            raise BadInput.single(
                f"challenge {self.name}, source.classes", f"names {len(self.source.classes)} classes; {found}"
            )
        return dataclasses.replace(source, classes=self.source.classes)

    def label_names(self, names: Sequence[str]) -> Sequence[str] | None:
        """What a task must be told of the classes to read labels: their names, unless it knows them."""
        return None if self.source.kind == "cityscapes" else names

    def _open_imagenet(self, path: Path | None) -> Source:
        rule = self.rule()
        if not isinstance(rule, ListRule):
            raise BadInput.single(
                f"challenge {self.name}, subset", "kind imagenet needs a `list` of its images"
            )
        return open_imagenet(path, (row.source for row in rule.rows), published.imagenet_wnids())


def read_challenge(file: Path) -> Challenge:
    """Reads and validates a challenge file.

    Raises:
        BadInput: Lists every field that is wrong, with what was expected.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput.single(file, f"is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise BadInput.single(file, "is not a mapping of fields such as name, title, task, source")
    try:
        challenge = Challenge.model_validate(content)
    except ValidationError as error:
        raise BadInput(
            Problem(f"{file}, {'.'.join(str(part) for part in fault['loc'])}", _describe(fault))
            for fault in error.errors(include_url=False)
        ) from None
    for field, section in (("source", challenge.source), ("target", challenge.target)):
        if section is not None and section.path is not None:
            absolute = section.model_copy(update={"path": (file.parent / section.path).resolve()})
            challenge = challenge.model_copy(update={field: absolute})
    if (name := challenge.subset.list) is not None and name not in published.NAMES:
        if not name.endswith(".csv"):
            expected = f"expected {', '.join(published.NAMES)} or the path of a .csv file"
            raise BadInput.single(f"{file}, subset.list", f"no published list is called {name!r}; {expected}")
        subset = challenge.subset.model_copy(update={"list": str((file.parent / name).resolve())})
        challenge = challenge.model_copy(update={"subset": subset})
    return challenge


def _describe(fault: object) -> str:
    assert isinstance(fault, dict)
    given = "" if fault["type"] == "missing" else f"; found {fault['input']!r}"
    return f"{fault['msg'][0].lower()}{fault['msg'][1:]}{given}"
