"""What is asked of every detection method besides what is asked of every method."""

import pytest
from method_cases import NETWORKS
from object_battery import ObjectBattery

from vipriors.methods import listing


@pytest.fixture(params=[name for name in NETWORKS if listing(name).family == "detection"])
def name(request):
    return request.param


class TestDetectors(ObjectBattery):
    pass
