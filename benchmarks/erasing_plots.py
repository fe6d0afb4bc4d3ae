"""Plots of the reproduction study: forgetting, and its cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
Figure = Callable[[Cell], float]

COLOURS = {"qwen2": "#4269d0", "codegen": "#efb118", "gpt2": "#3ca951"}
OTHER = "#6c5b7b"
CHANCE = "#999999"


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of all methods."""

    label: str
    value: Figure
    control: Figure | None = None
    """The same for control secrets, drawn hollow."""
    line: float | None = None
    """Value of a vertical line to compare with."""
    symlog: bool = False
    """Whether the axis is logarithmic on both sides of 0."""


def plots(cells: Sequence[Cell], folder: Path, stem: str) -> list[Path]:
    """Write two plots of all methods: a dot for each family's mean, a line for its deviation."""
    originals = {c["family"]: c for c in cells if c["method"] == "none"}

    def change(name: str) -> Figure:
        return lambda cell: 100 * (cell[name] - originals[cell["family"]][name])

    known = [c for c in cells if c["family"] in originals and c["method"] != "none"]
    kept = [
        Panel("change of pass@1, points", change("pass@1"), line=0.0, symlog=True),
        Panel("change of retained MA, points", change("retained_ma"), line=0.0, symlog=True),
        Panel("steps", lambda c: c["steps"]),
    ]
    forgotten = [
        Panel(
            "MA of one half after relearning the other\n(hollow: control secrets)",
            lambda c: c["relearned_ma"],
            lambda c: c["control_ma"],
        ),
        Panel(
            "nats per token\n(hollow: control secrets)",
            lambda c: c["nats"],
            lambda c: c["nats_decoys"],
        ),
        Panel("rank among 16 decoys\n(0: more likely than all)", lambda c: c["rank"], line=0.5),
    ]
    return [
        _plot(known, kept, "Retention and cost", folder / f"{stem}-kept.svg"),
        _plot(known, forgotten, "Forgetting", folder / f"{stem}-forgotten.svg"),
    ]


def _plot(
    cells: Sequence[Cell],
    panels: Sequence[Panel],
    title: str,
    path: Path,
) -> Path:
    import matplotlib

    matplotlib.use("svg")
    # Fixed ids: the same data gives the same file.
    matplotlib.rcParams["svg.hashsalt"] = "erasetest"
    from matplotlib import pyplot

    methods = list(dict.fromkeys(c["method"] for c in cells))
    families = list(dict.fromkeys(c["family"] for c in cells))
    size = (4 * len(panels), 1.2 + 0.42 * len(methods))
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, sharey=True, layout="constrained")
    for axis, panel in zip(axes, panels, strict=True):
        for n, family in enumerate(families):
            colour = COLOURS.get(family, OTHER)
            for row, method in enumerate(methods):
                mine = [c for c in cells if (c["method"], c["family"]) == (method, family)]
                if not mine:
                    continue
                y = row + 0.22 * (n - (len(families) - 1) / 2)
                for figure_of, filled in ((panel.control, False), (panel.value, True)):
                    if figure_of is None:
                        continue
                    found = [figure_of(c) for c in mine]
                    spread = statistics.stdev(found) if len(found) > 1 else 0.0
                    axis.errorbar(
                        statistics.fmean(found), y, xerr=spread, fmt="o", color=colour,
                        markersize=5, markerfacecolor=colour if filled else "white",
                        elinewidth=1, label=family if filled and row == 0 else None,
                    )  # fmt: skip
        if panel.symlog:
            axis.set_xscale("symlog", linthresh=1)
        if panel.line is not None:
            axis.axvline(panel.line, color=CHANCE, linewidth=0.8, zorder=0)
        axis.set_xlabel(panel.label)
        axis.set_yticks(range(len(methods)), methods)
        axis.grid(axis="x", alpha=0.25)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].invert_yaxis()
    handles = {}
    for row in range(len(axes[0].containers)):
        label = axes[0].containers[row].get_label()
        if label and not label.startswith("_"):
            handles[label] = axes[0].containers[row]
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.legend(handles.values(), handles.keys(), loc="upper right", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path
