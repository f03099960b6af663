"""The embedded digits."""

import numpy as np
from sklearn.datasets import load_digits

from vipriors.data.images import read_image
from vipriors.worlds.digits import digits


def test_digits_are_those_of_scikit_learn():
    source, original = digits(), load_digits()
    assert source.root is None and list(source.classes) == list("0123456789")
    assert [s.label for s in source.samples] == original.target.tolist()
    assert {s.split for s in source.samples} == {None} and source.samples[17].key == "digits#17"
    for index in (0, 900, 1796):
        suffix, content = source.content(source.samples[index])
        expected = [[[round(v * 255 / 16)] for v in row] for row in original.images[index].tolist()]
        assert suffix == ".png" and read_image(content).tolist() == expected


def test_digits_use_the_whole_range():
    images = digits().parts[0].images
    assert images.shape == (1797, 8, 8, 1) and images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)
