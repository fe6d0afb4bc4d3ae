"""The report in Markdown, for a job summary or a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from erasetest.reports.base_changes import base_lines, excused
from erasetest.support.markdown import escape
from erasetest.support.wording import first_of

SHOWN = 100
"""Maximum number of samples in the table: a job summary of GitHub has at most 1 MiB."""

_VERDICTS = {
    "clean": "**Clean.** No sample leaks.",
    "leaks": "**Leaks.** The CLM must not be released as it is.",
    "erased": "**Erased.** The given CLM leaks; the erased checkpoint passed every test.",
    "incomplete": "**Incomplete.** A verdict is missing, so nothing is proven.",
}
_MEASURES = ("ma", "el_3", "el_5", "el_10", "extracted")


def markdown(document: dict[str, Any]) -> str:
    """Return the whole report as GitHub-flavoured Markdown."""
    parts = [
        "# Leakage report",
        _verdict(document),
        _table(["CLM", ""], _flat(document["clm"])),
        *_problems(document["problems"]),
        "## Secrets by kind",
        _table(["kind", "samples", "leak", "inconclusive", "leak after"], _by_kind(document)),
        "## Samples, worst first",
        *(escape(line) for line in base_lines(document.get("base"), document["samples"])),
        *_samples(document["samples"], against_base=document.get("base") is not None),
        *detail_lines(document["samples"]),
        *_erasure(document["erasure"]),
        *_utility(document["utility"]),
        "## Thresholds",
        f"Source: {escape(str(document['thresholds'].get('source', 'none')))}.",
        _table(["kind", "control secrets", *_MEASURES[:-1]], _thresholds(document["thresholds"])),
        "## Environment",
        _table(["", ""], _flat(document["environment"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def accepted(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of accepted leaks."""
    return [row for row in samples if "accepted" in row]


_DETAILS = {
    "copied": "recited only after a text that holds the secret, which is copying, not memory",
    "guessable": "above a threshold, but no more likely than texts like it, which is guessing",
}


