"""The soak's cases differ, its tables hold the worst, and hard cases go through the whole chain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swin2mcu.common.cli import UserError
from swin2mcu.soak.__main__ import DOCUMENT, FIGURES, main, run_case
from swin2mcu.soak.cases import CASES, SHORT, Case
from swin2mcu.soak.tables import summarize, tables, write_document
from tinyml.parity.record import broken

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = "<!-- soak -->", "<!-- end -->"


def figures(name: str, rms: float, agreement: float, identical: int) -> dict[str, object]:
    stage = {
        "name": "exact",
        "against": "fake-quantized",
        "unit": "lsb",
        "limits": {"relative_rms": 0.5},
        "max_difference": 3.0,
        "relative_max": 0.2,
        "relative_rms": rms,
        "decided_agreement": agreement,
        "decided_images": 4,
        "top1_lost": -0.1,
    }
    first = {"name": "torch-float", "against": ""}
    return {
        "case": name,
        "stages": [first, stage],
        "operators": {"MUL": {"max_lsb": 1, "max_lsb_exact": int(rms > 0.1)}},
        "board": {"images": 8, "identical": identical},
    }


def test_the_worst_of_all_cases_is_told() -> None:
    record = summarize([figures("a", 0.1, 0.95, 8), figures("b", 0.2, 1.0, 7)])
    exact = record["stages"]["exact"]
    assert (exact["relative_rms"], exact["decided_agreement"]) == (0.2, 0.95)
    assert "torch-float" not in record["stages"]
    assert record["operators"] == {"MUL": {"max_lsb": 1, "max_lsb_exact": 1}}
    text = tables(record)
    assert "2 trainings" in text and "15 of 16 images" in text and "- b" in text
    row = "3 lsb | 2.0e-01 | 2.0e-01 | 95.0% of 8 | 0.0% | relative_rms 0.5 |"
    assert f"| exact | fake-quantized | {row}" in text


def test_all_limits_that_a_case_had_are_told() -> None:
    """A network that learned nothing has another limit than the others."""
    cases = [figures("a", 0.1, 1.0, 8), figures("b", 0.1, 1.0, 8)]
    cases[0]["stages"][1]["limits"] = {"top1_lost": 0.1}
    assert "| top1_lost 0.1, relative_rms 0.5 |" in tables(summarize(cases))


def test_tables_stand_between_the_marks(tmp_path: Path) -> None:
    record, path = summarize([figures("a", 0.1, 1.0, 8)]), tmp_path / "page.md"
    path.write_text(f"before\n{FIRST}\nold\n{LAST}\nafter\n")
    write_document(path, record)
    assert path.read_text() == f"before\n{FIRST}\n{tables(record)}\n{LAST}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(UserError, match="document has no"):
        write_document(path, record)


def test_the_document_shows_the_record_and_the_record_holds() -> None:
    record = json.loads((ROOT / FIGURES).read_text(encoding="utf-8"))
    shown = (ROOT / DOCUMENT).read_text(encoding="utf-8").partition(FIRST)[2].partition(LAST)[0]
    assert shown.strip() == tables(record), "run `make soak`"
    assert set(record["cases"]) == {case.name for case in CASES}
    assert record["board_identical"] == record["board_images"] > 0
    stages = [{"name": name, **stage} for name, stage in record["stages"].items()]
    assert broken({"stages": stages, "operators": record["operators"]}) == []


def test_cases_cover_what_they_should() -> None:
    assert len(CASES) >= 20 and len({case.name for case in CASES}) == len(CASES)
    assert {32, 48, 96, 128} <= {case.size for case in CASES}
    assert {2, 3, 10, 60} <= {case.classes for case in CASES}
    assert {case.threads for case in CASES} == {1, 2}
    assert len({case.student for case in CASES}) >= 4
    assert {case.board for case in CASES} == {"host", "qemu-m7"}
    assert any(case.dead for case in SHORT) and any(case.size == 32 for case in SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_a_hard_case_goes_through_the_whole_chain(case: Case, tmp_path: Path) -> None:
    assert run_case(case, tmp_path) == ""
    found = json.loads((tmp_path / case.name / "figures.json").read_text())
    assert found["board"]["identical"] == found["board"]["images"] > 0


def test_a_case_that_breaks_is_told_in_one_line(tmp_path: Path) -> None:
    unknown = Case(32, "tf_mobilenetv3_none", 2, 0)
    complaint = run_case(unknown, tmp_path)
    assert complaint.startswith(unknown.name) and len(complaint.splitlines()) == 1


def test_the_record_is_written_when_all_cases_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record of some cases would say less than it seems to."""
    record, page = tmp_path / "soak.json", tmp_path / "page.md"
    monkeypatch.setattr("swin2mcu.soak.__main__.FIGURES", record)
    monkeypatch.setattr("swin2mcu.soak.__main__.DOCUMENT", page)
    page.write_text(f"{FIRST}\n{LAST}\n")

    def finish(case: Case, build: Path) -> str:
        (build / case.name).mkdir(parents=True)
        text = json.dumps(figures(case.name, 0.1, 1.0, 8))
        (build / case.name / "figures.json").write_text(text)
        return ""

    monkeypatch.setattr("swin2mcu.soak.__main__.run_case", finish)
    command = ["--build", str(tmp_path / "build")]
    assert main([*command, "--limit", "2"]) == 0
    assert f"2 of {len(CASES)} cases" in capsys.readouterr().out and not record.exists()
    assert main(command) == 0
    assert len(json.loads(record.read_text())["cases"]) == len(CASES)
    assert f"- {CASES[-1].name}" in page.read_text()
    assert main([*command, "--limit", "0"]) == 2


def test_cases_of_different_versions_are_not_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case, stage in zip(SHORT, ("exact", "fine-tuned"), strict=True):
        found = figures(case.name, 0.1, 1.0, 8)
        found["stages"] = [{"name": stage}]
        (tmp_path / case.name).mkdir()
        (tmp_path / case.name / "figures.json").write_text(json.dumps(found))
    assert main(["--short", "--build", str(tmp_path)]) == 2
    assert "different versions" in capsys.readouterr().err
