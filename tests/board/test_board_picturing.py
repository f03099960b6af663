"""What is told beside a score: pictures of predictions, and where precision is lost; neither may fail it."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from board_helpers import make_board, predictions
from numpy.typing import NDArray
from PIL import Image
from test_board_parts import files_of, in_another_order
from test_board_scoring import AMPLE, child, job_for
from web_helpers import enter, finish, queue, words

from vipriors import tasks
from vipriors.board import jobs, pictured, samples, scoring, service, viewing
from vipriors.board.core import NotFound
from vipriors.board.exchange.archive import export_archive
from vipriors.board.exchange.restoring import import_archive
from vipriors.board.models import Challenge, Submission
from vipriors.board.parts import split
from vipriors.board.picturing import pictures_of
from vipriors.board.scoring import Job, Limits, Outcome, run
from vipriors.cli import main
from vipriors.data.images import encode_npy
from vipriors.data.prepare import prepare
from vipriors.data.sources import open_source
from vipriors.data.subset import SubsetRule
from vipriors.diagnose.predictions import diagnose_files
from vipriors.problems import BadInput
from vipriors.tasks import planning

NAMES = {"actions": [f"c{k}" for k in range(7)]}
GREY = (90, 91, 92)


def bytes_of(task: str, pixels: NDArray[np.uint8]) -> bytes:
    """A file of the test as the task's media have it."""
    if task == "actions":
        return encode_npy(np.stack([pixels * 0, pixels, pixels * 0]))
    if task == "points":
        return encode_npy(np.random.default_rng(0).random((50, 3)).astype(np.float32))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def kept(task: str, folder: Path, only: set[int] | None = None) -> Path:
    """The images of the test of `files_of`, as a board keeps them."""
    size = (4, 5) if task == "segmentation" else (32, 32)
    data = bytes_of(task, np.full((*size, 3), GREY, np.uint8))
    names = [f"i{k:02}" + (".png" if task == "segmentation" else "") for k in range(12)]
    images = [{"id": k, "file_name": name} for k, name in enumerate(names)]
    contents = {name: (lambda: data) for k, name in enumerate(names) if k in (only or range(12))}
    media = {"actions": "clips", "points": "points"}.get(task, "images")
    test = samples.TestFiles(media, contents, json.dumps({"images": images}).encode())
    labels, _ = files_of(task, np.random.default_rng(7), set(range(12)))
    (folder / "labels").write_bytes(labels)
    index = tasks.load(task).open_truth(folder / "labels", NAMES.get(task, ["a", "b", "c"])).index
    packed = samples.pack(test, task, index)
    assert packed is not None
    (folder / "images.zip").write_bytes(packed)
    return folder / "images.zip"


def drawn(task_name: str, folder: Path, guesses: bytes | None = None) -> list[dict[str, str]]:
    task = tasks.load(task_name)
    labels, own = files_of(task_name, np.random.default_rng(7), set(range(12)))
    (folder / "labels").write_bytes(labels)
    truth = task.open_truth(folder / "labels", NAMES.get(task_name, ["a", "b", "c"]))
    read, problems = task.check(own if guesses is None else guesses, truth.index)
    assert problems == []
    return pictures_of(truth, read, kept(task_name, folder))


def pixels_of(picture: dict[str, str]) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["png"]))).convert("RGB"))


def test_maps_are_not_shown() -> None:
    """They say how far nodes are from each other, and not where they are."""
    data = encode_npy(np.zeros((10, 38), np.float32))
    test = samples.TestFiles("maps", {"i00": lambda: data}, None)
    labels, _ = files_of("planning", np.random.default_rng(7), set(range(12)))
    index = planning.read_labels(labels)
    assert samples.pack(test, "planning", SimpleNamespace(ids=tuple(index))) is None


@pytest.mark.parametrize("task_name", [name for name in tasks.names() if name != "planning"])
def test_pictures_of_each_task(task_name: str, tmp_path: Path) -> None:
    found = drawn(task_name, tmp_path)
    assert len(found) == samples.SHOWN == len({one["caption"] for one in found})
    colours = [{tuple(pixel) for pixel in pixels_of(one).reshape(-1, 3).tolist()} for one in found]
    if task_name in ("classification", "actions"):
        assert all(each == {GREY} for each in colours)  # of a clip the frame in the middle
    else:
        assert max(map(len, colours)) > 1
    if task_name in ("classification", "points"):
        _, own = files_of(task_name, np.random.default_rng(7), set(range(12)))
        said = dict(row.split(",") for row in own.decode().splitlines()[1:])
        for one in found:
            id_, _, name = one["caption"].partition(": ")
            assert name == "abc"[int(said[id_])]