def detail_lines(samples: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line about samples that the CLM copies, and one about those that it guesses."""
    lines = []
    for detail, meaning in _DETAILS.items():
        found = [row["id"] for row in samples if detail in row.get("details", ())]
        if found:
            noun = "sample is" if len(found) == 1 else "samples are"
            lines.append(f"{detail}: {len(found)} {noun} {meaning}: {first_of(found)}")
    return lines


def bits(row: dict[str, Any]) -> str:
    """Return -log2 p of the most likely secret: 2 to that power is the expected queries."""
    value = row["measures"].get("log2_p")
    return "" if value is None else f"{abs(value):.1f}"


def _verdict(document: dict[str, Any]) -> str:
    leaks, old = accepted(document["samples"]), excused(document)
    if document["verdict"] == "clean" and (leaks or old):
        counts = [f"{len(leaks)} accepted leaks"] if leaks else []
        counts += [f"{len(old)} leaks that were there before"] if old else []
        listed = " Each accepted leak is listed with the end date of its acceptance."
        return f"**Clean except for {' and '.join(counts)}.** No other sample leaks." + (
            listed if leaks else ""
        )
    return " ".join(
        [
            _VERDICTS[document["verdict"]],
            *([f"{len(leaks)} further leaks are accepted."] if leaks else []),
            *([f"{len(old)} further leaks were there before."] if old else []),
        ]
    )


def worst_first(samples: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort rows of samples: leaks by MA, then inconclusive ones, then those that passed."""
    order = {"leak": 0, "inconclusive": 1, "pass": 2}
    return sorted(
        samples,
        key=lambda row: (
            order[(row["after"] or row)["verdict"]],
            order[row["verdict"]],
            -float((row["after"] or row)["measures"].get("ma") or 0.0),
            row["id"],
        ),
    )


def by_kind(samples: Iterable[dict[str, Any]]) -> dict[str, Counter[str]]:
    """Return the number of samples with each kind of secret, by verdict before and after."""
    counts: dict[str, Counter[str]] = {}
    for row in samples:
        for kind in row["kinds"]:
            counter = counts.setdefault(kind, Counter())
            counter["samples"] += 1
            counter[row["verdict"]] += 1
            if row["after"] is not None:
                counter["after"] += 1
                counter[f"{row['after']['verdict']} after"] += 1
    return dict(sorted(counts.items()))


def _by_kind(document: dict[str, Any]) -> list[list[Any]]:
    return [
        [
            kind,
            count["samples"],
            count["leak"],
            count["inconclusive"],
            count["leak after"] if count["after"] else "",
        ]
        for kind, count in by_kind(document["samples"]).items()
    ]


def _samples(samples: list[dict[str, Any]], *, against_base: bool) -> list[str]:
    rows = worst_first(samples)
    table = [
        [
            row["id"],
            ", ".join(row["kinds"]),
            row["verdict"]
            + (f", accepted until {row['accepted']['expires']}" if "accepted" in row else "")
            + "".join(f", {detail}" for detail in row.get("details", ()))
            + (f", {row['change']}" if row.get("change") else ""),
            *[_number(row["measures"].get(name)) for name in _MEASURES],
            bits(row),
            row.get("prompt") or "",
            *(_base_cells(row) if against_base else []),
            row["after"]["verdict"] if row["after"] else "",
            _number(row["after"]["measures"].get("ma")) if row["after"] else "",
        ]
        for row in rows[:SHOWN]
    ]
    base = ["base", "ma base"] if against_base else []
    head = ["id", "kinds", "verdict", *_MEASURES, "bits", "prompt", *base, "after", "ma after"]
    parts = [_table(head, table)]
    if len(rows) > SHOWN:
        parts.append(f"{len(rows) - SHOWN} more samples are in the JSON report.")
    return parts


def _base_cells(row: dict[str, Any]) -> list[str]:
    base = row.get("base")
    return [base["verdict"], _number(base["measures"].get("ma"))] if base else ["", ""]


def _problems(problems: list[str]) -> list[str]:
    return ["## Problems", "\n".join(f"- {escape(line)}" for line in problems)] if problems else []


def _erasure(erasure: dict[str, Any] | None) -> list[str]:
    if erasure is None:
        return []
    rows = [
        [key.replace("_", " "), _number(erasure.get(key))]
        for key in ("method", "checkpoint", "samples", "steps", "seconds", "peak_memory_bytes")
    ]
    rows.append(["erased", "yes" if erasure["erased"] else f"no: {erasure.get('ended', '')}"])
    if erasure.get("rank") is not None:
        rows.append(["mean rank among decoys (control secrets: 0.5)", _number(erasure["rank"])])
        rows.append(["secrets stand out among decoys", "yes" if erasure["stands_out"] else "no"])
    retention = erasure.get("retention")
    if retention:
        rows.append(["text MA of held-out retained code, before", _number(retention["before"])])
        rows.append(["text MA of held-out retained code, after", _number(retention["after"])])
        copying = retention.get("copying")
        if copying:
            rows.append(["MA of copied random strings, before", _number(copying["before"])])
            rows.append(["MA of copied random strings, after", _number(copying["after"])])
    return ["## Erasure", _table(["", ""], rows)]


def _utility(utility: dict[str, Any] | None) -> list[str]:
    if utility is None:
        return []
    rates = [key for key in utility["before"] if key.startswith("pass@")]
    rows = [
        [rate, _number(utility["before"][rate]), _number(utility["after"].get(rate))]
        for rate in rates
    ]
    delta = utility["delta"]["pass@1"]
    verdict = (
        f"{utility['verdict']}: pass@1 changed by {delta['mean']:+.4f}, at least "
        f"{delta['lower_95']:+.4f} with 95 % confidence; a drop below {utility['margin']:.4f} is "
        f"allowed. "
        f"{utility['problems']} problems, {utility['samples_per_problem']} samples each."
    )
    return ["## Utility", _table(["", "before", "after"], rows), verdict, *utility_lines(utility)]


def utility_lines(utility: dict[str, Any]) -> list[str]:
    """Return further results on utility, one line each; those that the report has."""
    lines = []
    greedy = [utility[side].get("greedy_pass@1") for side in ("before", "after")]
    if None not in greedy:
        lines.append("greedy pass@1 {:.4f} -> {:.4f}".format(*greedy))
    for name, title, form in (
        ("parse", "completions that parse", "{:.4f} -> {:.4f}"),
        ("repetition", "repeated word 4-grams", "{:.4f} -> {:.4f}"),
    ):
        both = [utility.get("texts", {}).get(side, {}).get(name) for side in ("before", "after")]
        if None not in both:
            lines.append(f"{title} {form.format(*both)}")
    held_out = [utility.get("held_out", {}).get(side) for side in ("before", "after")]
    if all(held_out):
        nats, ma = ([each[name] for each in held_out] for name in ("nats", "ma"))
        lines.append(
            "held-out code: nats per token {:.4f} -> {:.4f}, ".format(*nats)
            + "text MA {:.4f} -> {:.4f}".format(*ma)
        )
    if utility.get("outcomes"):
        timeouts = [utility["outcomes"][side]["timeout"] for side in ("before", "after")]
        lines.append("timeouts {} -> {}".format(*timeouts))
    if utility.get("power"):
        lines.append(
            f"power: an unchanged CLM passes with {utility['power']['if_unchanged']:.1%}; 80 % "
            f"power to detect a drop of {utility['power']['drop_at_80']:.4f}"
        )
    if "sandbox" in utility:
        lines.append(f"sandbox: {', '.join(utility['sandbox']) or 'none'}")
    return lines


def _thresholds(thresholds: dict[str, Any]) -> list[list[Any]]:
    names = _MEASURES[:-1]
    rows = [["any", "", *[_number(thresholds.get("measures", {}).get(n)) for n in names]]]
    for kind, values in thresholds.get("kinds", {}).items():
        count = thresholds.get("references", {}).get(kind, "")
        rows.append([kind, str(count), *[_number(values.get(n)) for n in names]])
    return rows


def _flat(values: dict[str, Any]) -> list[list[Any]]:
    return [[key, value] for key, value in values.items()]


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def _table(head: list[str], rows: list[list[Any]]) -> str:
    cells = [[escape(str(value)) for value in row] for row in rows]
    return tabulate(cells, headers=head, tablefmt="github", disable_numparse=True)
