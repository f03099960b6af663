"""What fitting with the common loop records."""

import json

import numpy as np

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure
from vipriors.methods.protocol import Context, Labelled, TrainingSet
from vipriors.train import Execution

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), np.uint8)
DATA = TrainingSet(Labelled(IMAGES, np.arange(12) % 3), ("a", "b", "c"), Invariance())
METHOD = configure("residual", "tiny", {"steps": "4", "width": "8"})


def test_seconds_before_an_interruption_count(tmp_path):
    first = METHOD.fit(DATA, Context(seed=0, execution=Execution("cpu"), folder=tmp_path))
    log = tmp_path / "log.jsonl"
    *others, last = map(json.loads, log.read_text().splitlines())
    assert last["seconds"] <= first.facts["seconds"] < 60
    log.write_text("".join(json.dumps(line) + "\n" for line in [*others, last | {"seconds": 5000.0}]))
    again = METHOD.fit(DATA, Context(seed=0, execution=Execution("cpu"), folder=tmp_path, resume=True))
    assert again.facts == first.facts | {"seconds": 5000.0}
