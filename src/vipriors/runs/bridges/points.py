"""Points: clouds and their classes, as in classification; what is learned from is float32 `(N, P, 3)`."""

from __future__ import annotations

from vipriors.runs.bridges.classification import SUFFIX as SUFFIX
from vipriors.runs.bridges.classification import labelled as labelled
from vipriors.runs.bridges.classification import truth as truth
from vipriors.runs.bridges.classification import write as write
