"""What a run finds out of a sample, as suites and users' own tests see it."""

from __future__ import annotations

from dataclasses import dataclass

from erasetest.probes.measures import SampleMeasures
from erasetest.verdict.judgement import Judgement


@dataclass(frozen=True, slots=True)
class Leak:
    """What a CLM remembers of a sample. Holds no content.

    `test_` functions of users read `measures`, `verdict` and `reasons`.
    """

    id: str
    kinds: tuple[str, ...]
    measured: SampleMeasures
    judgement: Judgement

    @property
    def measures(self) -> dict[str, float | bool]:
        """Each measure of the worst secret."""
        return self.measured.measures

    @property
    def verdict(self) -> str:
        """`pass`, `leak` or `inconclusive`."""
        return self.judgement.verdict

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is not `pass`: one line for each secret and measure."""
        return self.judgement.reasons

    @property
    def memorized(self) -> tuple[str, ...]:
        """The reasons that are a measure above its threshold."""
        return tuple(r for r in self.reasons if "extracts it" not in r)

    @property
    def extracted(self) -> tuple[str, ...]:
        """The reasons that are a secret extracted."""
        return tuple(r for r in self.reasons if "extracts it" in r)