def test_objects_are_drawn_where_they_were_found(tmp_path: Path) -> None:
    box = {"category_id": 2, "bbox": [8, 4, 16, 20]}
    guesses = [
        {"image_id": 0, "score": 0.9, **box},
        *({"image_id": k, "score": 0.2, **box} for k in range(1, 12)),
    ]
    found = {
        one["caption"].partition(":")[0]: one
        for one in drawn("detection", tmp_path, json.dumps(guesses).encode())
    }
    for id_, one in found.items():
        pixels = pixels_of(one)
        assert pixels.shape == (320, 320, 3)
        edge = pixels[150, 80:82]  # 8 of 32 pixels from the left
        assert (edge != GREY).all() == (id_ == "0")
        assert ("1 object with" in one["caption"]) == (id_ == "0")
        assert (pixels[150, 150] == GREY).all()


def test_pictures_tell_nothing_of_labels(tmp_path: Path) -> None:
    """Other labels of the same images: the same pictures, to the byte."""
    for task_name in ("classification", "segmentation", "reid"):
        task = tasks.load(task_name)
        _, guesses = files_of(task_name, np.random.default_rng(7), set(range(12)))
        found = []
        for seed in (7, 8):
            labels, _ = files_of(task_name, np.random.default_rng(seed), set(range(12)))
            if task_name == "reid" and seed == 8:
                labels = re.sub(rb"p(\d)", lambda match: b"p%d" % (3 - int(match[1])), labels)
            (tmp_path / "labels").write_bytes(labels)
            truth = task.open_truth(tmp_path / "labels", ["a", "b", "c"])
            read, _ = task.check(guesses, truth.index)
            images = kept(task_name, tmp_path)
            found.append((images.read_bytes(), pictures_of(truth, read, images)))
        assert found[0] == found[1]


def test_which_images_are_kept_depends_on_ids_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(kept("classification", tmp_path)) as archive:
        first = json.loads(archive.read("index.json"))["shown"]
    gone = int(first[0][1:])
    with zipfile.ZipFile(kept("classification", tmp_path, set(range(12)) - {gone})) as archive:
        second = json.loads(archive.read("index.json"))["shown"]
    assert second[:-1] == first[1:] and len(second) == samples.SHOWN
    assert first != sorted(first)


def test_images_that_cannot_be_shown_are_passed_over() -> None:
    index = tasks.Index(("a", "b", "c"), 2)
    good = bytes_of("classification", np.full((3, 3, 3), 5, np.uint8))
    large = io.BytesIO()
    Image.new("1", (8192, 4096)).save(large, "PNG")
    contents = {"a": lambda: b"GIF89a", "b": lambda: large.getvalue(), "c": lambda: good}
    packed = samples.pack(samples.TestFiles("images", contents), "classification", index)
    with zipfile.ZipFile(io.BytesIO(packed or b"")) as archive:
        assert sorted(archive.namelist()) == ["0.png", "index.json"]
        assert json.loads(archive.read("index.json")) == {"shown": ["c"], "gallery": []}
    assert samples.pack(samples.TestFiles("images", {"d": lambda: good}), "classification", index) is None


def test_precision_that_is_lost_is_told_of_each_part(tmp_path: Path) -> None:
    for task_name in ("detection", "instances"):
        labels, guesses = files_of(task_name, np.random.default_rng(7), set(range(12)))
        (tmp_path / "labels").write_bytes(in_another_order(task_name, labels))
        (tmp_path / "upload").write_bytes(guesses)
        job = Job(str(tmp_path / "upload"), "up.json", task_name, str(tmp_path / "labels"), (), "s", 0.5)
        outcome = run(job, AMPLE)
        assert outcome.pictures == []
        for part, which in split(range(12), "s", 0.5).items():
            few_labels, few = files_of(task_name, np.random.default_rng(7), set(which.tolist()))
            (tmp_path / "few-labels").write_bytes(in_another_order(task_name, few_labels))
            (tmp_path / "few").write_bytes(few)
            expected = diagnose_files(task_name, tmp_path / "few", tmp_path / "few-labels").diagnosis
            record = outcome.scores[part]
            assert record is not None and record["tide"] == json.loads(json.dumps(expected.to_json()))
            assert max(expected.delta_ap.values()) > 1


