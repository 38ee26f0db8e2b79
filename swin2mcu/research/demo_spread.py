"""The spread of the demo's results over several seeds and numbers of threads.

    python -m swin2mcu.research.demo_spread runs/demo runs/demo-1 …

Each folder is the run of a `make demo` (SEED=1 makes runs/demo-1), or a copy of it. Writes
docs/data/demo.json, and the sentence of README.md about the results to expect of a demo.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_side.config import read_saved_config
from pytorch_side.log import read_machine
from swin2mcu.common.card import load_card
from swin2mcu.common.cli import Parser, UserError, run_command, write_atomic
from swin2mcu.common.documents import replace_part
from swin2mcu.common.json_file import read_json

FIGURES, DOCUMENT = Path("docs/data/demo.json"), Path("README.md")
BOARD = "qemu-m7-aot"


def read_demo(run: Path) -> dict[str, Any]:
    """The results of one demo. Raises UserError for a folder without a complete demo."""
    try:
        machine = read_machine(run)
        board = read_json(run / "results.json")["targets"][BOARD]
        card = load_card(run / "card.json")
        return {
            "seed": read_saved_config(run / "config.json").seed,
            "threads": machine["threads"],
            "hardware": machine["hardware"],
            "torch": machine["torch"],
            **({"later": machine["later"]} if "later" in machine else {}),
            "val_images": card.accuracy["float"]["images"],
            "val_top1": card.accuracy["float"]["top1"],
            "val_top1_int8": card.accuracy["qat"]["top1"],
            "board_images": board["accuracy"]["images"],
            "board_top1": board["accuracy"]["top1"],
            "board_identical": board["parity"]["identical"],
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run} is not the folder of a complete `make demo`: {error}") from error


def sentence(demos: list[dict[str, Any]]) -> str:
    """The results of all demos as a sentence of the README. Shares are shown in percent."""
    seeds = sorted({demo["seed"] for demo in demos})
    threads = " and ".join(str(n) for n in sorted({demo["threads"] for demo in demos}))
    val = [demo["val_top1"] for demo in demos]
    board = [demo["board_top1"] for demo in demos]
    images, identical = (sum(d[key] for d in demos) for key in ("board_images", "board_identical"))
    return (
        f"{len(demos)} demos ({len(seeds)} seeds, {threads} threads) ended between "
        f"{min(board):.1%} and {max(board):.1%} on the board. On {demos[0]['val_images']} val "
        f"photos the student had {statistics.mean(val):.1%} ± {statistics.stdev(val):.1%} "
        f"(standard deviation of the demos). {identical:,} of {images:,} answers of the board were "
        "the PC's, byte for byte."
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path, help="runs of `make demo`")
    arguments = parser.parse_args(argv)

    def command() -> None:
        demos = sorted(
            (read_demo(run) for run in arguments.runs), key=lambda d: (d["seed"], d["threads"])
        )
        if len(demos) < 2:
            raise UserError("one demo has no spread: name at least two folders")
        text = replace_part(DOCUMENT.read_text(encoding="utf-8"), "demo-spread", [sentence(demos)])
        write_atomic(FIGURES, json.dumps(demos, indent=1) + "\n")
        write_atomic(DOCUMENT, text)
        print(sentence(demos))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
