"""--unknown of `swin2mcu calibrate`: each has its own name in the report, and must be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from swin2mcu.calibrate import names_of, photos_in
from swin2mcu.common.cli import UserError


def test_lists_that_start_with_the_same_photo_have_two_names() -> None:
    first, second, third = (Path("cars") / f"a_{number}.jpg" for number in range(3))
    assert names_of([[first, second], [first, third]]) == [f"{first} … (1)", f"{first} … (2)"]
    assert names_of([[first], [second], [first]]) == [f"{first} (1)", "a_1.jpg", f"{first} (3)"]


def test_a_mistyped_path_is_no_unreadable_photo(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^there is no file or folder {tmp_path}/cras$"):
        photos_in([tmp_path / "cras"])
