"""Bundles of Codabench, CodaLab and EvalAI: what comes over, what is listed, what is refused."""

import io
import textwrap
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from board_helpers import add_person, labels, make_board
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vipriors.board import service
from vipriors.board.core import Forbidden
from vipriors.board.exchange.bundle import LIMITS
from vipriors.board.exchange.importing import import_bundle, name_of, read_bundle
from vipriors.board.exchange.markdown import markdown_of
from vipriors.board.markup import html
from vipriors.board.models import Challenge
from vipriors.problems import BadInput

MODERN = """
version: 2
title: Few   images
description: Learn from **few** images.
image: logo.png
terms: pages/terms.md
docker_image: codalab/codalab-legacy:py37
enable_detailed_results: true
contact_email: a@b.org
reward: ""
make_programs_available: false
colour: red
pages:
  - {title: Evaluation, file: pages/evaluation.md}
  - {title: Data, file: pages/data.html}
tasks:
  - {index: 0, name: task, scoring_program: scoring_program.zip, reference_data: reference_data.zip}
phases:
  - {index: 1, name: Final, start: 2026-02-01 00:00:00, tasks: [0], max_submissions: 10}
  - index: 0
    name: Development
    start: 2026-01-01
    tasks: [0]
    max_submissions_per_day: 5
    auto_migrate_to_this_phase: true
    execution_time_limit: 600
leaderboards:
  - title: Results
    key: main
    submission_rule: Force_Best
    columns:
      - {title: Accuracy, key: acc, index: 0, sorting: desc, precision: 3}
      - {title: Mean, key: mean, index: 1, computation: avg, computation_indexes: [0], hidden: true}
"""
FILES = {
    "competition.yaml": MODERN,
    "logo.png": "",
    "pages/terms.md": "Be *fair*.",
    "pages/evaluation.md": "Accuracy.",
    "pages/data.html": "<h1>Data</h1><p>Get it <a href='https://x.org/d'>here</a><script>alert(1)</script></p>",
    "scoring_program.zip": "PK",
    "reference_data.zip": "PK",
}

OLD = """
title: Old one
description: An old competition
image: logo.jpg
has_registration: True
end_date: 2026-04-01
html: {overview: overview.html, terms: terms.html, data: data.html}
phases:
  1: {phasenumber: 1, label: First, start_date: 2026-01-01, max_submissions_per_day: 3, scoring_program: s}
  2: {phasenumber: 2, label: Second, start_date: 2026-03-01 12:00:00, auto_migration: True}
leaderboard:
  leaderboards: {RESULTS: {label: Results, rank: 1}}
  columns:
    score: {leaderboard: RESULTS, label: Score, rank: 1, sort: desc, numeric_format: 4}
"""
OLD_FILES = {
    "competition.yaml": OLD,
    "overview.html": "<p>Overview</p>",
    "terms.html": "<ul><li>One</li><li>Two</li></ul>",
    "data.html": "<b>Data</b>",
}

EVALAI = """
title: Evaluate this
short_description: Short
description: templates/description.html
evaluation_details: templates/evaluation.html
terms_and_conditions: templates/terms.html
image: logo.jpg
evaluation_script: evaluation_script/
remote_evaluation: false
start_date: 2026-01-01 00:00:00
end_date: 2026-12-31 23:59:59
published: false
tags: [vision]
leaderboard:
  - id: 1
    schema:
      labels: [Accuracy, Loss]
      default_order_by: Accuracy
      metadata: {Loss: {sort_ascending: true, description: Less is better}}
challenge_phases:
  - id: 1
    name: Dev
    description: templates/dev.html
    leaderboard_public: true
    is_public: true
    challenge: 1
    is_active: true
    codename: dev
    start_date: 2026-01-01 00:00:00
    end_date: 2026-06-30 00:00:00
    max_submissions_per_day: 5
    max_submissions_per_month: 50
    max_submissions: 100
  - {id: 2, name: Test, is_public: false, max_submissions_per_day: 0, max_submissions: 5}
dataset_splits:
  - {id: 1, name: Test split, codename: test}
challenge_phase_splits:
  - {challenge_phase_id: 1, leaderboard_id: 1, dataset_split_id: 1, visibility: 3, show_execution_time: true}
  - {challenge_phase_id: 2, leaderboard_id: 1, dataset_split_id: 1, visibility: 1}
"""
EVALAI_FILES = {
    "challenge_config.yaml": EVALAI,
    "templates/description.html": "<p>Long</p>",
    "templates/evaluation.html": "<p>By accuracy</p>",
    "templates/terms.html": "<p>Terms</p>",
}


