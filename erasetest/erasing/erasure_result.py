"""What erasing did, step by step and in all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from erasetest.erasing.trainable import Adapter
from erasetest.verdict import Thresholds

ERASED = "every secret is erased"
HARMED = "retained code is predicted worse than is allowed"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw, before it changed anything."""

    step: int
    loss: float
    active: int
    worst_ma: float
    mean_ma: float
    retained_kl: float
    retained_fall: float
    """By how much the share of retained tokens that are predicted is below the original CLM's."""
    lr: float
    extracted: int
    """Secrets that the last full probe found extracted."""
    healing: bool = False
    """Whether this is a step of healing, and `retained_kl` the divergence from the teacher."""

    @classmethod
    def of_healing(cls, step: int, divergence: float, accuracy: Sequence[float]) -> Step:
        """One that nothing is erased in; the MA of the secrets is that of the last probe."""
        worst, mean = max(accuracy), statistics.fmean(accuracy)
        return cls(step, divergence, 0, worst, mean, divergence, 0.0, 0.0, 0, healing=True)

    def note(self) -> str:
        """What progress shows."""
        if self.healing:
            return f"healing, {self.retained_kl:.4f} nats from the teacher"
        return (
            f"worst MA {self.worst_ma:.2f}, {self.active} secrets left, "
            f"{self.extracted} extracted when last probed, "
            f"retained KL {self.retained_kl:.4f}, rate {self.lr:.2g}"
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """What erasing did."""

    method: str
    settings: dict[str, Any]
    samples: int
    steps: int
    """Those of healing among them, which the history does not tell."""
    seconds: float
    peak_memory_bytes: int | None
    erased: bool
    """Whether every secret ended below its thresholds, and retained code was kept."""
    history: tuple[Step, ...]
    thresholds: Thresholds
    """What the secrets were judged by in the end."""
    ended: str = ERASED
    """Why it ended."""
    rechecked: int = 0
    """Samples erased earlier, that were kept erased."""
    adapter: Adapter | None = None
    """What was trained, where that was an adapter."""
    retained_fall: float = 0.0
    """By how much a smaller share of retained tokens is predicted than before, as stored."""
    rank: float | None = None
    """The mean share of decoys that are likelier than a secret, where a method ranks them:
    0.5 where they are as likely as never-seen ones."""
    stands_out: bool = False
    """Whether that is further off than chance has it in seven sets of ten."""
    restored: int = 0
    """How often a loss that is no number led back to an earlier state and half the rate."""

    def ranked(self) -> str:
        """What the ranks say, for people."""
        if self.rank is None:
            return "not ranked among decoys"
        told = "they stand out" if self.stands_out else "as never-seen ones"
        return f"mean rank among decoys {self.rank:.2f}, {told}"

    def as_dict(self, checkpoint: str | None) -> dict[str, Any]:
        """As it stands in a report."""
        return {
            "method": self.method,
            "checkpoint": checkpoint,
            "samples": self.samples,
            "rechecked": self.rechecked,
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "peak_memory_bytes": self.peak_memory_bytes,
            "erased": self.erased,
            "ended": self.ended,
            "retained_fall": self.retained_fall,
            "rank": self.rank,
            "stands_out": self.stands_out,
            "restored": self.restored,
            "settings": self.settings,
            "thresholds": self.thresholds.as_dict(),
            "history": [asdict(step) for step in self.history],
        }
