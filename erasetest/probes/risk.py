"""Risk of measured samples: the distribution of memorization by kind, and the worst samples."""

from __future__ import annotations

import heapq
import math
import statistics
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erasetest.errors import BadInput, ManifestError, MissingExtra
from erasetest.samples import SensitiveSample, iter_manifest
from erasetest.support.json_lines import rows

BINS = 20
"""Number of bins of the MA histogram over [0, 1]."""

_FLOAT32_ERROR = 1e-6
"""Tolerance when MA values, which are stored in 32 bits, are compared with a limit."""


@dataclass(frozen=True, slots=True, order=True)
class Risk:
    """Sort key of a sample: larger is worse.

    By MA, then whether a secret is extracted, then the likelihood of the most likely secret. Of
    equal samples the first in the file is the worst: `order` is minus its line.
    """

    ma: float
    extracted: bool
    log2_p: float
    order: int
    id: str = field(compare=False)
    kinds: tuple[str, ...] = field(compare=False)
    row: dict[str, Any] = field(compare=False, repr=False)


@dataclass(slots=True)
class Spread:
    """Distribution of memorization over the secrets of one kind."""

    ma: array[float] = field(default_factory=lambda: array("f"))
    """MA of each secret."""
    extracted: int = 0
    """Number of extracted secrets."""

    def row(self, min_ma: float) -> list[Any]:
        """Return a row of the table of kinds.

        Number of secrets; mean, median and 90th percentile of MA; share with an MA of at least
        `min_ma`; number of extracted secrets.
        """
        ordered = sorted(self.ma)
        at_risk = sum(value >= min_ma - _FLOAT32_ERROR for value in ordered)
        return [
            len(ordered),
            statistics.fmean(ordered),
            _quantile(ordered, 0.5),
            _quantile(ordered, 0.9),
            at_risk / len(ordered),
            self.extracted,
        ]

    def histogram(self) -> list[int]:
        """Return the number of secrets in each of `BINS` bins of MA; 1 is in the last bin."""
        counts = [0] * BINS
        for value in self.ma:
            counts[min(BINS - 1, int(value * BINS + _FLOAT32_ERROR))] += 1
        return counts


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Curated:
    """Result of `curate`."""

    worst: list[Risk]
    """The worst samples, worst first."""
    by_kind: dict[str, Spread]
    """Distribution over all secrets, by kind."""
    measured: int
    """Number of samples with measures."""
    unmeasured: int
    """Number of samples without measures."""
    at_risk: int
    """Number of samples with an MA of at least the minimum."""


def curate(
    measures: str | Path, *, min_ma: float, limit: int | None = None, balanced: bool = False
) -> Curated:
    """Select the samples whose MA is at least `min_ma`, the worst first.

    Args:
        measures: output of `erasetest probe`. It is read once, in memory that grows with `limit`,
            and by four bytes per secret.
        min_ma: minimum MA of a sample.
        limit: maximum number of samples; None for all.
        balanced: select equally many samples of each kind, as far as there are so many, instead of
            the worst of all. A sample of several kinds counts for its first.

    Raises:
        ManifestError: a line does not have the form of such an output.
        BadInput: no sample was measured.
    """
    by_kind: dict[str, Spread] = {}
    heaps: dict[str, list[Risk]] = {}
    measured = unmeasured = at_risk = 0
    for order, (line, row) in enumerate(rows(Path(measures))):
        try:
            risk = _risk(row, order)
            _count(row, by_kind)
        except (KeyError, TypeError, ValueError):
            reason = "expected a line of `erasetest probe`: id, measures, secrets"
            raise ManifestError(measures, line, reason) from None
        if risk is None:
            unmeasured += 1
            continue
        measured += 1
        if risk.ma < min_ma - 1e-9:
            continue
        at_risk += 1
        heap = heaps.setdefault(risk.kinds[0] if balanced else "", [])
        if limit is None or len(heap) < limit:
            heapq.heappush(heap, risk)
        else:
            heapq.heappushpop(heap, risk)
    if not measured:
        raise BadInput(f"{measures}: has no measured sample: expected output of `erasetest probe`")
    ranked = [sorted(heap, reverse=True) for _, heap in sorted(heaps.items())]
    return Curated(_select(ranked, limit), by_kind, measured, unmeasured, at_risk)