FIRST = "yield scoring.Outcome([], {'all': {'n': 1}})\n"


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        ("raise KeyError('a secret')", AMPLE),
        ("os.kill(os.getpid(), signal.SIGKILL)", AMPLE),
        ("while True: pass", Limits(1, 2**31)),
        ("bytearray(2**40)", AMPLE),
        ("sys.stdout.write('{')", AMPLE),
        ("sys.stdout.write('x' * (65 * 2**20))", AMPLE),
    ],
    ids=["raises", "killed", "time", "memory", "half", "chatty"],
)
def test_what_fails_after_the_score_leaves_it(tmp_path: Path, body: str, limits: Limits) -> None:
    tail = "\nos._exit(3)" if "write('{')" in body else ""
    flush = "\nsys.stdout.flush()" if "write('{')" in body else ""
    outcome = run(job_for(tmp_path, b""), limits, program=child(FIRST + body + flush + tail))
    assert outcome == Outcome([], {"all": {"n": 1}})


def test_what_hangs_after_the_score_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ASK_EVERY", 0.1)
    (tmp_path / "go").touch()
    body = FIRST + f"import pathlib\npathlib.Path({str(tmp_path / 'go')!r}).unlink()\ntime.sleep(600)"
    clock = SimpleNamespace(monotonic=lambda: 0.0 if (tmp_path / "go").exists() else 1000.0)
    monkeypatch.setattr(scoring, "time", clock)
    assert run(job_for(tmp_path, b""), AMPLE, program=child(body)) == Outcome([], {"all": {"n": 1}})


def test_the_last_answer_counts(tmp_path: Path) -> None:
    more = "yield scoring.Outcome([], {'all': {'n': 2}}, [{'caption': 'a', 'png': ''}])"
    outcome = run(job_for(tmp_path, b""), AMPLE, program=child(FIRST + more))
    assert outcome == Outcome([], {"all": {"n": 2}}, [{"caption": "a", "png": ""}])


