import pytest

from vipriors.problems import BadInput
from vipriors.tasks.class_map import CITYSCAPES, Class, Classes, plain, ranges


def test_cityscapes():
    assert [class_.id for class_ in CITYSCAPES.all] == list(range(34))
    assert [class_.id for class_ in CITYSCAPES.evaluated] == [
        *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    ]
    assert CITYSCAPES.names[:6] == ("road", "sidewalk", "building", "wall", "fence", "pole")
    categories = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
    assert CITYSCAPES.categories == categories
    assert CITYSCAPES.instance_categories == ("human", "vehicle")
    assert [class_.id for class_ in CITYSCAPES.all if class_.instance_size] == list(range(24, 34))


def test_cityscapes_equals_the_published_definition():
    published = pytest.importorskip(
        "cityscapesscripts.helpers.labels", reason="cityscapesscripts is not installed"
    )
    evaluation = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    labels = sorted((label for label in published.labels if label.id >= 0), key=lambda label: label.id)
    for class_, label in zip(CITYSCAPES.all, labels, strict=True):
        size = evaluation.args.avgClassSize.get(label.name)
        expected = Class(label.id, label.name, label.category, label.ignoreInEval, size)
        assert class_ == expected
        assert (size is not None) == label.hasInstances


def test_plain():
    classes = plain(["cat", "dog"])
    assert classes.names == ("cat", "dog")
    assert [(class_.id, class_.ignored) for class_ in classes.all] == [(0, False), (1, False), (255, True)]
    assert (classes.categories, classes.instance_categories) == ((), ())
    assert [class_.id for class_ in plain(["cat", "dog"], ignored=2).all] == [0, 1, 2]
    assert len(plain(["cat"], ignored=None).all) == 1


def test_every_fault_is_listed():
    with pytest.raises(BadInput) as error:
        Classes(
            (
                Class(0, "a", ignored=True),
                Class(0, "a", ignored=True),
                Class(256, "b", ignored=True, instance_size=0.0),
            )
        )
    assert [str(problem) for problem in error.value.problems] == [
        "class map: id 0 occurs 2 times; expected once",
        "class map: name 'a' occurs 2 times; expected once",
        "class map: 'b' has id 256; expected 0 to 255",
        "class map: 'b' has instance size 0.0; expected a number above 0",
        "class map: no class is evaluated; expected at least one",
    ]


def test_ranges():
    assert ranges([255, 3, 0, 1, 2, 7]) == "0 to 3, 7, 255"
