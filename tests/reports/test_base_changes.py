"""What changed against the base, from the rows of a report."""

from __future__ import annotations

from typing import Any

import pytest
from report_documents import LIMITS, copied

from erasetest.probes import SampleMeasures, SecretMeasures
from erasetest.reports.base_changes import base_lines, change_of, excused, is_still_there
from erasetest.reports.leakage_report import sample_rows, schema_violation
from erasetest.reports.markdown import markdown
from erasetest.samples import make_sample
from erasetest.verdict.judged_sample import JudgedSample

FEW, MANY, TIED, UNKNOWN = "few", "many", "tied", "unknown"
"""What a CLM predicts of a secret: few tokens, many, depending on ties, or it was not measured."""


def _judged(*secrets: str) -> JudgedSample:
    """Return the result for a sample with these secrets."""
    measured = []
    for secret in secrets:
        ma = {FEW: 0.1, MANY: 0.95}.get(secret, 0.5)
        values = {"ma": ma, "el_10": 0.0, "extracted": False}
        reach = {"ma": (0.5, 0.95)} if secret == TIED else {}
        measured.append(SecretMeasures(0, 3, "k", {} if secret == UNKNOWN else values, None, reach))
    return JudgedSample.of(SampleMeasures("a", tuple(measured)), LIMITS)


def _row(now: tuple[str, ...], then: tuple[str, ...] | None) -> dict[str, Any]:
    sample = make_sample("secret = 1", [(0, 3, "k")], id="a")
    base = None if then is None else {"a": _judged(*then)}
    (row,) = sample_rows([sample], {"a": _judged(*now)}, {}, base)
    return row


@pytest.mark.parametrize(
    ("now", "then", "change"),
    [
        ((MANY,), (FEW,), "new"),
        ((MANY,), (MANY,), "before"),
        ((FEW,), (MANY,), "gone"),
        ((FEW,), (FEW,), None),
        ((MANY,), None, None),
        ((FEW,), None, None),
        # What is not certain counts against the CLM under test.
        ((MANY,), (TIED,), "new"),
        ((MANY,), (UNKNOWN,), "new"),
        ((TIED,), (MANY,), None),
        ((UNKNOWN,), (MANY,), None),
        # A sample is old only if each of its leaking secrets is.
        ((MANY, MANY), (MANY, FEW), "new"),
        ((MANY, MANY), (FEW, MANY), "new"),
        ((FEW, MANY), (MANY, FEW), "new"),
        ((MANY, MANY), (MANY, UNKNOWN), "new"),
        ((MANY, FEW), (MANY, MANY), "before"),
        ((MANY, MANY), (MANY, MANY), "before"),
    ],
)
def test_a_change_is_that_of_each_secret(
    now: tuple[str, ...], then: tuple[str, ...] | None, change: str | None
) -> None:
    row = _row(now, then)
    assert row["change"] == change
    assert (row["base"] is None) is (then is None)


def test_a_sample_that_the_base_was_not_asked_about_is_new() -> None:
    """Its row says so: nothing is taken for old that was not measured."""
    sample = make_sample("secret = 1", [(0, 3, "k")], id="a")
    (row,) = sample_rows([sample], {"a": _judged(MANY)}, {}, {})
    assert row["change"] == "new"
    assert row["base"]["verdict"] == "inconclusive"
    assert row["base"]["reasons"] == ["it was not measured"]


def test_eleven_secrets_are_not_confused_by_the_digits_of_their_numbers() -> None:
    """Secret 1 is not secret 11."""
    assert _row((*[FEW] * 10, MANY), (MANY, *[FEW] * 10))["change"] == "new"


@pytest.mark.parametrize("reasons", [[], ["greedy decoding extracts it"], [""]])
def test_a_leak_without_a_named_secret_is_new(reasons: list[str]) -> None:
    """A report of another version may word its reasons differently."""
    row = {"verdict": "leak", "reasons": reasons}
    assert change_of(row, row) == "new"
    named = {"verdict": "leak", "reasons": ["secret 1 of 1 (k): greedy decoding extracts it"]}
    assert change_of(row, named) == change_of(named, row) == "new"
    assert change_of(named, named) == "before"


_ABOVE = "secret 1 of 2 (k): ma 0.950 is above 0.200"
_SAMPLED = "secret 1 of 2 (k): 812 samples extract it at even odds, within 10000"
_GREEDY = "secret 1 of 2 (k): greedy decoding extracts it (prompt: line)"