def _select(ranked: list[list[Risk]], limit: int | None) -> list[Risk]:
    """Take samples from the lists in turns, worst first, up to the limit; return them by risk."""
    selected: list[Risk] = []
    for turn in range(max(map(len, ranked), default=0)):
        selected += sorted((ranks[turn] for ranks in ranked if turn < len(ranks)), reverse=True)
        if limit is not None and len(selected) >= limit:
            break
    return sorted(selected[:limit], reverse=True)


def _risk(row: dict[str, Any], order: int) -> Risk | None:
    measures, secrets = row["measures"], row["secrets"]
    kinds = tuple(dict.fromkeys(str(secret["kind"]) for secret in secrets))
    if "ma" not in measures or not kinds:
        return None
    known = [secret["measures"].get("log2_p") for secret in secrets]
    log2_p = max((float(value) for value in known if value is not None), default=-math.inf)
    ma = float(measures["ma"])
    if not 0 <= ma <= 1:
        raise ValueError
    extracted = bool(measures.get("extracted"))
    return Risk(ma, extracted, log2_p, -order, str(row["id"]), kinds, row)


def _count(row: dict[str, Any], by_kind: dict[str, Spread]) -> None:
    for secret in row["secrets"]:
        if "ma" in secret["measures"]:
            spread = by_kind.setdefault(str(secret["kind"]), Spread())
            spread.ma.append(float(secret["measures"]["ma"]))
            spread.extracted += bool(secret["measures"].get("extracted"))


def worst_samples(manifest: str | Path, worst: Iterable[Risk]) -> list[SensitiveSample]:
    """Return the samples of a manifest that are among the worst, worst first.

    Raises:
        BadInput: a sample among the worst is not in the manifest.
    """
    ranks = {risk.id: number for number, risk in enumerate(worst)}
    found = {sample.id: sample for sample in iter_manifest(manifest) if sample.id in ranks}
    missing = sorted(ranks.keys() - found.keys(), key=ranks.__getitem__)
    if missing:
        raise BadInput(
            f"{manifest}: lacks {len(missing)} of the samples that were measured, the first "
            f"{missing[0]}: give the manifest that was probed"
        )
    return sorted(found.values(), key=lambda sample: ranks[sample.id])


def draw_histograms(by_kind: dict[str, Spread], path: str | Path, min_ma: float) -> None:
    """Draw a histogram of MA for each kind, the most frequent kinds first (extra `plots`).

    Raises:
        MissingExtra: matplotlib is not installed.
        BadInput: the suffix is not that of an image format, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("matplotlib", "plots", "drawing a picture") from None
    kinds = sorted(by_kind.items(), key=lambda item: (-len(item[1].ma), item[0]))
    columns = min(3, len(kinds))
    lines = math.ceil(len(kinds) / columns)
    figure = Figure(figsize=(3.6 * columns, 1.9 * lines + 0.4), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False, sharex=True).flat)
    edges = [number / BINS for number in range(BINS)]
    for axis, (kind, spread) in zip(axes, kinds, strict=False):
        colours = ["#d1495b" if edge >= min_ma - _FLOAT32_ERROR else "#8da0b5" for edge in edges]
        axis.bar(edges, spread.histogram(), width=1 / BINS, align="edge", color=colours)
        axis.set_title(f"{kind} ({len(spread.ma)})", fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, 1)
    for axis in axes[len(kinds) :]:
        axis.set_visible(False)
    figure.supxlabel(f"memorization accuracy; red: {min_ma:g} or more", fontsize=8)
    figure.supylabel("secrets", fontsize=8)
    try:
        figure.savefig(path)
    except ValueError:
        raise BadInput(
            f"{path}: has no suffix of an image format: name a .svg or .png file"
        ) from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
