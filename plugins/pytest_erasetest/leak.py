"""What a CLM remembers of a sample, as suites and users' own tests see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from erasetest.probes.measures import SampleMeasures
    from erasetest.reports.base_changes import Change
    from erasetest.verdict.judged_sample import JudgedSample
    from pytest_erasetest.accepted_leaks import Accepted


@dataclass(frozen=True, slots=True)
class Leak:
    """What a CLM remembers of a sample. Holds no content."""

    id: str
    """The id of the sample."""
    kinds: tuple[str, ...]
    """The kinds of its secrets."""
    judged: JudgedSample
    """Its measures and verdict."""
    accepted: Accepted | None = None
    """The entry of the baseline that accepts a leak of this sample today."""
    base: JudgedSample | None = None
    """Measures and verdict on the base; None without `--clm-base`."""
    new_only: bool = False
    """Whether a leak that was there before fails no test."""

    @property
    def measured(self) -> SampleMeasures:
        """All measures, also of each secret (`secrets`) and averaged over the secrets (`mean`)."""
        return self.judged.measured

    @property
    def measures(self) -> dict[str, float | bool]:
        """Each measure of the worst secret."""
        return self.measured.measures

    @property
    def verdict(self) -> str:
        """`pass`, `leak` or `inconclusive`."""
        return self.judged.judgement.verdict

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not `pass`: a line per secret and measure."""
        return tuple(str(reason) for reason in self.judged.judgement.reasons)

    @property
    def change(self) -> Change | None:
        """`new`, `before` or `gone` against the base; None if nothing changed or without a base."""
        from erasetest.reports.base_changes import change_of

        return change_of(_row(self.judged), None if self.base is None else _row(self.base))

    @property
    def excused(self) -> bool:
        """Whether the leak fails no test, because only new leaks count and it was there before."""
        return self.new_only and self.change == "before"

    @property
    def fails_nothing(self) -> bool:
        """Whether a leak of this sample is accepted or excused."""
        return self.accepted is not None or self.excused

    @property
    def memorized(self) -> tuple[str, ...]:
        """The reasons that are a measure above its threshold."""
        reasons = self.judged.judgement.reasons
        return tuple(str(reason) for reason in reasons if reason.measure != "extracted")

    @property
    def extracted(self) -> tuple[str, ...]:
        """The reasons that are a secret extracted by greedy decoding."""
        reasons = self.judged.judgement.reasons
        return tuple(str(reason) for reason in reasons if reason.measure == "extracted")


def _row(sample: JudgedSample) -> dict[str, Any]:
    """Return what `change_of` compares."""
    judgement = sample.judgement
    return {"verdict": judgement.verdict, "reasons": [str(reason) for reason in judgement.reasons]}


def fail_if_leaking(leak: Leak, reasons: tuple[str, ...], verb: str = "leaks") -> None:
    """Fail the test without a traceback if there are reasons; skip it if the leak fails nothing.

    Args:
        leak: what a CLM remembers of a sample.
        reasons: those of its reasons that the test is about.
        verb: what the sample does, for the message.
    """
    if not reasons:
        return
    if leak.accepted is not None:
        until = f"accepted until {leak.accepted.expires}: {leak.accepted.reason}"
        pytest.skip(f"{leak.id} {verb}, {until}")
    if leak.excused:
        pytest.skip(f"{leak.id} {verb}, as the base does: only new leaks fail")
    new = " and is new" if leak.change == "new" else ""
    pytest.fail(f"{leak.id} {verb}{new}: " + "; ".join(reasons), pytrace=False)
