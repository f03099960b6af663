from pathlib import Path

import numpy as np
import pytest
import yaml

from vipriors import challenges
from vipriors.challenges import hidden
from vipriors.challenges.schema import Challenge, read_challenge
from vipriors.data.lists import ListRule
from vipriors.methods import listings
from vipriors.problems import BadInput


def write(folder: Path, **changes: object) -> Path:
    content: dict[str, object] = {
        "name": "mine",
        "title": "Mine",
        "task": "classification",
        "source": {"world": "digits"},
        "subset": {"images_per_class": 4, "test_per_class": 3},
        "input": {"size": [8, 8], "channels": 1},
    }
    file = folder / "challenge.yaml"
    file.write_text(yaml.safe_dump(content | changes))
    return file


@pytest.mark.parametrize("name", challenges.embedded())
def test_embedded_challenges_are_valid_and_name_methods_that_exist(name: str) -> None:
    challenge = read_challenge(challenges.find(name))
    assert challenge.name == name
    assert challenge.description
    known = {method.name for method in listings()}
    assert {challenge.baseline, *challenge.floors} <= known


def test_quick_summaries_say_what_the_files_say() -> None:
    for name, task, title in challenges.summaries():
        challenge = read_challenge(challenges.find(name))
        assert (task, title) == (challenge.task, challenge.title)


def test_every_wrong_field_is_listed(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        name="Not A Name",
        task="telepathy",
        subset={"validation": 1.5, "images_per_class": 1, "imagess": 3},
        input={"size": [8]},
        extra=1,
    )
    with pytest.raises(BadInput) as caught:
        read_challenge(file)
    places = {problem.place.removeprefix(f"{file}, ") for problem in caught.value.problems}
    assert places >= {
        "name",
        "task",
        "subset.validation",
        "subset.images_per_class",
        "subset.imagess",
        "extra",
    }
    assert any(place.startswith("input.size") for place in places)


@pytest.mark.parametrize(
    "content", ["[1, 2]", "a: b: c", "just words", "", "!!python/object/apply:os.getcwd []"]
)
def test_what_is_no_challenge_at_all_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "challenge.yaml"
    file.write_text(content)
    with pytest.raises(BadInput, match=r"challenge\.yaml"):
        read_challenge(file)


def test_only_label_maps_have_a_scale(tmp_path: Path) -> None:
    fine = {"size": [8, 8], "channels": 1, "map_scale": 2}
    scenes = {"task": "segmentation", "source": {"world": "scenes"}, "subset": {"images": 4}}
    assert read_challenge(write(tmp_path, input=fine, **scenes)).input.map_scale == 2
    for changes, words in (
        ({"input": fine}, "input.map_scale is for label maps, which task segmentation is about"),
        ({"input": fine | {"map_scale": 0}, **scenes}, "greater than or equal to 1"),
    ):
        with pytest.raises(BadInput, match=words):
            read_challenge(write(tmp_path, **changes))


def test_find_by_name_file_and_folder(tmp_path: Path) -> None:
    file = write(tmp_path)
    assert challenges.find(str(file)) == challenges.find(str(tmp_path)) == file
    assert challenges.find("digits").name == "digits.yaml"
    with pytest.raises(BadInput, match="did you mean 'digits'"):
        challenges.find("digit")
    with pytest.raises(BadInput, match="no such challenge file"):
        challenges.find(str(tmp_path / "none.yaml"))


def test_a_source_path_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    challenge = read_challenge(write(tmp_path / "inner", source={"kind": "folder", "path": "../pictures"}))
    assert challenge.source.path == tmp_path / "pictures"


def test_without_a_source_the_way_to_give_one_is_said() -> None:
    with pytest.raises(BadInput, match=r"--source.*zalandoresearch"):
        read_challenge(challenges.find("fashion-mnist")).open()


def test_class_names_come_from_the_challenge_where_files_only_number_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", images=np.zeros((4, 2, 2), np.uint8), labels=np.array([0, 1, 0, 1]))
    source = {"kind": "numpy", "path": str(tmp_path), "classes": ["ant", "bee"]}
    assert tuple(read_challenge(write(tmp_path, source=source)).open().classes) == ("ant", "bee")
    source["classes"] = ["ant", "bee", "cat"]
    with pytest.raises(BadInput, match="names 3 classes; the source has 2 classes"):
        read_challenge(write(tmp_path, source=source)).open()


def test_the_hidden_labels_are_those_that_preparing_writes(tmp_path: Path) -> None:
    from vipriors.runs.prepared import prepare_challenge

    challenge = read_challenge(challenges.find("digits"))
    prepare_challenge(challenge, challenge.rule(2, 7), tmp_path / "data")
    from_files = hidden.find_hidden_test("digits", tmp_path / "data" / "labels" / "test.csv")
    from_world = hidden.find_hidden_test("digits")
    assert from_files.truth == from_world.truth
    assert len(from_world.truth.labels) == 800


