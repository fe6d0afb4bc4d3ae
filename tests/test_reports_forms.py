"""Reports of a real tiny CLM: the contract's document, its two forms, reading one back."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from erasetest.erase import ErasureSettings, erase
from erasetest.errors import BadInput, ManifestError
from erasetest.probes import probe
from erasetest.reports import SCHEMA, LeakageReport, environment, read_report, write_report
from erasetest.reports.document import sample_rows
from erasetest.reports.markdown import SHOWN, by_kind, markdown, worst_first
from erasetest.reports.write import check_report_path
from erasetest.samples import Source, make_sample
from erasetest.utility import UtilityScore, utility_report
from erasetest.utility.score import Tally
from erasetest.verdict import Thresholds

LIMITS = Thresholds(
    "test", {"ma": 0.9, "el_3": 1.0, "el_5": 1.0, "el_10": 1.0}, {"email": {"ma": 0.95}}, {"jwt": 3}
)


def _scores() -> tuple[UtilityScore, UtilityScore]:
    before, after = (
        UtilityScore(
            10,
            [
                Tally(f"t/{i}", {"passed": c, "failed": 10 - c, "timeout": 0}, 10, 0.0)
                for i, c in enumerate(passed)
            ],
            (),
        )
        for passed in ((9, 10), (8, 10))
    )
    return before, after


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The report of a tiny CLM, measured, erased for two steps, measured again."""
    clm = tiny.reciting("qwen2")
    samples = [
        *tiny.PLANTED,
        make_sample("k = 'zzz'", [(5, 8, "word")], id="elsewhere", source=Source("a/b.py", 7)),
    ]
    before = {measured.id: measured for measured in probe(clm, samples[:-1])}
    described = clm.describe()
    erasure = erase(clm, tiny.PLANTED[:2], tiny.RETAINED, LIMITS, ErasureSettings(max_steps=2))
    after = {measured.id: measured for measured in probe(clm, tiny.PLANTED[:2])}
    report = LeakageReport(
        clm=described,
        thresholds=LIMITS.as_dict(),
        samples=sample_rows(samples, before, after, LIMITS, LIMITS),
        erasure=erasure.as_dict("out/clm"),
        utility=utility_report(*_scores()),
        environment=environment(),
        problems=["1 samples are inconclusive: elsewhere"],
        verdict="leaks",
    )
    return report.as_dict()


def _copy(document: dict[str, Any], **changed: Any) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps({**document, **changed}))
    return copied


# The contract


def test_the_contracts_keys(document: dict[str, Any]) -> None:
    """Every key that DESIGN names is there, in its order; others may stand between them."""
    contract = "schema verdict clm thresholds samples erasure attacks utility environment"
    assert [key for key in document if key in contract.split()] == contract.split()
    assert document["schema"] == SCHEMA == "erasetest.leakage-report/1"
    clm = ["name", "family", "fingerprint", "parameters", "dtype", "device"]
    assert list(document["clm"]) == clm
    for row in document["samples"]:
        assert {"id", "kinds", "source", "verdict", "measures", "after"} <= set(row)
        assert row["after"] is None or {"verdict", "measures"} <= set(row["after"])
    erasure = {"method", "checkpoint", "samples", "steps", "seconds", "peak_memory_bytes"}
    assert erasure | {"history"} <= set(document["erasure"])
    utility = {"problems", "samples_per_problem", "before", "after", "delta", "margin", "verdict"}
    assert utility <= set(document["utility"])
    assert {"mean", "lower_95"} <= set(document["utility"]["delta"]["pass@1"])
    assert {"pass@1"} <= set(document["utility"]["before"]) & set(document["utility"]["after"])


def test_an_empty_report_says_incomplete_and_null() -> None:
    """Until something else is known, nothing is proved."""
    document = LeakageReport(clm={"name": "m"}).as_dict()
    assert document["verdict"] == "incomplete"
    assert document["erasure"] is None
    assert document["utility"] is None
    assert document["attacks"] == document["samples"] == []


def test_rows_of_samples(document: dict[str, Any]) -> None:
    """In the manifest's order, the worst secret's values; what was not measured is inconclusive."""
    rows = document["samples"]
    assert [row["id"] for row in rows] == [*(sample.id for sample in tiny.PLANTED), "elsewhere"]
    assert rows[0]["verdict"] == "leak"
    assert rows[0]["measures"]["extracted"] is True
    assert rows[0]["measures"]["ma"] == 1.0
    assert rows[0]["kinds"] == ["aws-access-key"]
    assert rows[0]["source"] is None
    assert [row["after"] is not None for row in rows] == [True] * 2 + [False] * 7
    assert rows[-1]["verdict"] == "inconclusive"
    assert rows[-1]["measures"] == {}
    assert rows[-1]["source"] == {"path": "a/b.py", "line": 7}


