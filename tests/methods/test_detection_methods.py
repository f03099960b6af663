"""What holds for every detection method, swept over all that there are."""

import pytest
from object_battery import CPU, ObjectBattery, small
from object_cases import data_set

from vipriors.challenges.schema import Invariance
from vipriors.methods import listings, load
from vipriors.methods.detection._precision import average_precision
from vipriors.methods.protocol import Context, TrainingSet
from vipriors.train import Recipe

NAMES = [listing.name for listing in listings() if listing.family == "detection"]
NETWORKS = [name for name in NAMES if issubclass(load(name), Recipe)]


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


class TestDetectors(ObjectBattery):
    pass


def test_there_are_methods():
    assert {"one-stage", "faster-rcnn", "box-prior"} <= set(NAMES)
    assert "box-prior" not in NETWORKS


def test_learns(name):
    data = data_set(count=24)
    data = TrainingSet(data.train, data.classes, Invariance(flip=True), data.held_out)
    method = small(name, steps=130, lr=1e-2, batch_size=6, ema=0.9)
    model = method.fit(TrainingSet(data.train, data.classes, data.invariance), Context(execution=CPU)).model
    found = list(model.detect(data.held_out.images))
    assert average_precision(found, data.held_out.labels, 2) > 0.4
