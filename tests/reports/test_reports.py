"""Reports: the keys of the contract, written atomically, read back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from erasetest.errors import BadInput
from erasetest.probes.measures import MEASURES, SampleMeasures, SecretMeasures
from erasetest.reports import Report, write_report
from erasetest.reports.leakage_report import sample_rows
from erasetest.reports.markdown import worst_first
from erasetest.samples import SensitiveSample, Source, make_sample
from erasetest.verdict import Thresholds
from erasetest.verdict.judged_sample import JudgedSample

LIMITS = Thresholds("test", {"ma": 0.5, "el_10": 0.1})


def _sample(name: str, path: str = "a.py") -> SensitiveSample:
    return make_sample("k = 'AKIA0'", [(5, 10, "aws-access-key")], id=name, source=Source(path, 1))


def _measured(name: str, ma: float) -> SampleMeasures:
    values: dict[str, float | bool] = dict.fromkeys(MEASURES, 0.0)
    values |= {"ma": ma, "extracted": False, "queries_50": 1e9, "over_controls": 9.0}
    return SampleMeasures(name, (SecretMeasures(5, 10, "aws-access-key", values),))


def _report(*values: tuple[str, float]) -> dict[str, Any]:
    samples = [_sample(name) for name, _ in values]
    measured = [_measured(name, ma) for name, ma in values if ma >= 0 or math.isnan(ma)]
    before = {sample.id: JudgedSample.of(sample, LIMITS) for sample in measured}
    report = Report(clm={"name": "tiny"}, thresholds=LIMITS.as_dict())
    report.samples = sample_rows(samples, before, {})
    return report.as_dict()


def test_json_has_the_contracts_keys(tmp_path: Path) -> None:
    """With those of a sample."""
    write_report(tmp_path / "r.json", _report(("a", 0.9), ("b", 0.1), ("c", -1.0)))
    report = Report.read(tmp_path / "r.json")
    document = report.as_dict()
    assert document == json.loads((tmp_path / "r.json").read_text())
    assert document["schema"] == "erasetest.leakage-report/1"
    contract = ["schema", "verdict", "clm", "thresholds", "samples", "erasure", "attacks"]
    assert {*contract, "utility", "environment"} <= set(document)
    assert [row["verdict"] for row in report.samples] == ["leak", "pass", "inconclusive"]
    first = report.samples[0]
    assert {"id", "kinds", "source", "verdict", "measures", "after"} <= set(first)
    assert first["source"] == {"path": "a.py", "line": 1}
    assert first["after"] is None


def test_nan_is_null(tmp_path: Path) -> None:
    """JSON has neither NaN nor infinity; the sample is inconclusive."""
    write_report(tmp_path / "r.json", _report(("a", math.nan)))
    text = (tmp_path / "r.json").read_text()
    constants: list[str] = []
    row = json.loads(text, parse_constant=constants.append)["samples"][0]
    assert constants == []
    assert row["measures"]["ma"] is None
    assert row["verdict"] == "inconclusive"


def test_both_formats_of_a_report_agree(tmp_path: Path) -> None:
    """`erasetest report RUN.json -o RUN.md` writes the same as the run itself."""
    report = _report(("a", 0.9))
    write_report(tmp_path / "r.json", report)
    write_report(tmp_path / "r.md", report)
    Report.read(tmp_path / "r.json").write(tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text() == (tmp_path / "r.md").read_text()


def test_keys_of_a_later_version_are_kept(tmp_path: Path) -> None:
    """A conversion loses nothing, and a report of this version stays as it is."""
    document = {**_report(("a", 0.9)), "further": 1, "signature": {"by": "x"}}
    write_report(tmp_path / "r.json", document)
    Report.read(tmp_path / "r.json").write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "r.json").read_bytes()


def test_odd_names_do_not_break_markdown(tmp_path: Path) -> None:
    """A pipe, a line break or a tag in an id cannot break the table or become HTML."""
    write_report(tmp_path / "r.md", _report(("a|b\n<script>", 0.9)))
    rows = [line for line in (tmp_path / "r.md").read_text().splitlines() if "script" in line]
    assert len(rows) == 1
    assert "<script>" not in rows[0]
    assert "a&#124;b" in rows[0]


def test_worst_comes_first() -> None:
    """Leaks before the rest, the higher MA before the lower."""
    report = _report(("low", 0.1), ("leak", 0.6), ("unknown", -1.0), ("worst", 0.9))
    names = [row["id"] for row in worst_first(report["samples"])]
    assert names[:2] == ["worst", "leak"]
    assert names[-1] == "low"


@pytest.mark.parametrize(
    ("name", "message"),
    [("r.txt", "use .json, .md"), ("no/r.json", "does not exist"), ("d.json", "is a folder")],
)
def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path, name: str, message: str) -> None:
    """Each with what to do."""
    (tmp_path / "d.json").mkdir()
    with pytest.raises(BadInput, match=message):
        write_report(tmp_path / name, _report())


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "a leakage report"), ("{}", "schema")],
)
def test_a_broken_report_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    """One line that names the file."""
    path = tmp_path / "r.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        Report.read(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
