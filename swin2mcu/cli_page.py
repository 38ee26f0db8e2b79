"""Write docs/CLI.md from the --help of every verb: `python -m swin2mcu.cli_page`."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from swin2mcu.__main__ import VERBS
from swin2mcu.common.cli import Parser, run_command, write_atomic
from swin2mcu.common.paths import ROOT

PAGE = ROOT / "docs" / "CLI.md"
START = """# Commands

`swin2mcu VERB …` runs any of them. After the set-up it is installed as `.venv/bin/swin2mcu`.
Each block below is the output of `--help`. `python -m swin2mcu.cli_page` writes this page.
"""


def help_of(verb: str, module: str, *words: str) -> str:
    """What `swin2mcu VERB [WORD] --help` prints on 80 columns."""
    shown = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}),
        mock.patch.object(sys, "argv", [f"swin2mcu {verb}"]),
        contextlib.redirect_stdout(shown),
        contextlib.suppress(SystemExit),
    ):
        importlib.import_module(module).main([*words, "--help"])
    return shown.getvalue().strip()


def words_of(shown: str) -> list[str]:
    """The words that a verb's help offers in place of options: `{audit,probe} ...`."""
    found = re.search(r"^usage: [^{]*\{([\w,-]+)\} \.\.\.$", shown, re.MULTILINE)
    return found[1].split(",") if found else []


def page() -> str:
    parts = [START]
    for heading, verbs in VERBS.items():
        parts.append(f"## {heading[0].upper()}{heading[1:]}\n")
        for verb, module in verbs.items():
            shown = help_of(verb, module)
            parts.append(f"### {verb}\n\n```\n{shown}\n```\n")
            parts += [
                f"#### {verb} {word}\n\n```\n{help_of(verb, module, word)}\n```\n"
                for word in words_of(shown)
            ]
    return "\n".join(parts)


def main(argv: Sequence[str] | None = None) -> int:
    Parser(description=(__doc__ or "").partition(": `")[0]).parse_args(argv)

    def command() -> None:
        write_atomic(PAGE, page())
        print(Path(os.path.relpath(PAGE)))

    return run_command(command)


if __name__ == "__main__":
    raise SystemExit(main())
