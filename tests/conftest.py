"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadlines: a first call compiles, and the machine is shared.
settings.register_profile("secureboost", deadline=None)
settings.load_profile("secureboost")

# Runs of tests are not recorded in the folder where tests are started.
os.environ["SECUREBOOST_RUNS"] = "off"

DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder with the real tables; a test that wants it skips where they are absent."""
    folder = Path(os.environ.get("SECUREBOOST_DATA", DATA))
    if not folder.is_dir():
        pytest.skip(f"no real tables: {folder} is absent (set SECUREBOOST_DATA)")
    return folder
