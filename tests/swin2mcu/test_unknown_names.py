"""Every --unknown of `swin2mcu calibrate` has its own name in the report."""

from __future__ import annotations

from pathlib import Path

from swin2mcu.calibrate import names_of


def test_lists_that_start_with_the_same_photo_have_two_names() -> None:
    first, second, third = (Path("cars") / f"a_{number}.jpg" for number in range(3))
    assert names_of([[first, second], [first, third]]) == [f"{first} … (1)", f"{first} … (2)"]
    assert names_of([[first], [second], [first]]) == [f"{first} (1)", "a_1.jpg", f"{first} (3)"]
