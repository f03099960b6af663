"""Finding methods, and setting their hyper-parameters from text."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from vipriors import methods
from vipriors.methods import configure, field_docs, listings, load, parse_value, restore
from vipriors.problems import BadInput

NAMES = [listing.name for listing in listings()]


def problems(function, *arguments) -> list[str]:
    with pytest.raises(BadInput) as caught:
        function(*arguments)
    return str(caught.value).splitlines()


def test_listing_imports_neither_torch_nor_scikit_learn():
    check = (
        "import sys; from vipriors import methods; found = methods.listings();"
        "assert found; assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_a_floor_needs_no_torch():
    check = (
        "import sys; from vipriors.methods import configure;"
        "configure('nearest-neighbour', 'tiny', {}); configure('support-vector-machine', 'tiny', {});"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_every_file_is_listed_once():
    root = Path(methods.__file__).parent
    files = [path for path in root.glob("*/*.py") if not path.name.startswith("_")]
    assert len(files) == len(NAMES) == len(set(NAMES))
    assert sorted(NAMES) == NAMES
    assert {path.stem.replace("_", "-") for path in files} == set(NAMES)
    assert {"residual", "wide-residual", "support-vector-machine", "nearest-neighbour"} <= set(NAMES)


@pytest.mark.parametrize("listing", listings(), ids=lambda listing: listing.name)
def test_a_methods_file_says_what_it_is_and_where_from(listing):
    method = load(listing.name)
    docstring = ast.get_docstring(ast.parse(Path(sys.modules[method.__module__].__file__).read_text()))
    assert listing.summary == docstring.splitlines()[0]
    assert 10 < len(listing.summary) <= 100
    assert listing.summary.endswith(".")
    assert "\nSource: " in docstring
    assert "\nShapes: " in docstring
    assert listing.family == method.__module__.split(".")[-2]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_line_of_documentation(name):
    method = load(name)
    docs = field_docs(method)
    for field in dataclasses.fields(method):
        assert len(docs[field.name]) > 10, field
        assert "\n" not in docs[field.name], field
        assert docs[field.name].endswith("."), field


def test_documentation_belongs_to_the_field_above_it():
    docs = field_docs(load("wide-residual"))
    assert docs["depth"] == "Convolution layers, 6n + 4."
    assert docs["steps"] == "Training budget in optimiser steps."
    assert docs["cutout"].startswith("Side in pixels")
    assert "presets" not in docs


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_makes_the_method_and_survives_json(name):
    method = load(name)
    assert list(method.presets) == ["tiny", "small", "full"]
    for preset, values in method.presets.items():
        made = configure(name, preset, {})
        assert isinstance(made, method)
        assert dataclasses.asdict(made) == dataclasses.asdict(method()) | dict(values)
        assert restore(name, dataclasses.asdict(made)) == made
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.anything = None


def test_restore_makes_tuples_of_lists(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Probe:
        sides: tuple[int, ...] = (1,)

    monkeypatch.setattr(methods, "load", lambda name: Probe)
    assert restore("probe", {"sides": [3, 4]}) == Probe((3, 4))


def test_settings_go_over_the_preset():
    made = configure("residual", "small", {"lr": "0.25", "steps": "7", "optimizer": "adamw", "width": " 24 "})
    assert (made.lr, made.steps, made.optimizer, made.width) == (0.25, 7, "adamw", 24)
    assert made == dataclasses.replace(
        configure("residual", "small", {}), lr=0.25, steps=7, optimizer="adamw", width=24
    )


def test_an_unknown_method():
    known = ", ".join(NAMES)
    assert problems(load, "residul") == [
        f"method 'residul': unknown; expected one of {known}; did you mean 'residual'?"
    ]
    assert problems(load, "xyz") == [f"method 'xyz': unknown; expected one of {known}"]


def test_everything_wrong_with_the_settings_is_listed():
    wrong = {
        "learning": "0.1",
        "widht": "3",
        "steps": "many",
        "lr": "fast",
        "optimizer": "adam",
        "width": "2.5",
    }
    assert problems(configure, "residual", "huge", wrong) == [
        "preset 'huge': unknown for residual; expected one of tiny, small, full",
        "--set learning: residual has no such hyper-parameter",
        "--set widht: residual has no such hyper-parameter; did you mean 'width'?",
        "--set steps=many: expected an integer",
        "--set lr=fast: expected a number",
        "--set optimizer=adam: expected one of sgd, adamw",
        "--set width=2.5: expected an integer",
    ]


def test_values_out_of_range_are_listed():
    assert problems(configure, "residual", "tiny", {"lr": "-1", "batch_size": "0"}) == [
        "batch_size: is 0; expected 1 or more",
        "lr: is -1.0; expected more than 0",
    ]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (int, "12", 12),
        (int, "-3", -3),
        (float, "1e-3", 0.001),
        (float, "2", 2.0),
        (str, "some words", "some words"),
        (bool, "true", True),
        (bool, "False", False),
        (Literal["a", "b"], "b", "b"),
        (tuple[int, ...], "1,2,3", (1, 2, 3)),
        (tuple[int, ...], "(4, 5)", (4, 5)),
        (tuple[int, ...], "(6,)", (6,)),
        (tuple[int, ...], "", ()),
    ],
)
def test_values_from_text(kind, text, expected):
    found = parse_value(kind, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (int, "1.0", "expected an integer"),
        (int, "", "expected an integer"),
        (float, "one", "expected a number"),
        (bool, "1", "expected true or false"),
        (Literal["a", "b"], "A", "expected one of a, b"),
        (tuple[int, ...], "1,x", "expected an integer"),
    ],
)
def test_text_that_is_no_value(kind, text, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        parse_value(kind, text)
