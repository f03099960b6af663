import inspect
import subprocess
import sys

import pytest

from vipriors import tasks
from vipriors.problems import BadInput
from vipriors.tasks import Index, Task

METHODS = ["write", "check", "read_labels", "open_truth", "score"]


def test_classification_is_found_and_helpers_are_not():
    assert "classification" in tasks.names()
    assert not {"bootstrap", "index", "score", "table", "protocol"} & set(tasks.names())


@pytest.mark.parametrize("name", ["bootstrap", "../problems", "", "Classification", "os"])
def test_unknown_task_lists_those_there_are(name):
    with pytest.raises(BadInput) as error:
        tasks.load(name)
    (problem,) = error.value.problems
    assert problem.place == "task"
    assert problem.message == f"{name!r} is not a task; expected one of: {', '.join(tasks.names())}"


@pytest.mark.parametrize("name", tasks.names())
def test_every_task_offers_what_the_protocol_states(name):
    module = tasks.load(name)
    stated_methods = [key for key, value in vars(Task).items() if inspect.isfunction(value) and key[0] != "_"]
    assert stated_methods == METHODS
    assert isinstance(module.HEADLINE, str)
    for method in METHODS:
        stated = list(inspect.signature(getattr(Task, method)).parameters.values())[1:]
        offered = inspect.signature(getattr(module, method)).parameters
        for parameter in stated:
            assert offered[parameter.name].kind == parameter.kind
            has_default = offered[parameter.name].default is not inspect.Parameter.empty
            assert has_default == (parameter.default is not inspect.Parameter.empty)
        extra = set(offered) - {parameter.name for parameter in stated}
        assert all(offered[parameter].default is not inspect.Parameter.empty for parameter in extra)


def test_listing_tasks_imports_none_and_scoring_needs_no_torch():
    code = (
        "import sys; from vipriors import tasks; tasks.names(); "
        "assert 'vipriors.tasks.classification' not in sys.modules; tasks.load('classification'); "
        "assert not {'torch', 'sklearn', 'scipy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_index_lists_every_fault():
    with pytest.raises(BadInput) as error:
        Index(("a.png", "b,c.png", "a.png", " d.png", "", 'e".png', "f\n.png", "\ufeffg.png", "\ud800"), 0)
    expected = "expected text without commas, quotes, control characters or spaces at its ends"
    unfit = ["b,c.png", " d.png", "", 'e".png', "f\n.png", "\ufeffg.png", "\ud800"]
    assert [str(problem) for problem in error.value.problems] == [
        "index: 0 classes; expected 1 to 1000000",
        "index: id 'a.png' occurs 2 times; expected once",
        *(f"index: id {id_!r} cannot stand in a predictions file; {expected}" for id_ in unfit),
    ]


def test_index_accepts_names_of_real_files():
    Index(("Katze 1 (klein).jpg", "猫.png", "a;b.png", "class/é.JPEG"), 1)


def test_index_needs_images():
    with pytest.raises(BadInput, match="no ids; expected at least one test image"):
        Index((), 3)