def test_without_thresholds_nothing_is_judged() -> None:
    """Measures alone make no pass."""
    measured = {m.id: m for m in probe(tiny.reciting("qwen2"), tiny.PLANTED[:1])}
    (row,) = sample_rows(tiny.PLANTED[:1], measured, {}, None, None)
    assert row["verdict"] == "inconclusive"


def test_no_form_holds_a_secret(document: dict[str, Any], tmp_path: Path) -> None:
    """Neither whole nor in runs of eight characters."""
    text = json.dumps(document, ensure_ascii=False) + markdown(document)
    for _, secret in tiny.SECRETS:
        parts = {secret[i : i + 8] for i in range(len(secret) - 7)} - {"internal", ".interna"}
        assert not [part for part in parts if part in text]


# Files


def test_json_reads_back_as_it_was(document: dict[str, Any], tmp_path: Path) -> None:
    """Also where ids and paths are no ASCII; nothing else is left in the folder."""
    path = tmp_path / "r.json"
    odd = _copy(document, clm={**document["clm"], "name": "modèle → 模型"})
    write_report(path, odd)
    assert read_report(path) == odd
    assert "模型" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_a_report_is_replaced_whole_or_kept(document: dict[str, Any], tmp_path: Path) -> None:
    """A document that cannot be written leaves the older file, and nothing beside it."""
    path = tmp_path / "r.json"
    write_report(path, document)
    older = path.read_bytes()
    with pytest.raises((BadInput, TypeError)):
        write_report(path, {**document, "environment": {"python": object()}})
    assert path.read_bytes() == older
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]
    write_report(path, {**document, "verdict": "clean"})
    assert read_report(path)["verdict"] == "clean"


def _refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_written_as_json_has_them(
    document: dict[str, Any], tmp_path: Path, value: float
) -> None:
    """A loss or measure that is no number is a finding to report, in a file others can read."""
    rows = [dict(row) for row in document["samples"]]
    rows[0] = {**rows[0], "verdict": "inconclusive", "measures": {"ma": value}}
    write_report(tmp_path / "r.json", {**document, "samples": rows})
    text = (tmp_path / "r.json").read_text()
    read = json.loads(text, parse_constant=_refuse_constant)
    assert read["samples"][0]["verdict"] == "inconclusive"
    assert read["samples"][1:] == document["samples"][1:]


@pytest.mark.parametrize("name", ["r", "r.txt", "r.JSON", "r.json.gz", ".md", "r."])
def test_an_unknown_suffix_is_refused(document: dict[str, Any], tmp_path: Path, name: str) -> None:
    """In one line that names the file and the suffixes there are; nothing is written."""
    with pytest.raises(BadInput) as caught:
        write_report(tmp_path / name, document)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (str(tmp_path / name), ".json", ".md"):
        assert part in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".json", ".md"])