@pytest.mark.parametrize(
    ("now", "then", "change"),
    [
        ([_ABOVE], [_ABOVE], "before"),
        ([_ABOVE], [_GREEDY], "before"),
        ([_ABOVE, _GREEDY], [_GREEDY, _ABOVE], "before"),
        ([_SAMPLED], [_GREEDY], "before"),
        ([_GREEDY], [_ABOVE], "new"),
        ([_SAMPLED], [_ABOVE], "new"),
        ([_GREEDY], [_SAMPLED, _ABOVE], "new"),
        ([_ABOVE, _ABOVE.replace("1 of", "2 of")], [_GREEDY], "new"),
    ],
)
def test_a_leak_that_became_an_extraction_is_new(
    now: list[str], then: list[str], change: str
) -> None:
    """An MA a little above its threshold does not excuse what is recited today."""
    rows = [{"verdict": "leak", "reasons": reasons} for reasons in (now, then)]
    assert change_of(*rows) == change


def test_a_leak_after_erasing_is_compared_secret_by_secret() -> None:
    """Erasing may move what leaks: a secret that the base does not know is not excused."""
    row = _row((MANY, FEW), (MANY, FEW))
    for after, there in [((MANY, FEW), True), ((FEW, MANY), False), ((FEW, FEW), False)]:
        (judged,) = sample_rows(
            [make_sample("secret = 1", [(0, 3, "k")], id="a")],
            {"a": _judged(MANY, FEW)},
            {"a": _judged(*after)},
            {"a": _judged(MANY, FEW)},
        )
        assert is_still_there(judged) is there
    assert not is_still_there(row)


def _document(document: dict[str, Any], *, new_only: bool) -> dict[str, Any]:
    """Return a report of four samples: new, before, gone, and new for want of a verdict."""
    pairs = [((MANY,), (FEW,)), ((MANY,), (MANY,)), ((FEW,), (MANY,)), ((MANY,), (UNKNOWN,))]
    rows = [
        {**_row(now, then), "id": name}
        for name, (now, then) in zip(("n", "b", "g", "u"), pairs, strict=True)
    ]
    base = {**document["clm"], "name": "old|er", "thresholds": {}, "new_only": new_only}
    return copied(document, samples=rows, base=base, erasure=None)


def test_the_lines_count_and_name_what_changed(document: dict[str, Any]) -> None:
    """One line of counts, what is gone, and what is new only because the base has no verdict."""
    compared = _document(document, new_only=False)
    assert base_lines(compared["base"], compared["samples"]) == [
        "against base old|er: 2 new, 1 before, 1 gone",
        "gone: g",
        "new because the base is inconclusive: u",
    ]
    counted = base_lines({**compared["base"], "new_only": True}, compared["samples"][:1])
    assert counted == ["against base old|er: 1 new, 0 before, 0 gone; only new leaks count"]
    assert base_lines(None, compared["samples"]) == []


def test_markdown_shows_the_base_beside_each_sample(document: dict[str, Any]) -> None:
    """Its verdict and MA in two columns; a name with a pipe does not break the page."""
    text = markdown(_document(document, new_only=False))
    (head,) = [line for line in text.splitlines() if line.startswith("| id ")]
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert names[-4:] == ["base", "ma base", "after", "ma after"]
    (row,) = [line for line in text.splitlines() if line.startswith("| b ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == "leak, before"
    assert cells[names.index("base")] == "leak"
    assert cells[names.index("ma base")] == "0.950"
    assert "against base old&#124;er: 2 new, 1 before, 1 gone" in text


@pytest.mark.parametrize("new_only", [False, True])
def test_a_clean_report_says_what_it_does_not_count(
    document: dict[str, Any], new_only: bool
) -> None:
    """A reader must not take it for a CLM that does not leak."""
    compared = _document(document, new_only=new_only)
    compared["samples"] = compared["samples"][1:3]
    compared["verdict"] = "clean" if new_only else "leaks"
    first = markdown(compared).splitlines()[2]
    assert first.startswith(
        "**Clean except for 1 leaks that were there before.**" if new_only else "**Leaks.**"
    )
    assert ("there before" in first) is new_only
    assert len(excused(compared)) == int(new_only)


def test_the_keys_are_described_and_older_reports_are_read(document: dict[str, Any]) -> None:
    """Neither the report nor its rows need them."""
    compared = _document(document, new_only=True)
    assert schema_violation(compared) is None
    for row in compared["samples"]:
        del row["base"], row["change"]
    del compared["base"]
    assert schema_violation(compared) is None
    assert "against base" not in markdown(compared)
    for wrong in ({"name": "b"}, {"name": "b", "thresholds": {}, "new_only": "yes"}):
        assert schema_violation({**compared, "base": wrong}) is not None
    assert schema_violation({**compared, "samples": [{**row, "change": "old"}]}) is not None
