"""Selection of the samples at risk, and the distribution of memorization."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import erasetest
from hypothesis import given
from hypothesis import strategies as st

from erasetest.errors import BadInput, ManifestError
from erasetest.probes.risk import BINS, Spread, curate, worst_samples
from erasetest.samples import make_sample, read_manifest, write_manifest

KINDS = ("email", "password", "jwt")


def _row(number: int, ma: float | None, *kinds: str, log2_p: float = -5.0) -> dict[str, Any]:
    measures = {} if ma is None else {"ma": ma, "extracted": ma == 1, "log2_p": log2_p}
    return {
        "id": f"s{number}",
        "measures": measures,
        "secrets": [{"start": 0, "end": 3, "kind": kind, "measures": measures} for kind in kinds],
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 10).map(lambda tenth: tenth / 10),
        st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
        st.sampled_from([-9.0, -5.0]),
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS, st.integers(0, 10), st.none() | st.integers(1, 12))
def test_the_worst_by_definition(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Any], tenth: int, limit: int | None
) -> None:
    """All at or above the threshold, by MA, extraction, likelihood, and order in the file."""
    rows = [_row(i, ma, *kinds, log2_p=p) for i, (ma, kinds, p) in enumerate(drawn)]
    path = _write(tmp_path_factory.getbasetemp() / "measures.jsonl", rows)
    least = tenth / 10
    if all(ma is None for ma, *_ in drawn):
        with pytest.raises(BadInput, match="has no measured sample"):
            curate(path, min_ma=least)
        return
    found = curate(path, min_ma=least, limit=limit)
    risky = [row for row in rows if row["measures"] and row["measures"]["ma"] >= least]
    risky.sort(key=lambda row: (-row["measures"]["ma"], -row["measures"]["log2_p"]))
    assert [risk.id for risk in found.worst] == [row["id"] for row in risky[:limit]]
    assert found.at_risk == len(risky)
    assert found.measured + found.unmeasured == len(rows)
    balanced = curate(path, min_ma=least, limit=limit, balanced=True)
    counts = dict.fromkeys(KINDS, 0)
    wanted = dict.fromkeys(KINDS, 0)
    for risk in balanced.worst:
        counts[risk.kinds[0]] += 1
    for row in risky:
        wanted[row["secrets"][0]["kind"]] += 1
    assert len(balanced.worst) == len(found.worst)
    # Numbers of two kinds differ by at most one, unless a kind has no more samples.
    for kind, count in counts.items():
        assert count == wanted[kind] or count >= max(counts.values()) - 1


@given(st.lists(st.integers(0, BINS), min_size=1))
def test_histograms_count_each_once(twentieths: list[int]) -> None:
    """A value at the start of a bin is in that bin; 1 is in the last."""
    spread = Spread()
    for value in twentieths:
        spread.ma.append(value / BINS)
    expected = [0] * BINS
    for value in twentieths:
        expected[min(value, BINS - 1)] += 1
    assert spread.histogram() == expected


def test_the_spread_by_hand() -> None:
    """Of 0.1, 0.5, 0.9 and 1.0: mean 0.625, median 0.5, two at 0.9 or more."""
    spread = Spread()
    spread.ma.extend([0.9, 0.1, 1.0, 0.5])
    spread.extracted = 1
    assert spread.row(0.9) == [4, pytest.approx(0.625), 0.5, 1.0, 0.5, 1]


@pytest.mark.parametrize(
    "line", ['{"id": 1}', '{"id": "a", "measures": {"ma": 7}, "secrets": [{"kind": "x", '
             '"measures": {}}]}', "[]", "{", '{"id": "a", "measures": [], "secrets": 3}'],
)  # fmt: skip
def test_what_is_no_measure_is_named(tmp_path: Path, line: str) -> None:
    """The message names the file, and the line if there is one."""
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps(_row(0, 1.0, "email")) + "\n" + line + "\n")
    with pytest.raises(ManifestError, match=r"m\.jsonl"):
        curate(path, min_ma=0.5)


def test_the_manifest_must_be_the_one_that_was_probed(tmp_path: Path) -> None:
    """The message names the id of a missing sample."""
    found = curate(_write(tmp_path / "m", [_row(0, 1.0, "email")]), min_ma=0.5)
    write_manifest(tmp_path / "other.jsonl", [make_sample("abc", [(0, 3, "x")], id="t")])
    with pytest.raises(BadInput, match="the first s0"):
        worst_samples(tmp_path / "other.jsonl", found.worst)


def test_the_command(tmp_path: Path) -> None:
    """It prints a table by kind, and writes the worst samples and a picture."""
    rows = [_row(i, i / 10, KINDS[i % 3]) for i in range(11)]
    _write(tmp_path / "m.jsonl", rows)
    samples = [make_sample(f"k = 'abc{i}'", [(5, 9, "x")], id=f"s{i}") for i in range(11)]
    write_manifest(tmp_path / "all.jsonl", samples)
    done = erasetest(
        "curate", "m.jsonl", "--samples", "all.jsonl", "-o", "risky.jsonl", "--min-ma", "0.7",
        "--limit", "3", "--picture", "ma.svg", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [s.id for s in read_manifest(tmp_path / "risky.jsonl")] == ["s10", "s9", "s8"]
    assert "4 of 11 samples have an MA of 0.7 or more; 3 are written" in done.stdout
    assert "password" in done.stdout
    assert "abc" not in done.stdout + done.stderr
    pytest.importorskip("matplotlib")
    assert (tmp_path / "ma.svg").read_text().startswith("<?xml")
    plain = erasetest("curate", "m.jsonl", "-o", "rows.jsonl", cwd=tmp_path)
    assert plain.returncode == 0
    ids = [json.loads(line)["id"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert ids == ["s10", "s9"]
    for arguments, named in (
        (["m.jsonl", "-o", "x", "--min-ma", "1.2"], "--min-ma"),
        (["none.jsonl", "-o", "x"], "none.jsonl"),
        (["m.jsonl", "-o", "m.jsonl"], "are the same file"),
        (["m.jsonl", "-o", "x", "--picture", "ma.txt"], "ma.txt"),
    ):
        bad = erasetest("curate", *arguments, cwd=tmp_path)
        assert (bad.returncode, len(bad.stderr.splitlines())) == (2, 1), bad.stderr
        assert named in bad.stderr
        assert not (tmp_path / "x").exists()
