import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)  # the same examples on every machine
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test collections: $GR2_DATA, or shared/data beside the checkout; skips where neither is."""
    folder = Path(os.environ.get("GR2_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no test collections at {folder} (set GR2_DATA)")
    return folder
