"""Every scorer as a tool on a person's own files: the task stands in the challenge's place."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipriors.cli import main
from vipriors.tasks.archive import pack


def write_classification(folder: Path) -> tuple[Path, Path]:
    (folder / "labels.csv").write_text("Image IDs,Labels\na.png,0\nb.png,1\n")
    (folder / "found.csv").write_text("Image IDs,Predictions\na.png,0\nb.png,0\n")
    return folder / "found.csv", folder / "labels.csv"


def write_actions(folder: Path) -> tuple[Path, Path]:
    (folder / "labels.txt").write_text("a.avi 1\nb.avi 6\n")
    (folder / "found.txt").write_text("a.avi 1 2 3 4 5\nb.avi 1 2 3 4 5\n")
    return folder / "found.txt", folder / "labels.txt"


def write_reid(folder: Path) -> tuple[Path, Path]:
    (folder / "labels.csv").write_text(
        "split,id,person\nquery,1,7\nquery,2,8\ngallery,3,7\ngallery,4,8\ngallery,5,9\n"
    )
    (folder / "found.csv").write_text(",3,4,5\n1,0.1,0.2,0.3\n2,0.1,0.2,0.3\n")
    return folder / "found.csv", folder / "labels.csv"


def write_segmentation(folder: Path) -> tuple[Path, Path]:
    (folder / "labels").mkdir()
    truth = np.zeros((4, 6), np.uint8)
    truth[:, 3:] = 1
    Image.fromarray(truth).save(folder / "labels" / "a.png")
    half = truth.copy()
    half[:2] = 0
    Image.fromarray(half).save(folder / "found.png")
    (folder / "found.zip").write_bytes(pack([("a.png", (folder / "found.png").read_bytes())]))
    return folder / "found.zip", folder / "labels"


def coco(folder: Path, **of_object: object) -> Path:
    box = {"bbox": [1, 1, 40, 40], "area": 1600, "iscrowd": 0} | of_object
    truth = {
        "images": [{"id": k, "height": 64, "width": 64, "file_name": f"{k}.jpg"} for k in (1, 2)],
        "annotations": [{"id": k, "image_id": k, "category_id": 3} | box for k in (1, 2)],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder / "truth.json"


def write_detection(folder: Path) -> tuple[Path, Path]:
    found = [{"image_id": 1, "category_id": 3, "bbox": [1, 1, 40, 40], "score": 0.9}]
    (folder / "found.json").write_text(json.dumps(found))
    return folder / "found.json", coco(folder)


def write_instances(folder: Path) -> tuple[Path, Path]:
    square = {"size": [64, 64], "counts": [65, *[40, 24] * 39, 40, 64 * 64 - 65 - 64 * 39 - 40]}
    found = [{"image_id": 1, "category_id": 3, "segmentation": square, "score": 0.9}]
    (folder / "found.json").write_text(json.dumps(found))
    return folder / "found.json", coco(folder, segmentation=square)


def write_planning(folder: Path) -> tuple[Path, Path]:
    one = {"nodes": [[0, 0], [2, 0], [4, 0]], "start": 0, "goal": 2, "links": [[0, 1], [1, 2]]}
    (folder / "labels.json").write_text(json.dumps({"maps": [{"id": "a"} | one, {"id": "b"} | one]}))
    (folder / "found.csv").write_text("Image IDs,Tries\na,1 2\nb,2 1\n")
    return folder / "found.csv", folder / "labels.json"


# One of two right everywhere; an image without results is not left out of the average.
EXPECTED = {
    "classification": (write_classification, [], {"top1": 0.5, "balanced_accuracy": 0.5}),
    "points": (write_classification, [], {"top1": 0.5, "balanced_accuracy": 0.5}),
    "planning": (write_planning, [], {"spl": 0.5, "success": 0.5, "first_step": 0.5}),
    "actions": (write_actions, [], {"top1": 0.5, "top3": 0.5, "top5": 0.5, "accuracy": 0.5}),
    "reid": (write_reid, [], {"mAP": 0.75, "rank1": 0.5}),
    "segmentation": (
        write_segmentation,
        ["--classes", "road,car"],
        {"iou_class": (12 / 18 + 6 / 12) / 2, "pixel_accuracy": 18 / 24},
    ),
    "detection": (write_detection, [], {"AP": 51 / 101, "AP50": 51 / 101, "AR100": 0.5}),
    "instances": (write_instances, [], {"AP": 51 / 101, "AP50": 51 / 101, "AR100": 0.5}),
}


@pytest.mark.parametrize("task", EXPECTED)
def test_check_and_score(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, options, expected = EXPECTED[task]
    found, labels = write(tmp_path)
    given = [task, str(found), "--labels", str(labels), *options]
    assert main(["check", *given]) == 0
    capsys.readouterr()
    assert main(["score", *given, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("task", EXPECTED)
def test_what_is_no_submission_gets_no_score(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, options, _ = EXPECTED[task]
    _, labels = write(tmp_path)
    (tmp_path / "junk").write_bytes(b"\x00\xffnot a submission")
    assert main(["score", task, str(tmp_path / "junk"), "--labels", str(labels), *options]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "junk" in printed.err
