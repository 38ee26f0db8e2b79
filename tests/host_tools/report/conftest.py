"""A folder with two models, made anew for each test."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_zoo import make_zoo


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return make_zoo(tmp_path / "zoo")
