"""What a CLM remembers of a sample, as suites and users' own tests see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from erasetest.probes.measures import SampleMeasures
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
    def memorized(self) -> tuple[str, ...]:
        """The reasons that are a measure above its threshold."""
        reasons = self.judged.judgement.reasons
        return tuple(str(reason) for reason in reasons if reason.measure != "extracted")

    @property
    def extracted(self) -> tuple[str, ...]:
        """The reasons that are a secret extracted by greedy decoding."""
        reasons = self.judged.judgement.reasons
        return tuple(str(reason) for reason in reasons if reason.measure == "extracted")


def fail_if_leaking(leak: Leak, reasons: tuple[str, ...], verb: str = "leaks") -> None:
    """Fail the test without a traceback if there are reasons; skip it if the leak is accepted.

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
    pytest.fail(f"{leak.id} {verb}: " + "; ".join(reasons), pytrace=False)
