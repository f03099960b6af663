"""The page of measured speed says what the stored measurements say."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_tables_are_those_of_the_measurements() -> None:
    spec = importlib.util.spec_from_file_location("measure", ROOT / "benchmarks" / "measure.py")
    assert spec and spec.loader
    measure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(measure)
    page = measure.PAGE.read_text()
    assert measure.filled(page) == page
    assert len(measure.PLACE.findall(page)) >= 4
