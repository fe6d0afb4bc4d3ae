"""The header of a run, and its summary: by kind, then the worst samples, in a page or two."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from tabulate import tabulate

from erasetest.reports.base_changes import base_lines, excused
from erasetest.reports.markdown import (
    accepted,
    bits,
    by_kind,
    detail_lines,
    utility_lines,
    worst_first,
)
from pytest_erasetest.options import Settings
from pytest_erasetest.run_state import RunState

SHOWN = 20
"""Maximum number of samples in the summary."""


def header(settings: Settings) -> str:
    """Return a line that describes what is tested."""
    s = settings
    base = f" against {s.clm_base}" if s.clm_base else ""
    parts = [f"clm {s.clm}{base}", "samples " + (", ".join(s.leak_samples) or "of the demo")]
    if s.erase:
        parts.append(f"erase by {s.erase}" + (f" into {s.erase_out}" if s.erase_out else ""))
    if s.utility:
        parts.append(f"utility {s.utility}, {s.sampling.samples} samples per problem")
    return "erasetest: " + "; ".join(parts)


def summarize(terminal: Any, state: RunState) -> None:
    """Write the summary to pytest's terminal."""
    report: dict[str, Any] = dict(state.report or {})
    terminal.section("erasetest", sep="=")
    terminal.write_line(f"CLM {report['clm'].get('name')}: {_verdict(report)}", bold=True)
    terminal.write_line(f"thresholds: {report['thresholds'].get('source', 'none')}")
    erased = any(row["after"] for row in report["samples"])
    terminal.write_line("")
    terminal.write_line(_kinds(report, erased))
    _worst(terminal, report, erased)
    for line in base_lines(report["base"], report["samples"]):
        terminal.write_line(line)
    for line in detail_lines(report["samples"]):
        terminal.write_line(line)
    _erasure(terminal, report)
    _utility(terminal, report)
    for problem in report["problems"]:
        terminal.write_line(f"problem: {problem}", red=True)
    if state.crashed and state.crashed not in report["problems"]:
        terminal.write_line(f"problem: {state.crashed}", red=True)
    for note in state.gate.inputs.notes + state.notes:
        terminal.write_line(note)
    for path in state.settings.leak_report:
        terminal.write_line(f"report: {path}")


def _verdict(report: dict[str, Any]) -> str:
    """Return the verdict, with the number of leaks that do not count, and why they do not."""
    parts = [str(report["verdict"])]
    leaks, old = accepted(report["samples"]), excused(report)
    if leaks:
        first = min(row["accepted"]["expires"] for row in leaks)
        parts.append(f"{len(leaks)} accepted {_leaks(leaks)} until {first}")
    if old:
        parts.append(f"{len(old)} {_leaks(old)} of the base not counted")
    return ", ".join(parts)


def _leaks(rows: Sized) -> str:
    return "leak" if len(rows) == 1 else "leaks"


def _kinds(report: dict[str, Any], erased: bool) -> str:
    rows = [
        [kind, n["samples"], n["leak"], n["inconclusive"], *([n["leak after"]] if erased else [])]
        for kind, n in by_kind(report["samples"]).items()
    ]
    head = ["kind", "samples", "leak", "inconclusive", *(["leak after"] if erased else [])]
    return tabulate(rows, headers=head)


def _worst(terminal: Any, report: dict[str, Any], erased: bool) -> None:
    rows = [row for row in worst_first(report["samples"]) if row["verdict"] != "pass"]
    if not rows:
        return
    table = [
        [
            row["id"],
            ", ".join(row["kinds"]),
            ("accepted" if "accepted" in row else row["verdict"])
            + (f", {row['change']}" if row["change"] else ""),
            _value(row, "ma"),
            _value(row, "el_10"),
            "yes" if row["measures"].get("extracted") else "no",
            bits(row),
            row.get("prompt") or "",
            *([row["base"]["verdict"], _value(row["base"], "ma")] if row["base"] else []),
            *([row["after"]["verdict"], _value(row["after"], "ma")] if row["after"] else []),
        ]
        for row in rows[:SHOWN]
    ]
    base = ["base", "ma base"] if report["base"] else []
    head = ["id", "kinds", "verdict", "ma", "el_10", "extracted", "bits", "prompt", *base]
    terminal.write_line("")
    terminal.write_line(tabulate(table, headers=head + (["after", "ma after"] if erased else [])))
    if len(rows) > SHOWN:
        terminal.write_line(f"… and {len(rows) - SHOWN} more: see --leak-report")
    terminal.write_line("")


def _erasure(terminal: Any, report: dict[str, Any]) -> None:
    erasure = report["erasure"]
    if erasure is None:
        return
    kept = erasure["retention"]
    worst = max(
        (float(_ma(row["after"])) for row in report["samples"] if row["after"]), default=0.0
    )
    terminal.write_line(
        f"erased by {erasure['method']}: {erasure['samples']} samples, {erasure['steps']} steps, "
        f"{erasure['seconds']:.1f} s; worst MA after {worst:.2f}; "
        f"retained code MA {kept['before']:.3f} -> {kept['after']:.3f}"
    )
    if erasure["stands_out"]:
        terminal.write_line(
            f"erased secrets stand out among decoys: mean rank {erasure['rank']:.2f}, where "
            "control secrets have 0.5"
        )
    if erasure["checkpoint"]:
        terminal.write_line(f"checkpoint: {erasure['checkpoint']}")


def _utility(terminal: Any, report: dict[str, Any]) -> None:
    utility = report["utility"]
    if utility is None:
        return
    rates = [rate for rate in utility["before"] if rate.startswith("pass@")]
    shown = ", ".join(f"{r} {utility['before'][r]:.4f} -> {utility['after'][r]:.4f}" for r in rates)
    delta = utility["delta"]["pass@1"]
    terminal.write_line(
        f"utility {utility['verdict']}: {shown}; change of pass@1 {delta['mean']:+.4f}, at least "
        f"{delta['lower_95']:+.4f} with 95 % confidence, -{utility['margin']:.4f} allowed"
    )
    for line in utility_lines(utility):
        terminal.write_line(f"  {line}")


def _ma(row: dict[str, Any]) -> float:
    return float(row["measures"].get("ma", 0.0))


def _value(row: dict[str, Any], name: str) -> str:
    value = row["measures"].get(name)
    return "" if value is None else f"{value:.3f}"