def utc(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


def message(call: Callable[[], Any]) -> str:
    with pytest.raises(BadInput) as caught:
        call()
    return str(caught.value)


def packed(path: Path, files: dict[str, str], top: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(top + name, textwrap.dedent(content))
    return path


def unpacked(path: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return path


@pytest.fixture(params=["zip", "zip in a folder", "folder"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Makes a bundle of these files, of each kind."""

    def make(files: dict[str, str]) -> Path:
        if request.param == "folder":
            return unpacked(tmp_path / "bundle", files)
        return packed(tmp_path / "bundle.zip", files, "top/" if "folder" in request.param else "")

    return make


def test_a_codabench_bundle(bundle: Callable[[dict[str, str]], Path]) -> None:
    plan = read_bundle(bundle(FILES))
    assert (plan.format, plan.title, plan.hidden) == ("Codabench 2", "Few   images", False)
    assert plan.pages == {
        "description": "Learn from **few** images.\n\n# Evaluation\n\nAccuracy.",
        "rules": "Be *fair*.",
        "data": "# Data\n\nGet it [here](https://x.org/d)",
    }
    found = [(p.name, p.start, p.end, p.per_day, p.total, p.shows) for p in plan.phases]
    assert found == [
        ("Development", utc(2026, 1, 1), utc(2026, 2, 1), 5, None, "public"),
        ("Final", utc(2026, 2, 1), None, None, 10, "public"),
    ]
    assert plan.columns == [
        {"title": "Accuracy", "key": "acc", "index": 0, "sorting": "desc", "precision": 3},
        {
            "title": "Mean", "key": "mean", "index": 1, "computation": "avg",
            "computation_indexes": [0], "hidden": True,
        },
    ]  # fmt: skip
    code = "programs are code, which is not taken over"
    assert sorted(plan.left) == sorted([
        f"phase Development, tasks: {code}",
        "phase Development, auto_migrate_to_this_phase: teams send their file again",
        "phase Development, execution_time_limit: the board has one limit for all",
        f"phase Final, tasks: {code}",
        "leaderboards[0], submission_rule: the best or chosen entry stands",
        "image: the board shows no logo",
        f"docker_image: {code}",
        "enable_detailed_results: details are shown as the task gives them",
        "contact_email: there is no page for it",
        f"tasks: {code}",
        "colour: unknown here",
    ])  # fmt: skip


def test_a_codalab_bundle(bundle: Callable[[dict[str, str]], Path]) -> None:
    plan = read_bundle(bundle(OLD_FILES))
    assert (plan.format, plan.title) == ("CodaLab 1.5", "Old one")
    assert plan.pages == {
        "description": "An old competition\n\n# Overview\n\nOverview",
        "rules": "- One\n- Two",
        "data": "**Data**",
    }
    assert [(p.name, p.start, p.end, p.per_day, p.total) for p in plan.phases] == [
        ("First", utc(2026, 1, 1), utc(2026, 2, 28, 12), 3, 100),
        ("Second", utc(2026, 3, 1, 12), utc(2026, 4, 1), 5, 100),
    ]
    assert [(column["key"], column["label"], column["sort"]) for column in plan.columns] == [
        ("score", "Score", "desc")
    ]
    assert "phase First, scoring_program: programs are code, which is not taken over" in plan.left


def test_an_evalai_bundle(bundle: Callable[[dict[str, str]], Path]) -> None:
    plan = read_bundle(bundle(EVALAI_FILES))
    assert (plan.format, plan.title, plan.hidden) == ("EvalAI", "Evaluate this", True)
    assert plan.pages == {
        "description": "Short\n\n# Description\n\nLong\n\n# Evaluation\n\nBy accuracy",
        "rules": "Terms",
        "data": "",
    }
    assert [(p.name, p.start, p.end, p.per_day, p.total, p.shows) for p in plan.phases] == [
        ("Dev", utc(2026, 1, 1), utc(2026, 6, 30), 5, 100, "public"),
        ("Test", utc(2026, 1, 1), utc(2026, 12, 31, 23, 59, 59), None, 5, "hidden"),
    ]
    assert plan.columns == [
        {"title": "Accuracy", "primary": True},
        {"title": "Loss", "primary": False, "sort_ascending": True, "description": "Less is better"},
    ]
    for line in (
        "phase Dev, max_submissions_per_month: quotas are per day and in all",
        "phase Test, is_public: a challenge is hidden whole or not at all",
        "evaluation_script: programs are code, which is not taken over",
        "dataset_splits: a test is split by the board itself, see --public-share",
        "challenge_phase_splits[0], show_execution_time: leaderboards look as this board makes them",
    ):
        assert line in plan.left


def test_a_challenge_is_made_of_a_bundle(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    (tmp_path / "truth.csv").write_text(labels())
    path = packed(tmp_path / "bundle.zip", FILES)
    made = import_bundle(board, path, "classification", tmp_path / "truth.csv", classes=["a", "b", "c", "d"])
    with board.database.reading() as session:
        found = session.get_one(Challenge, made.challenge.id)
        assert (found.name, found.title, found.task) == ("few-images", "Few images", "classification")
        assert (found.metric, found.public_share, found.rules) == ("top1", 1.0, "Be *fair*.")
        assert [(phase.name, phase.per_day) for phase in found.phases] == [
            ("Development", 5),
            ("Final", None),
        ]
        assert found.outside["format"] == "Codabench 2"
        assert found.outside["columns"] == made.plan.columns
        assert "colour: unknown here" in found.outside["not taken over"]
    again = lambda: import_bundle(board, path, "classification", tmp_path / "truth.csv")  # noqa: E731
    assert "is taken by a challenge of this board" in message(again)
    assert "is no class" in message(
        lambda: import_bundle(board, path, "classification", path_of_bad_labels(tmp_path), name="other")
    )
    assert "'poetry' is not a task" in message(
        lambda: import_bundle(board, path, "poetry", tmp_path / "truth.csv", name="other")
    )
    ada = add_person(board, "ada")
    with pytest.raises(Forbidden):
        import_bundle(board, path, "classification", tmp_path / "truth.csv", name="other", by=ada.id)


def path_of_bad_labels(folder: Path) -> Path:
    (folder / "bad.csv").write_text("Image IDs,Labels\na,x\n")
    return folder / "bad.csv"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"pages/terms.md": ""}, "has no competition.yaml or challenge_config.yaml"),
        ({"my.yaml": MODERN}, "has no competition.yaml or challenge_config.yaml; its YAML files: my.yaml"),
        (
            {"a/b/competition.yaml": MODERN, "c.md": ""},
            "has no competition.yaml or challenge_config.yaml at its top, only a/b/competition.yaml",
        ),
        (
            {**FILES, **EVALAI_FILES},
            "has competition.yaml and challenge_config.yaml; expected one of them",
        ),
        ({"competition.yaml": "title: [", "x": ""}, "competition.yaml: is not plain YAML"),
        ({"competition.yaml": "- 1", "x": ""}, "competition.yaml: is no mapping"),
        (
            {"competition.yaml": "title: !!python/object/apply:os.system [ls]", "x": ""},
            "competition.yaml: is not plain YAML: could not determine a constructor",
        ),
        ({"competition.yaml": "a: &x [1]\nb: *x", "x": ""}, "references (*name) are not taken"),
        ({"competition.yaml": "a: " + "[" * 5000, "x": ""}, "competition.yaml: is not plain YAML"),
        ({"competition.yaml": "#" * (2**20 + 1), "x": "x" * 99}, "is larger than 1,048,576 bytes"),
        (
            {"competition.yaml": "version: 2", "x": ""},
            "competition.yaml, title: is missing\n{}, competition.yaml: has no phases",
        ),
        ({**FILES, "pages/terms.md": None}, "'pages/terms.md': is not in the bundle"),
    ],
)
def test_bundles_that_cannot_be_used(
    bundle: Callable[[dict[str, str]], Path], files: dict[str, Any], said: str
) -> None:
    made = bundle({name: content for name, content in files.items() if content is not None})
    place = str(made) if made.is_dir() else made.name
    assert said.replace("{}", place) in message(lambda: read_bundle(made))


def test_every_problem_is_listed(bundle: Callable[[dict[str, str]], Path]) -> None:
    content = """
    version: 2
    title: Bad
    terms: ../../etc/passwd
    pages: [{title: One, file: /etc/passwd}, {title: Two, file: 'a\\b'}, three]
    phases:
      - {name: Wrong order, start: 2026-02-01, end: 2026-01-01}
      - {name: No start}
      - {name: Odd, start: soon, max_submissions: many}
    """
    made = bundle({"competition.yaml": textwrap.dedent(content), "x": ""})
    place = str(made) if made.is_dir() else made.name
    lines = message(lambda: read_bundle(made)).splitlines()
    at = f"{place}, competition.yaml, "
    assert sorted(lines) == sorted([
        f"{place}, '../../etc/passwd': leads out of the bundle",
        f"{place}, '/etc/passwd': leads out of the bundle",
        f"{place}, 'a\\\\b': leads out of the bundle",
        f"{at}pages[2]: expected a mapping",
        f"{at}phases[0]: the end is not after the start",
        f"{at}phases[1], start: Input should be a valid datetime",
        f"{at}phases[2], start: is 'soon'; expected such as 2026-05-04 12:00:00",
        f"{at}phases[2], max_submissions: is 'many'; expected a whole number",
        f"{at}phases[2], start: Input should be a valid datetime",
    ])  # fmt: skip


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    folder = unpacked(tmp_path / "bundle", {name: FILES[name] for name in FILES if name != "pages/terms.md"})
    (folder / "pages" / "terms.md").symlink_to(tmp_path / "secret.md")
    assert "'pages/terms.md': leads out of the bundle" in message(lambda: read_bundle(folder))


def test_archives_that_no_bundle_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(b"PK\x03\x04 half")
    assert "a damaged zip archive" in message(lambda: read_bundle(path))
    for name, said in (("../x.md", "climbs out of the archive"), ("/etc/x", "is an absolute path")):
        packed(path, {**FILES, name: ""})
        assert said in message(lambda: read_bundle(path))
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("competition.yaml")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "is a link or a device" in message(lambda: read_bundle(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("competition.yaml", b" " * 2**25)
    assert "times its size; expected at most 200" in message(lambda: read_bundle(path))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(LIMITS.entries + 1):
            archive.writestr(f"{number}", "")
    path.write_bytes(stream.getvalue())
    assert f"has {LIMITS.entries + 1:,} entries" in message(lambda: read_bundle(path))
    assert "No such file" in message(lambda: read_bundle(tmp_path / "none.zip"))


def test_html_as_markdown() -> None:
    text = """<h2>Rules</h2> <p>Be <b>fair</b> &amp; <i>kind</i>,<br>use <code>x_y</code>.</p>
    <ol><li>one<ul><li>inner</li></ul></li><li>two</li></ol>
    <a href="javascript:alert(1)">bad</a> <a href="https://a.org/)b">odd</a>
    <style>p {}</style><script>alert(2)</script> 1*2 [x](https://no.org) <img src=x onerror=y>"""
    assert markdown_of(text).splitlines() == [
        "## Rules", "", "Be **fair** & *kind*,", "use `x_y`.", "",
        "1. one", "", "   - inner", "", "2. two", "",
        " bad odd  1\\*2 \\[x\\](https://no.org)",
    ]  # fmt: skip
    assert markdown_of("<p>a<p>b</div></ul></a><li>c") == "a\n\nb\n\n\n- c".replace("\n\n\n", "\n\n")


@given(st.text(alphabet="<>/ab&;\"'=()[]*_`#!\n\\-x:", max_size=200))
@settings(max_examples=200, deadline=None)
@example("<![:")
@example("a<![>b<![if x]>c")
def test_any_html_gives_harmless_markdown(text: str) -> None:
    shown = str(html(markdown_of(text))).lower()
    assert "<script" not in shown and "javascript:" not in shown and "onerror=" not in shown.replace("&", "")


def test_names_of_titles() -> None:
    assert name_of("Few   Images: 2026!") == "few-images-2026"
    assert name_of("图像") == "challenge"
    assert len(name_of("x" * 99)) == 60


KEYS = st.sampled_from([
    "title", "name", "label", "index", "phasenumber", "start", "end", "start_date", "end_date", "file", "key",
    "columns", "hidden", "id", "schema", "labels", "metadata", "visibility", "challenge_phase_id", "terms",
    "max_submissions", "max_submissions_per_day", "html", "leaderboard", "leaderboards", "phases", "pages",
])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | st.floats() | st.text(max_size=5)
    | st.dates() | st.sampled_from(["2026-01-01", "pages/terms.md", "2026-02-01 00:00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(0, 3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
TOPS = st.sampled_from([
    "version", "title", "description", "terms", "pages", "phases", "leaderboards", "leaderboard", "html",
    "challenge_phases", "challenge_phase_splits", "published", "end_date", "start_date", "tasks", "image",
])  # fmt: skip


@given(st.sampled_from(["competition.yaml", "challenge_config.yaml"]), st.dictionaries(TOPS, VALUES))
@settings(max_examples=150, deadline=None)
def test_any_content_is_read_or_refused(tmp_path_factory: Any, name: str, content: dict[str, Any]) -> None:
    import json

    dumper = yaml.SafeDumper
    dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign,assignment]
    folder = tmp_path_factory.mktemp("bundle")
    (folder / name).write_text(yaml.dump(content, Dumper=dumper))
    try:
        plan = read_bundle(folder)
    except BadInput as error:
        assert error.problems
    else:
        json.dumps([plan.columns, plan.left, plan.pages], allow_nan=False)
        assert plan.phases and plan.title
        assert isinstance(service.PhasePlan.model_validate(plan.phases[0].model_dump()), service.PhasePlan)
