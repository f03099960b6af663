"""Cards are read from the text of a method's file, which is not run."""

import re
from pathlib import Path

import pytest

import vipriors
from vipriors import card, methods
from vipriors.bench.claims import systems
from vipriors.card import Bound, Card, Claim, read_card

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

GOOD = '''
"""A method."""
raise RuntimeError("this file is not run")

CARD: Card = Card(
    system="R3",
    name="Sandglass "
    "block",
    source="Sandglasses, ECCV 2020",
    claims=(
        Claim("accuracy up", "digits", "top1", baseline="inverted", equal={"parameters": 1.02}, higher=True),
    ),
)
'''


def test_a_card_from_a_file_that_is_not_run(tmp_path):
    file = tmp_path / "method.py"
    file.write_text(GOOD)
    claim = Claim("accuracy up", "digits", "top1", "inverted", equal={"parameters": 1.02})
    assert read_card(file) == Card("R3", "Sandglass block", "Sandglasses, ECCV 2020", (claim,))
    file.write_text('"""No system."""\n')
    assert read_card(file) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ('name="Sandglass "\n    "block"', "name=open('x')"),
        ("higher=True", "sideways=True"),
        ('    source="Sandglasses, ECCV 2020",\n', ""),
    ],
)
def test_a_card_that_is_none(changed, message, tmp_path):
    file = tmp_path / "method.py"
    file.write_text(GOOD.replace(changed, message))
    with pytest.raises(ValueError, match=r"^method.py, line 5: no card: "):
        read_card(file)


def test_every_card_names_another_system_its_source_and_what_can_be_measured():
    cards = [one.card for one in systems()]
    assert {"D6", "R3", "R15", "T4"} <= {one.system for one in cards}
    assert len({one.system for one in cards}) == len(cards)
    for one in cards:
        assert re.fullmatch(r"[A-Z]\d+", one.system)
        assert re.search(r"\w+, [A-Z]+ 20\d\d$", one.source), one.source
        assert one.claims, f"{one.system} has no claim"
        for claim in one.claims:
            if isinstance(claim, Bound):
                assert (BENCHMARKS / f"{claim.benchmark}.py").exists()
                assert claim.least is not None or claim.most is not None
            else:
                assert methods.listing(claim.baseline.split(",")[0].split(":")[0])


def test_cards_stand_in_methods_and_diagnoses_and_nowhere_else():
    """In any other file a card would never be found."""
    files = sorted(Path(vipriors.__file__).parent.rglob("*.py"))
    with_cards = {file for file in files if read_card(file)}
    assert with_cards == {one.file for one in systems()}


def test_the_example_in_the_docstring_is_a_card(tmp_path):
    docstring = card.__doc__
    assert docstring
    example = "".join(line[4:] + "\n" for line in docstring.splitlines() if line.startswith("    "))
    (tmp_path / "example.py").write_text(example)
    found = read_card(tmp_path / "example.py")
    assert found and found.claims[0].baseline == "inverted-residual"
