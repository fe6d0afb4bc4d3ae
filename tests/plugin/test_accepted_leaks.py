"""Accepted leaks: the entries of a baseline, their end dates, and what a run reports of them."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
from pytest_erasetest.accepted_leaks import SCHEMA, Accepted, read_baseline, write_baseline

from erasetest.errors import ManifestError
from erasetest.samples import write_manifest

TODAY = datetime.date(2030, 3, 1)


def _write(folder: Path, *entries: Any, bom: str = "") -> Path:
    path = folder / "known.json"
    document = {"schema": SCHEMA, "accepted": list(entries)}
    path.write_text(bom + json.dumps(document), encoding="utf-8")
    return path


def _entry(name: str, days: int, today: datetime.date = TODAY) -> dict[str, str]:
    expires = (today + datetime.timedelta(days=days)).isoformat()
    return {"id": name, "reason": "known", "expires": expires}


@pytest.mark.parametrize("max_days", [365, 30])
def test_an_entry_may_end_at_most_so_many_days_ahead(tmp_path: Path, max_days: int) -> None:
    """The last day is accepted; one more is refused in a line with id, date and remedy."""
    assert "a" in read_baseline(_write(tmp_path, _entry("a", max_days)), max_days, TODAY).accepted
    path = _write(tmp_path, _entry("a", max_days), _entry("b", max_days + 1))
    with pytest.raises(ManifestError) as caught:
        read_baseline(path, max_days, TODAY)
    message = str(caught.value)
    assert "entry 2 (b) is accepted until " + _entry("b", max_days + 1)["expires"] in message
    assert f"on {_entry('b', max_days)['expires']} or before" in message
    assert "--leak-baseline-days" in message
    with pytest.raises(ManifestError, match="9999-12-31"):
        read_baseline(
            _write(tmp_path, {**_entry("c", 1), "expires": "9999-12-31"}), max_days, TODAY
        )


@pytest.mark.parametrize(
    "entry",
    [
        "a", None, {}, {"id": "a"}, {**_entry("a", 1), "reason": " "},
        {**_entry("a", 1), "reason": None}, {**_entry("a", 1), "id": 7},
        {**_entry("a", 1), "expires": "soon"}, {**_entry("a", 1), "expires": None},
    ],
)  # fmt: skip
def test_an_entry_that_lacks_something_is_named(tmp_path: Path, entry: Any) -> None:
    """By its number, with the required keys."""
    path = _write(tmp_path, _entry("z", 1), entry)
    with pytest.raises(ManifestError, match="entry 2 needs 'id', 'reason'"):
        read_baseline(path, 365, TODAY)


def test_an_id_occurs_once(tmp_path: Path) -> None:
    """Two entries could have different end dates."""
    path = _write(tmp_path, _entry("a", 1), _entry("a", 2))
    with pytest.raises(ManifestError, match="entry 2 repeats the id a"):
        read_baseline(path, 365, TODAY)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """Some editors write one."""
    path = _write(tmp_path, _entry("a", 1), bom="\ufeff")
    assert list(read_baseline(path, 365, TODAY).accepted) == ["a"]


def test_unmatched_and_expired_entries_are_reported(tmp_path: Path) -> None:
    """A line each, with the first names; other entries are not mentioned."""
    gone = [_entry(f"gone-{n}", 5) for n in range(7)]
    path = _write(tmp_path, _entry("a", 5), _entry("b", -1), *gone)
    baseline = read_baseline(path, 365, TODAY)
    expired, unmatched = baseline.warnings({"a", "b", "c"})
    assert "1 entries have expired" in expired
    assert "b (2030-02-28)" in expired
    assert "7 entries match no sample of this run: gone-0, " in unmatched
    assert unmatched.endswith("and 2 more")
    assert list(baseline.accepted) == ["a", *(row["id"] for row in gone)]
    assert read_baseline(_write(tmp_path, _entry("a", 5)), 365, TODAY).warnings({"a"}) == []


@pytest.mark.parametrize(("max_days", "days"), [(365, 90), (10, 10)])
def test_new_entries_end_within_the_limit(tmp_path: Path, max_days: int, days: int) -> None:
    """In 90 days, or at the limit if that is earlier; known entries are unchanged."""
    path = tmp_path / "known.json"
    known = {"a": Accepted("because", (TODAY + datetime.timedelta(days=3)).isoformat())}
    assert write_baseline(path, known, ["a", "b"], TODAY, max_days) == 1
    read = read_baseline(path, max_days, TODAY).accepted
    assert read["a"] == known["a"]
    assert read["b"].expires == _entry("b", days)["expires"]


def _run(
    pytester: pytest.Pytester, url: str, *arguments: str, entries: list[dict[str, str]]
) -> pytest.RunResult:
    write_manifest(pytester.path / "samples.jsonl", tiny.PLANTED[-2:])
    _write(pytester.path, *entries)
    pytester.makepyfile(test_mine="def test_mine(leak): pass\n")
    return pytester.runpytest_inprocess(
        "test_mine.py", "-p", "no:hypothesispytest", "-p", "no:xdist", f"--clm={url}",
        "--leak-samples=samples.jsonl", "--leak-baseline=known.json", *arguments,
    )  # fmt: skip


def test_a_run_reports_its_baseline(pytester: pytest.Pytester, urls: dict[bool, str]) -> None:
    """The verdict line counts accepted leaks; an unmatched entry is a warning; status 0."""
    pytest.importorskip("httpx")
    today = datetime.date.today()
    names = [sample.id for sample in tiny.PLANTED[-2:]]
    entries = [_entry(name, 9 + n, today) for n, name in enumerate(names)]
    run = _run(pytester, urls[True], entries=[*entries, _entry("other", 3, today)])
    assert run.ret == 0
    run.stdout.fnmatch_lines(
        [
            f"*: clean, 2 accepted leaks until {entries[0]['expires']}",
            "warning: baseline known.json: 1 entries match no sample of this run: other",
        ]
    )
    entries[1] = _entry(names[1], -1, today)
    run = _run(pytester, urls[True], entries=entries)
    assert run.ret == 1
    run.stdout.fnmatch_lines(
        ["*: leaks, 1 accepted leak until *", "warning: *1 entries have expired*"]
    )


def test_a_run_refuses_what_reaches_too_far(
    pytester: pytest.Pytester, urls: dict[bool, str]
) -> None:
    """Before anything is asked of the CLM, with status 4; the option allows more."""
    pytest.importorskip("httpx")
    today = datetime.date.today()
    entries = [_entry(sample.id, 400, today) for sample in tiny.PLANTED[-2:]]
    run = _run(pytester, urls[True], entries=entries)
    assert run.ret == 4
    run.stderr.fnmatch_lines(["*entry 1 (planted-6) is accepted until*more than 365 days*"])
    run = _run(pytester, urls[True], "--leak-baseline-days=400", entries=entries)
    assert run.ret == 0
    run = _run(pytester, urls[True], "--leak-baseline-days=0", entries=entries)
    assert run.ret == 4
    run = _run(pytester, urls[True], "-o", "leak_baseline_days=400", entries=entries)
    assert run.ret == 0


def test_a_secret_in_a_reason_is_masked(pytester: pytest.Pytester, urls: dict[bool, str]) -> None:
    """A reason is written by hand; reports and the terminal show it without the secret."""
    pytest.importorskip("httpx")
    secret = tiny.PLANTED[-1].secrets[0].text.reveal()
    today = datetime.date.today()
    entries = [{**_entry(s.id, 3, today), "reason": secret} for s in tiny.PLANTED[-2:]]
    run = _run(
        pytester, urls[True], "--leak-report=r.json", "--leak-report=r.md", "-rs", entries=entries
    )
    assert run.ret == 0
    shown = run.stdout.str() + run.stderr.str()
    shown += "".join((pytester.path / f"r.{suffix}").read_text() for suffix in ("json", "md"))
    assert "[masked]" in shown
    assert secret[:8] not in shown