def test_a_task_needs_labels(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--labels"):
        hidden.find_hidden_test("classification")
    labels = tmp_path / "labels.csv"
    labels.write_text("Image IDs,Labels\na.png,0\nb.png,2\n")
    truth = hidden.find_hidden_test("classification", labels).truth
    assert (truth.index.ids, truth.index.classes) == (("a.png", "b.png"), 3)


def test_a_list_stands_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"subset: .*a list leaves nothing to say for images_per_class, seed"):
        read_challenge(write(tmp_path, subset={"list": "imagenet50", "images_per_class": 5, "seed": 1}))
    with pytest.raises(BadInput, match=r"subset\.list: no published list is called 'imagenet51'"):
        read_challenge(write(tmp_path, subset={"list": "imagenet51"}))
    challenge = read_challenge(write(tmp_path, subset={"list": "imagenet50"}))
    # A recipe states every field, those that were not given too.
    assert Challenge.model_validate_json(challenge.model_dump_json()) == challenge


def test_imagenet_needs_a_list(tmp_path: Path) -> None:
    challenge = read_challenge(write(tmp_path, source={"kind": "imagenet", "path": "."}))
    with pytest.raises(BadInput, match="challenge mine, subset: kind imagenet needs a `list` of its images"):
        challenge.open()


def test_a_list_lies_beside_the_challenge_file(tmp_path: Path) -> None:
    """A list-cut challenge through all the tools: preparing, parts of it, and its hidden labels."""
    from vipriors.runs.prepared import default_folder, find_data, prepare_challenge

    source = read_challenge(challenges.find("digits")).open()
    keys = {label: [s.key for s in source.samples if s.label == label][:7] for label in range(10)}
    splits = ["val", "train", "train", "val", "train", "test", "test"]
    rows = [f"{split},{keys[c][k]}" for k, split in enumerate(splits) for c in range(10)]
    (tmp_path / "my.csv").write_text("\n".join(["split,source", *rows]) + "\n")
    file = write(tmp_path, subset={"list": "my.csv"})
    challenge = read_challenge(file)
    assert challenge.subset.list == str(tmp_path / "my.csv")

    whole = challenge.rule()
    prepared = prepare_challenge(challenge, whole, tmp_path / "data")
    assert prepared.dataset.counts == {"train": 30, "val": 20, "test": 20}
    assert hidden.find_hidden_test(str(file)).truth == (
        hidden.find_hidden_test(str(file), tmp_path / "data/labels/test.csv").truth
    )
    rules = [challenge.rule(n, seed) for n in (3, 4) for seed in (0, 1)]
    assert len({default_folder(challenge, rule) for rule in [*rules, whole]}) == 5
    for rule in rules:
        alone = find_data(challenge, rule, data=tmp_path / default_folder(challenge, rule).name)
        inside = find_data(challenge, rule, data=tmp_path / "data")
        assert alone.rows == inside.rows
        assert (alone.images_per_class, alone.subset_seed) == (rule.images_per_class, rule.seed)
        counts = {split: len(alone.select(split)) for split in ("train", "val", "test")}
        assert counts == {"train": 10 * (rule.images_per_class or 0) - 10, "val": 10, "test": 20}
    four, three = tmp_path / default_folder(challenge, rules[3]).name, rules[1]
    rows_of_three = find_data(challenge, three, data=tmp_path / "data").rows
    assert find_data(challenge, three, data=four).rows == rows_of_three

    place = f"{four / 'dataset.json'}: "
    assert isinstance(whole, ListRule)
    (tmp_path / "my.csv").write_text("\n".join(["split,source", *rows[1:]]) + "\n")
    for rule, message in [
        (whole, "holds 4 images a class; expected the whole list"),
        (ListRule(whole.rows, 5, 1), "holds 4 images a class; expected 5"),
        (ListRule(whole.rows, 4, 2), "holds a subset with seed 1; expected 2"),
        (challenge.rule(4, 1), f"holds a subset that is not cut by the list {tmp_path / 'my.csv'}"),
    ]:
        with pytest.raises(BadInput) as caught:
            find_data(challenge, rule, data=four)
        assert str(caught.value) == place + message
    by_number = read_challenge(write(tmp_path))
    with pytest.raises(BadInput, match="holds a subset cut by a list; expected one drawn by number"):
        find_data(by_number, by_number.rule(), data=four)
    with pytest.raises(BadInput, match="seed: found 3 for the whole list, of which nothing is drawn"):
        challenge.rule(seed=3)
