"""Cards are read from the text of a method's file, which is not run."""

import pytest

from vipriors import methods
from vipriors.methods import card
from vipriors.methods.card import Card, Claim, read_card

GOOD = '''
"""A method."""
raise RuntimeError("this file is not run")

CARD: Card = Card(
    system="R3",
    name="Sandglass "
    "block",
    claims=(
        Claim("accuracy up", "digits", "top1", baseline="inverted", equal={"parameters": 1.02}, higher=True),
    ),
)
'''


def test_a_card_from_a_file_that_is_not_run(tmp_path):
    file = tmp_path / "method.py"
    file.write_text(GOOD)
    claim = Claim("accuracy up", "digits", "top1", "inverted", equal={"parameters": 1.02})
    assert read_card(file) == Card("R3", "Sandglass block", (claim,))
    file.write_text('"""No system."""\n')
    assert read_card(file) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ('name="Sandglass "\n    "block"', "name=open('x')"),
        ("higher=True", "sideways=True"),
    ],
)
def test_a_card_that_is_none(changed, message, tmp_path):
    file = tmp_path / "method.py"
    file.write_text(GOOD.replace(changed, message))
    with pytest.raises(ValueError, match=r"method.py, line 5: no card: "):
        read_card(file)


def test_cards_of_the_methods_here_name_each_system_once():
    cards = [found for listing in methods.listings() if (found := methods.card_of(listing))]
    numbers = [one.system for one in cards]
    assert len(numbers) == len(set(numbers))
    for one in cards:
        assert one.claims, f"{one.system} has no claim"
        for claim in one.claims:
            assert methods.listing(claim.baseline.split(",")[0].split(":")[0])


def test_the_example_in_the_docstring_is_a_card(tmp_path):
    docstring = card.__doc__
    assert docstring
    example = "".join(line[4:] + "\n" for line in docstring.splitlines() if line.startswith("    "))
    (tmp_path / "example.py").write_text(example)
    found = read_card(tmp_path / "example.py")
    assert found and found.claims[0].baseline == "inverted-residual"
