"""Fixtures that many tests use."""

from pathlib import Path

import hypothesis
import pytest

# Examples are slow now and then where other work runs beside the tests; no test is about time.
hypothesis.settings.register_profile("vipriors", deadline=None)
hypothesis.settings.load_profile("vipriors")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data sets that lie beside some checkouts; they may not be handed on with this package."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not here")
    return folder
