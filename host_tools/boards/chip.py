"""What a board says of its chip, in words."""

from __future__ import annotations

# Part numbers in CPUID (Technical Reference Manuals of the cores).
ARM_PARTS = {0xC24: "M4", 0xC27: "M7", 0xD21: "M33", 0xD22: "M55", 0xD23: "M85"}
ARM = 0x41


def describe_chip(board: str, chip_id: int) -> str | None:
    """The chip and its revision, from Info's chip id; None where it is not known."""
    if chip_id == 0:
        return None
    if chip_id >> 24 == ARM:
        part = chip_id >> 4 & 0xFFF
        name = ARM_PARTS.get(part, f"part {part:#x}")
        return f"Cortex-{name} r{chip_id >> 20 & 0xF}p{chip_id & 0xF}"
    if "esp32s3" in board:
        return f"ESP32-S3 v{chip_id // 100}.{chip_id % 100}"
    return f"{chip_id:#010x}"
