"""What the README shows is what the commands print, and what it names exists."""

import re
from pathlib import Path

import pytest

from host_tools.report.__main__ import main as report

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_table_is_the_zoos(capsys: pytest.CaptureFixture[str]) -> None:
    shown = README.partition("<!-- results -->")[2].partition("<!-- /results -->")[0].strip()
    assert report([str(ROOT / "tinyml" / "zoo"), "--markdown"]) == 0
    assert shown == capsys.readouterr().out.strip(), (
        "paste what `python -m host_tools.report tinyml/zoo --markdown` prints"
    )


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"


def test_make_targets_and_scripts_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
    for script in re.findall(r"python (host_tools/\w+\.py)", README):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"-m ((?:pytorch_side|tinyml)\.[\w.]+)", README):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module
