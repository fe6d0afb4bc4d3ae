"""Reports in Markdown: no name breaks a table."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_documents import copied

from erasetest.reports import Report, environment
from erasetest.reports.markdown import SHOWN, by_kind, markdown, worst_first


def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def _tables(text: str) -> list[list[list[str]]]:
    """Return each table's rows of cells, as a Markdown renderer reads them, without formatting."""
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


def test_markdown_has_the_content_of_the_document(document: dict[str, Any]) -> None:
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
    planted = document["samples"][0]
    assert row[8:10] == [f"{-planted['measures']['log2_p']:.1f}", planted["prompt"]]
    assert row[10:] == [after["verdict"], f"{after['measures']['ma']:.3f}"]
    assert "pass@1 changed by -0.0500" in text
    assert any(cell == "out/clm" for table in _tables(text) for row in table for cell in row)


@pytest.mark.parametrize("verdict", ["clean", "leaks", "erased", "incomplete"])
def test_every_verdict_has_its_sentence(document: dict[str, Any], verdict: str) -> None:
    """In bold, at the beginning; parts that are null are left out."""
    text = markdown(copied(document, verdict=verdict, erasure=None, utility=None, problems=[]))
    assert text.splitlines()[2].startswith(f"**{verdict.capitalize()}.** ")
    assert "## Erasure" not in text
    assert "## Utility" not in text
    assert "## Problems" not in text


@pytest.mark.parametrize("rank", [None, 0.31])
def test_ranks_are_shown_if_there_are_any(document: dict[str, Any], rank: float | None) -> None:
    """A method without decoys has none; nor has a file of an earlier version."""
    erasure = {**document["erasure"], "rank": rank, "stands_out": rank is not None}
    rows = {row[0]: row[1] for table in _tables(markdown(copied(document, erasure=erasure)))
            for row in table if len(row) == 2}  # fmt: skip
    assert rows.get("mean rank among decoys (control secrets: 0.5)") == (rank and "0.310")
    assert rows.get("secrets stand out among decoys") == (rank and "yes")
    del erasure["rank"], erasure["stands_out"]
    assert "stand out" not in markdown(copied(document, erasure=erasure))


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
    """Return the document with this name wherever users give names."""
    odd = copied(document)
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
    # An extra pipe would move later cells out of the table. Backticks mark code and are dropped.
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
    """A folder may have such a name, and a reason may quote it."""
    odd = _renamed(document, name)
    text, plain = markdown(odd), markdown(_renamed(document, "plain"))
    assert _shape(text) == _shape(plain)
    assert [t.type for t in _parsed(text)] == [t.type for t in _parsed(plain)]


@pytest.mark.parametrize("name", ["a\\|b", "\\|", "C:\\"])
def test_backslashes_stay_in_their_cells(document: dict[str, Any], name: str) -> None:
    """As above, and the name is unchanged."""
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
    """It is read from a file that may be untrusted."""
    odd = copied(document, thresholds={**document["thresholds"], "source": source})
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
    """One row per sample, with as many cells as the head."""
    row = {"id": name, "kinds": [name], "verdict": "leak", "measures": {"ma": 0.5}, "after": None}
    report = Report(clm={"name": name}, samples=[row, {**row, "id": "other"}])
    table = _samples_table(markdown(report.as_dict()))
    assert [len(cells) for cells in table] == [12, 12, 12]
    assert [cells[2:4] for cells in table[1:]] == [["leak", "0.500"]] * 2


def test_long_reports_are_cut(document: dict[str, Any]) -> None:
    """The worst are shown, with the number of others; kinds are counted over all."""
    row = document["samples"][-2]
    rows = [{**row, "id": f"s-{n:04d}", "measures": {"ma": n / 1000}} for n in range(SHOWN + 5)]
    text = markdown(copied(document, samples=rows))
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
    """Sorted by the verdict after erasing if there is one, then by the verdict before."""
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
