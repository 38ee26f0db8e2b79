"""One command for everything, and the page that says how it is called."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from swin2mcu.__main__ import MODULES, main, purpose
from swin2mcu.cli_page import PAGE, page
from swin2mcu.common.cli import READER_GONE

ROOT = Path(__file__).resolve().parent.parent.parent
# Programs of a developer or of another program, which no chain of commands names.
INTERNAL = {
    "host_tools.boards.reports",
    "host_tools.pc.memory",
    "swin2mcu.__main__",
    "swin2mcu.cli_page",
    "swin2mcu.common.bound",
    "swin2mcu.research.demo_spread",
    "swin2mcu.research.few_labels",
    "swin2mcu.research.small_sets",
    "swin2mcu.soak.__main__",
    "swin2mcu.soak.chain",
}


def test_every_program_is_a_verb() -> None:
    programs = set()
    for top in ("pytorch_side", "tinyml", "host_tools", "swin2mcu"):
        for path in (ROOT / top).rglob("*.py"):
            if re.search(
                r'^if __name__ == "__main__"', path.read_text(encoding="utf-8"), re.MULTILINE
            ):
                programs.add(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "."))
    assert programs - INTERNAL == set(MODULES.values())


def test_the_list_of_verbs_says_what_each_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb, module in MODULES.items():
        assert re.search(rf"^  {verb} ", shown, re.MULTILINE)
        assert len(purpose(module)) > 20, module


def test_an_unknown_verb_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    assert capsys.readouterr().err == "error: there is no verb 'fly' (see swin2mcu --help)\n"


def test_ctrl_c_while_a_verb_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib, "import_module", interrupted)
    assert main(["predict"]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    source = ast.parse((ROOT / "swin2mcu" / "__main__.py").read_text(encoding="utf-8"))
    named = {node.module for node in source.body if isinstance(node, ast.ImportFrom)}
    assert named == {"__future__", "collections.abc", "pathlib"}, "others take too long"


def test_an_extra_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['msgspec'] = None; from swin2mcu.__main__ import main; "
        "sys.exit(main(['train', '--plan', 'photos']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: msgspec is not installed: `make setup`")
    monkeypatch.setitem(MODULES, "train", "swin2mcu.nothing")
    with pytest.raises(ModuleNotFoundError, match=r"swin2mcu\.nothing"):
        main(["train"])


@pytest.mark.parametrize(
    ("stdout", "status"), [("ascii", 0), ("closed", 0), ("a reader that hangs up", READER_GONE)]
)
def test_a_list_is_printed_whatever_the_output_is(stdout: str, status: int) -> None:
    code = (
        "import sys; from swin2mcu.__main__ import main; sys.stdin.readline(); sys.exit(main([]))"
    )
    closing = "exec >&-; " if stdout == "closed" else ""
    program = subprocess.Popen(
        ["sh", "-c", f'{closing}exec "$0" -c "$1"', sys.executable, code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )
    assert program.stdout
    if status:
        program.stdout.close()
        program.stdout = None  # or communicate would read it
    said, error = program.communicate("\n", timeout=60)
    assert (program.returncode, error) == (status, "")
    assert ("usage: swin2mcu VERB \\u2026" in (said or "")) is (stdout == "ascii")


def test_a_verb_takes_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flash", "--list"]) == 0
    assert "qemu-m7" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["flash", "--no-such-option"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --no-such-option" in capsys.readouterr().err


def test_the_page_is_what_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m swin2mcu.cli_page`"


def test_the_distribution_brings_the_command() -> None:
    assert 'swin2mcu = "swin2mcu.__main__:main"' in (ROOT / "pyproject.toml").read_text(
        encoding="utf-8"
    )
    tree = ast.parse((ROOT / "swin2mcu" / "__main__.py").read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.FunctionDef) and n.name == "main" for n in tree.body)