def test_damaged_images_leave_the_score(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(b"no zip")
    outcome = run(job_for(tmp_path, predictions(25), images=str(tmp_path / "images")), AMPLE)
    assert set(outcome.scores) == {"public", "private", "all"} and outcome.pictures == []


def tide(cls: float, loc: float) -> dict[str, Any]:
    costs = {"Cls": cls, "Loc": loc, "Both": 0.2, "Dupe": 0.0, "Bkg": 0.3, "Miss": 1.0}
    special = {"FalsePos": 20.0, "FalseNeg": -0.1}
    told = {"ap": 41.26, "delta_ap": costs, "special": special, "counts": {"Cls": 7171}, "hits": 7272}
    return {**told, "foreground": 0.5, "background": 0.1, "corrected": False}


def test_losses_are_told_in_half_points_and_errors_not_counted() -> None:
    found = viewing.details({"tide": tide(12.3, 4.8)}, "public").lost
    assert found is not None and (found.ap, found.foreground) == (41.5, 0.5)
    assert found.delta_ap == {"Cls": 12.5, "Loc": 5.0, "Both": 0.0, "Dupe": 0.0, "Bkg": 0.5, "Miss": 1.0}
    assert found.special == {"FalsePos": 20.0, "FalseNeg": 0.0}
    assert "7171" not in repr(found) and "7272" not in repr(found)


def test_the_page_of_a_submission(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    ada, bob = enter(board, "Ada"), enter(board, "Bob")
    sent = queue(board, ada.person, 40)
    work = jobs.begin(board.database, sent, 1)
    parts = {"public": 12.3, "private": 77.7, "all": 55.5}
    records = {
        part: {"headline": "top1", "scores": {"top1": 0.5}, "intervals": {}, "tide": tide(cls, 4.8)}
        for part, cls in parts.items()
    }
    png = bytes_of("classification", np.full((3, 3, 3), 5, np.uint8))
    pictures = [{"caption": f"<b>{k}</b>: cat", "png": base64.b64encode(png).decode()} for k in range(2)]
    assert work and jobs.finish(board.database, work, records, pictured.keep(board, pictures))
    page = ada.get(f"/s/{sent}")
    said = words(page)
    assert (
        "Where AP is lost AP at an overlap of 0.5 is 41.5 %" in said
        and "&lt;b&gt;1&lt;/b&gt;: cat" in page.text
    )
    bars = re.findall(r'<text class="start name main"[^>]*>(\w+)</text>', page.text)
    assert bars == ["Cls", "Loc", "Miss", "Bkg", "Both", "Dupe", "FalsePos", "FalseNeg"]
    assert ">12.5<" in page.text and "7171" not in page.text
    assert ">77.5<" not in page.text and ">55.5<" not in page.text  # of parts that are not shown
    sources = re.findall(r'<img src="([^"]+)"', page.text)
    assert sources == [f"/s/{sent}/pictures/0", f"/s/{sent}/pictures/1"]
    answer = ada.get(sources[1])
    assert (answer.content, answer.headers["content-type"]) == (png, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    for number in ("2", "-1", "captions.json", "..%2f0"):
        assert ada.get(f"/s/{sent}/pictures/{number}").status_code in (400, 404), number
    assert bob.get(sources[0]).status_code == 404


def test_without_images_the_page_says_so(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    ada = enter(board, "Ada")
    sent = queue(board, ada.person, 40)
    finish(board, sent, 0.5)
    page = words(ada.get(f"/s/{sent}"))
    assert "This board has no images of the test to draw predictions on." in page
    assert "Where AP is lost" not in page


def test_no_picture_is_no_key(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    assert pictured.keep(board, []) is None and pictured.captions(board, None) == []
    with pytest.raises(NotFound):
        pictured.picture(board, None, 0)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A folder with a test of four images, `vipriors data prepare` made it."""
    for name in "ab":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((6, 6, 3), 10 * number + 5, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    rule = SubsetRule(images_per_class=2, seed=0, validation=0.5, test_per_class=2)
    prepare(open_source("folder", tmp_path / "photos"), rule, tmp_path / "data", challenge="pets", channels=3)
    return tmp_path / "data"


PETS = """\
name: pets
title: Pets
task: classification
source: {kind: folder, path: PATH}
input: {size: [6, 6]}
subset: {images_per_class: 2, validation: 0.5, test_per_class: 2}
"""


def test_where_images_come_from(prepared: Path, tmp_path: Path) -> None:
    board = service.open_board(make_board(tmp_path).settings)
    labels = prepared / "labels" / "test.csv"

    def key_of(name: str, path: str, **options: Any) -> str | None:
        text = PETS.replace("pets", name).replace("PATH", path)
        (tmp_path / f"{name}.yaml").write_text(text)
        return service.add_challenge(board, tmp_path / f"{name}.yaml", **options).images_key

    assert key_of("bare", str(tmp_path / "photos"), labels=labels) is None  # the path is not looked at
    with board.database.reading() as session:
        assert session.get_one(Challenge, 1).images_key is None
    for key in (
        key_of("own", str(tmp_path / "photos")),
        key_of("given", "nowhere", labels=labels, images=prepared),
    ):
        assert key is not None
        with board.files.open(key) as file, zipfile.ZipFile(file) as archive:
            shown = json.loads(archive.read("index.json"))["shown"]
            assert sorted(shown) == ["img_0.png", "img_1.png", "img_2.png", "img_3.png"]
    with pytest.raises(BadInput, match="is no prepared folder"):
        key_of("wrong", "nowhere", labels=labels, images=tmp_path)
    home = ["--home", str(board.settings.home)]
    assert main(["board", "edit", "bare", "--images", str(prepared), "--reason", "late", *home]) == 0
    with board.database.reading() as session:
        bare = session.query(Challenge).filter_by(name="bare").one()
        assert bare.images_key
        assert service.log(session, bare, 1)[0].action == "set images"


def test_a_worker_keeps_pictures_and_archives_leave_them_out(prepared: Path, tmp_path: Path) -> None:
    from vipriors.board.worker import Process

    board = make_board(tmp_path)
    (tmp_path / "pets.yaml").write_text(PETS.replace("PATH", str(tmp_path / "photos")))
    service.add_challenge(board, tmp_path / "pets.yaml")
    ada = enter(board, "Ada")
    rows = "".join(f"img_{k}.png,{k % 2}\n" for k in range(4))
    data = io.BytesIO(f"Image IDs,Predictions\n{rows}".encode())
    sent = service.submit(board, ada.person.id, "pets", data, "p.csv").submission.id
    Process(board).score(sent, 1)
    with board.database.reading() as session:
        row = session.get_one(Submission, sent)
        assert row.state == "scored" and row.pictures_key
    assert sorted(pictured.captions(board, row.pictures_key)) == [
        f"img_{k}.png: {'ab'[k % 2]}" for k in range(4)
    ]
    assert ada.get(f"/s/{sent}/pictures/3").content.startswith(b"\x89PNG")
    export_archive(board, tmp_path / "all.zip", labels=tmp_path / "labels.zip")
    text = (tmp_path / "all.zip").read_bytes()
    assert row.pictures_key.encode() not in text
    other = service.open_board(board.settings.model_copy(update={"home": tmp_path / "other"}))
    import_archive(other, tmp_path / "all.zip", tmp_path / "labels.zip")
    with other.database.reading() as session:
        assert session.get_one(Submission, sent).pictures_key is None
        assert all(each.images_key is None for each in session.query(Challenge))


def test_the_scoring_process_is_the_one_that_draws() -> None:
    assert scoring.pictures_of is pictures_of