def test_a_place_that_is_none_is_refused(
    document: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    """A folder, and a folder that does not exist."""
    (tmp_path / f"folder{suffix}").mkdir()
    for path, reason in [
        (tmp_path / f"folder{suffix}", "is a folder"),
        (tmp_path / "none" / f"r{suffix}", "does not exist"),
    ]:
        with pytest.raises(BadInput, match=reason):
            check_report_path(path)
        with pytest.raises(BadInput, match=reason):
            write_report(path, document)
    assert [path.name for path in tmp_path.iterdir()] == [f"folder{suffix}"]


# Reading


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[]", "expected schema"),
        (b"null", "expected schema"),
        (b'{"schema": "erasetest.leakage-report/2"}', "expected schema"),
        (b'{"schema": ["erasetest.leakage-report/1"]}', "expected schema"),
        (b'{"verdict": "clean"}', "expected schema"),
        pytest.param(b"[" * 100_000, "is not JSON", id="nested"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """In one line that names the file."""
    path = tmp_path / "r.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        read_report(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_report_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a folder, or not ours to read."""
    locked = tmp_path / "locked.json"
    locked.write_text("{}")
    locked.chmod(0)
    paths = [tmp_path / "none.json", tmp_path, *([] if os.access(locked, os.R_OK) else [locked])]
    for path in paths:
        with pytest.raises(ManifestError, match="cannot be read") as caught:
            read_report(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("left_out", ["verdict", "samples", "clm", "problems", "environment"])
def test_a_report_that_lacks_a_part_is_refused(
    document: dict[str, Any], tmp_path: Path, left_out: str
) -> None:
    """Where it is read or where it is written in another form, but with a reason."""
    rows = {key: value for key, value in document.items() if key != left_out}
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with pytest.raises(BadInput, match=left_out):
        write_report(tmp_path / "r.md", read_report(tmp_path / "r.json"))


# Markdown


def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def _tables(text: str) -> list[list[list[str]]]:
    """Each table's rows of cells, as a Markdown renderer reads them, without formatting."""
    tables: list[list[list[str]]] = []
    tokens = _parsed(text)
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            inline = tokens[place + 1]
            tables[-1][-1].append("".join(child.content for child in inline.children or ()))
    return tables


def _samples_table(text: str) -> list[list[str]]:
    return next(table for table in _tables(text) if table[0][:2] == ["id", "kinds"])


def _html(text: str) -> list[str]:
    inline = [child for token in _parsed(text) for child in token.children or ()]
    return [t.content for t in [*_parsed(text), *inline] if t.type.startswith("html")]


def test_markdown_says_what_the_document_says(document: dict[str, Any]) -> None:
    """Headings, verdict, and the numbers of each part."""
    text = markdown(document)
    assert text.startswith("# Leakage report\n\n**Leaks.**")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Problems",
        "Secrets by kind",
        "Samples, worst first",
        "Erasure",
        "Utility",
        "Thresholds",
        "Environment",
    ]
    assert "1 samples are inconclusive: elsewhere" in text
    first = _samples_table(text)[1]
    assert first[2] == "leak"
    assert len(_samples_table(text)) == 1 + len(document["samples"])
    (row,) = [row for row in _samples_table(text) if row[0] == "planted-0"]
    assert row[:4] == ["planted-0", "aws-access-key", "leak", "1.000"]
    assert row[7] == "yes"
    after = document["samples"][0]["after"]
    assert row[8:] == [after["verdict"], f"{after['measures']['ma']:.3f}"]
    assert "pass@1 changed by -0.0500" in text
    assert any(cell == "out/clm" for table in _tables(text) for row in table for cell in row)


@pytest.mark.parametrize("verdict", ["clean", "leaks", "erased", "incomplete"])
def test_every_verdict_has_its_sentence(document: dict[str, Any], verdict: str) -> None:
    """Bold, as the first thing said; parts that are null are left out."""
    text = markdown(_copy(document, verdict=verdict, erasure=None, utility=None, problems=[]))
    assert text.splitlines()[2].startswith(f"**{verdict.capitalize()}.** ")
    assert "## Erasure" not in text
    assert "## Utility" not in text
    assert "## Problems" not in text


ODD = [
    "a|b",
    "|",
    "a\\b",
    "`tick`",
    "``",
    "<b>bold</b>",
    "<script>alert(1)</script>",
    "a & b",
    "--- | ---",
    "né→ü",
    "# no heading",
    "a_b_c",
]


def _renamed(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The document with this name wherever users give names."""
    odd = _copy(document)
    odd["clm"]["name"] = odd["erasure"]["checkpoint"] = odd["thresholds"]["source"] = name
    odd["problems"] = [f"sample {name} got no verdict"]
    odd["samples"][0].update(id=name, kinds=[name, name])
    odd["samples"][0]["source"] = {"path": name, "line": 1}
    odd["thresholds"]["kinds"] = {name: {"ma": 0.5}}
    return odd


def _shape(text: str) -> list[list[int]]:
    return [[len(row) for row in table] for table in _tables(text)]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_stay_in_their_cells(document: dict[str, Any], name: str) -> None:
    """Tables keep rows and columns, headings stay, and no name becomes markup of HTML."""
    text, plain = markdown(_renamed(document, name)), markdown(_renamed(document, "plain"))
    assert _shape(text) == _shape(plain)
    assert [t.type for t in _parsed(text)] == [t.type for t in _parsed(plain)]
    # A pipe too many would push what follows out of the table. Backticks make code, and go.
    cells = [[cell.replace("`", "") for cell in row] for row in _samples_table(text)]
    shown = name.replace("`", "")
    assert [shown, f"{shown}, {shown}", "leak"] in [row[:3] for row in cells]


@pytest.mark.parametrize(
    "name",
    [
        "two\nlines",
        "# h\n\n# h",
        "x\n| a |",
        "a\r\nb",
        "a\rb\r\r# c",
    ],
)
def test_names_of_several_lines_stay_in_their_cells(document: dict[str, Any], name: str) -> None:
    """A folder may be called so, and a reason may quote it."""
    odd = _renamed(document, name)
    text, plain = markdown(odd), markdown(_renamed(document, "plain"))
    assert _shape(text) == _shape(plain)
    assert [t.type for t in _parsed(text)] == [t.type for t in _parsed(plain)]


@pytest.mark.parametrize("name", ["a\\|b", "\\|", "C:\\"])
def test_backslashes_stay_in_their_cells(document: dict[str, Any], name: str) -> None:
    """As above, and the name is read as it was given."""
    text, plain = markdown(_renamed(document, name)), markdown(_renamed(document, "plain"))
    assert _shape(text) == _shape(plain)
    assert [name, f"{name}, {name}"] in [row[:2] for row in _samples_table(text)]


@pytest.mark.parametrize(
    "name", ["<b>", "<img src=x onerror=y>", "</td>", "<!-- hidden", "a<b>c", "<details>"]
)
def test_no_name_is_html(document: dict[str, Any], name: str) -> None:
    """A report is shown on pages that render HTML."""
    assert _html(f"<i>{name}") != []
    odd = _renamed(document, name)
    assert _html(markdown(odd)) == []


@pytest.mark.parametrize("source", ["<img src=x>", "a\n\n# Clean"])
def test_the_source_of_thresholds_is_no_markup(document: dict[str, Any], source: str) -> None:
    """It is read from a file that anyone may have written."""
    odd = _copy(document, thresholds={**document["thresholds"], "source": source})
    text = markdown(odd)
    assert _html(text) == []
    assert [t.type for t in _parsed(text)] == [t.type for t in _parsed(markdown(document))]


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(
            codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\\"
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_printable_id_keeps_the_table(name: str) -> None:
    """One row a sample, of as many cells as the head has."""
    row = {"id": name, "kinds": [name], "verdict": "leak", "measures": {"ma": 0.5}, "after": None}
    report = LeakageReport(clm={"name": name}, samples=[row, {**row, "id": "other"}])
    table = _samples_table(markdown(report.as_dict()))
    assert [len(cells) for cells in table] == [10, 10, 10]
    assert [cells[2:4] for cells in table[1:]] == [["leak", "0.500"]] * 2


def test_long_reports_are_cut(document: dict[str, Any]) -> None:
    """The worst are shown, and how many more there are; kinds are counted over all."""
    row = document["samples"][-2]
    rows = [{**row, "id": f"s-{n:04d}", "measures": {"ma": n / 1000}} for n in range(SHOWN + 5)]
    text = markdown(_copy(document, samples=rows))
    ids = [cells[0] for cells in _samples_table(text)[1:]]
    assert ids == [f"s-{n:04d}" for n in range(SHOWN + 4, 4, -1)]
    assert "5 more samples are in the JSON report." in text
    assert any(cells[:2] == [row["kinds"][0], str(SHOWN + 5)] for cells in _tables(text)[1])


VERDICTS = st.sampled_from(["leak", "inconclusive", "pass"])
PHASES = st.fixed_dictionaries(
    {
        "verdict": VERDICTS,
        "measures": st.one_of(st.just({}), st.just({"ma": 0.2}), st.just({"ma": 1})),
    }
)


@given(st.lists(st.tuples(PHASES, st.none() | PHASES), max_size=8))
def test_worst_first(phases: list[tuple[dict[str, Any], dict[str, Any] | None]]) -> None:
    """What holds now comes first: the verdict after erasing where there is one, then before."""
    rows = [
        {"id": str(n), "kinds": ["k", "x"] if n % 2 else ["k"], **before, "after": after}
        for n, (before, after) in enumerate(phases)
    ]
    ordered = worst_first(rows)
    assert sorted(ordered, key=lambda row: int(row["id"])) == rows
    now = [(row["after"] or row)["verdict"] for row in ordered]
    assert now == sorted(now, key=["leak", "inconclusive", "pass"].index)
    for verdict in ("leak", "inconclusive", "pass"):
        same = [row for row in ordered if (row["after"] or row)["verdict"] == verdict]
        # Then by the verdict before, then by MA.
        keys = [
            (
                ["leak", "inconclusive", "pass"].index(row["verdict"]),
                -(row["after"] or row)["measures"].get("ma", 0),
            )
            for row in same
        ]
        assert keys == sorted(keys)
    counted = by_kind(rows)
    assert set(counted) == ({"k", "x"} if len(rows) > 1 else {"k"} if rows else set())
    for kind, count in counted.items():
        mine = [row for row in rows if kind in row["kinds"]]
        assert count["samples"] == len(mine)
        assert count["leak"] == sum(row["verdict"] == "leak" for row in mine)
        assert count["after"] == sum(row["after"] is not None for row in mine)
        assert count["leak after"] == sum(
            (row["after"] or {}).get("verdict") == "leak" for row in mine
        )


def test_the_environment_names_what_figures_depend_on() -> None:
    """Versions, as plain text."""
    found = environment()
    assert {"python", "platform", "torch", "transformers", "erasetest"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())
