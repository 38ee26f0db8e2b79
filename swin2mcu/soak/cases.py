"""The cases of the soak test: combinations of sizes, students, class counts and threads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One small training and the board that runs its network."""

    size: int  # of the input, pixels
    student: str
    classes: int
    seed: int
    threads: int = 1
    photos: str = "leaves"  # or "noise", which has nothing to learn
    dead: bool = False  # some channels have weights near 0, as after weight decay
    board: str = "host"
    epochs: int = 2

    @property
    def name(self) -> str:
        """The case's folder, a unique name."""
        marks = f"{'-dead' if self.dead else ''}-{self.photos}-t{self.threads}-{self.board}"
        return f"{self.student}-{self.size}-{self.classes}c-s{self.seed}{marks}"


MINIMAL, SMALL = "tf_mobilenetv3_small_minimal_100", "tf_mobilenetv3_small_100"
HALF, THREE_QUARTERS = "mobilenetv3_small_050", "mobilenetv3_small_075"

# At 32 px the last squeeze-excite and the pooling get one pixel. With 60 classes of noise no class
# is clearly the best. After one epoch the logits hardly differ.
CASES = (
    Case(32, SMALL, 3, 0),
    Case(32, SMALL, 60, 1, photos="noise"),
    Case(48, MINIMAL, 2, 2, threads=2),
    Case(96, SMALL, 10, 3, board="qemu-m7"),
    Case(48, HALF, 10, 4),
    Case(32, MINIMAL, 2, 5, dead=True),
    Case(48, SMALL, 10, 6, threads=2, dead=True),
    Case(128, SMALL, 3, 7),
    Case(32, HALF, 3, 8, threads=2, board="qemu-m7"),
    Case(96, THREE_QUARTERS, 2, 9, threads=2),
    Case(48, THREE_QUARTERS, 60, 10, photos="noise"),
    Case(96, MINIMAL, 10, 11),
    Case(32, THREE_QUARTERS, 10, 12, dead=True),
    Case(48, SMALL, 2, 13, photos="noise"),
    Case(96, HALF, 60, 14, threads=2, photos="noise"),
    Case(128, MINIMAL, 2, 15, dead=True),
    Case(48, HALF, 3, 16, dead=True, board="qemu-m7"),
    Case(32, SMALL, 10, 17, threads=2, epochs=4),
    Case(96, SMALL, 3, 18, threads=2, dead=True),
    Case(128, HALF, 10, 19, threads=2),
    Case(32, MINIMAL, 60, 20, threads=2, photos="noise"),
    Case(48, MINIMAL, 3, 21, epochs=6),
    Case(32, "tf_mobilenetv3_large_100", 3, 22),
    Case(48, SMALL, 10, 23, epochs=6),
    Case(48, HALF, 3, 24, threads=2, epochs=1),
    Case(64, SMALL, 10, 25, epochs=1),
    Case(96, MINIMAL, 2, 26, epochs=1),
)
SHORT = (CASES[1], CASES[5])
