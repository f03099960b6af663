"""Checking predictions by what a prepared folder says of the test, which is no label."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from vipriors import challenges
from vipriors.challenges import hidden, public
from vipriors.challenges.schema import read_challenge
from vipriors.cli import main
from vipriors.data.prepared import read_prepared
from vipriors.problems import BadInput

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from replica_coco import make_basketball

EMBEDDED = ("digits", "digits-segmentation", "digits-detection", "digits-instances", "digits-actions")


def small(name: str, folder: Path) -> Path:
    """The challenge with few images to learn from, and its prepared folder without the test's labels."""
    content = yaml.safe_load(challenges.find(name).read_text())
    content["subset"] |= (
        {"images_per_class": 2} if "images_per_class" in content["subset"] else {"images": 10}
    )
    file = folder / "challenge.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main(["data", "prepare", str(file), "--out", str(folder / "data")]) == 0
    for labels in ("labels", "test-labels.csv"):
        if (folder / "data" / labels).is_dir():
            shutil.rmtree(folder / "data" / labels)
    return file


@pytest.mark.parametrize("name", [*EMBEDDED, "digits-reid"])
def test_the_index_is_that_of_the_hidden_test(name, tmp_path):
    file = small(name, tmp_path)
    found = public.public_index(read_challenge(file), read_prepared(tmp_path / "data"))
    assert found == hidden.find_hidden_test(str(file)).truth.index


def test_a_copy_without_test_labels(tmp_path, capsys):
    source, data, file = make_basketball(tmp_path / "copy"), tmp_path / "data", tmp_path / "found.json"
    given = ["--source", str(source)]
    assert main(["data", "prepare", "basketball-instances", *given, "--out", str(data)]) == 0
    file.write_text("[]")
    assert main(["check", "basketball-instances", str(file), *given]) == 1
    assert "(check needs none with --data)" in capsys.readouterr().err
    assert main(["check", "basketball-instances", str(file), "--data", str(data)]) == 0
    assert capsys.readouterr().out == f"{file}: a good submission, covers all 5\n"
    file.write_text('[{"image_id": 77, "category_id": 1, "score": 0.5, "segmentation": 3}]')
    assert main(["check", "basketball-instances", str(file), "--data", str(data)]) == 1
    assert "image_id 77 is not the id" in capsys.readouterr().err


def test_a_folder_of_another_challenge_and_a_damaged_one(tmp_path):
    small("digits-reid", tmp_path)
    other = read_challenge(challenges.find("digits"))
    with pytest.raises(BadInput, match="holds challenge digits-reid; expected digits"):
        public.public_index(other, read_prepared(tmp_path / "data"))
    roles = tmp_path / "data" / "annotations" / "test" / "roles.csv"
    roles.write_text("something,else\n1,2\n")
    with pytest.raises(BadInput, match=r"roles.csv: is damaged .*prepare the challenge again"):
        public.public_index(read_challenge(tmp_path / "challenge.yaml"), read_prepared(tmp_path / "data"))
