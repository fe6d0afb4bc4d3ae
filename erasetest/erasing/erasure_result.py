"""The result of an erasure, per step and in total."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from erasetest.erasing.lora import Adapter
from erasetest.verdict import Thresholds

ERASED = "every secret is erased"
HARMED = "next-token accuracy on retained code fell by more than is allowed"
RELEARNED = "a secret is above its thresholds again after distillation"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step observed before its update."""

    step: int
    loss: float
    active: int
    """Number of secrets that were still to be erased."""
    worst_ma: float
    mean_ma: float
    retained_kl: float
    """Mean divergence from the original CLM on retained code, in nats per token."""
    retained_fall: float
    """Drop of next-token accuracy on the step's retained code (fraction)."""
    lr: float
    extracted: int
    """Number of secrets that the last full probe found extracted."""
    healing: bool = False
    """Whether this is a distillation step; `retained_kl` is the divergence from the teacher."""

    @classmethod
    def of_distillation(cls, step: int, divergence: float, accuracy: Sequence[float]) -> Step:
        """Make a distillation step; `accuracy` is the MA of the secrets at the last probe."""
        worst, mean = max(accuracy), statistics.fmean(accuracy)
        return cls(step, divergence, 0, worst, mean, divergence, 0.0, 0.0, 0, healing=True)

    def note(self) -> str:
        """Return a line for the progress display."""
        if self.healing:
            return f"distilling, {self.retained_kl:.4f} nats per token from the teacher"
        return (
            f"worst MA {self.worst_ma:.2f}, {self.active} secrets left, "
            f"{self.extracted} extracted at the last probe, "
            f"retained KL {self.retained_kl:.4f}, learning rate {self.lr:.2g}"
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result of an erasure."""

    method: str
    settings: dict[str, Any]
    samples: int
    steps: int
    """Total number of steps, including distillation steps, which are not in `history`."""
    seconds: float
    peak_memory_bytes: int | None
    erased: bool
    """Whether every secret ended below its thresholds, and retained code was preserved."""
    history: tuple[Step, ...]
    thresholds: Thresholds
    """The thresholds that the secrets were judged by in the end."""
    ended: str = ERASED
    """The reason why it ended."""
    rechecked: int = 0
    """Number of samples erased earlier that were evaluated too."""
    adapter: Adapter | None = None
    """The trained adapter, if one was trained."""
    retained_fall: float = 0.0
    """Drop of next-token accuracy on retained code (fraction), rounded to the stored dtype."""
    rank: float | None = None
    """Mean share of decoys that are more likely than a secret: 0.5 if secrets are as likely as
    control secrets. None for methods without decoys."""
    stands_out: bool = False
    """Whether `rank` is more than 1.04 standard errors from 0.5 (`stopping.CHANCE_LIMIT`)."""
    restored: int = 0
    """Number of rollbacks after a NaN or infinite loss; each halved the learning rate."""

    def ranked(self) -> str:
        """Describe the rank in words."""
        if self.rank is None:
            return "not ranked among decoys"
        comparison = "they stand out" if self.stands_out else "they do not stand out"
        return f"mean rank among decoys {self.rank:.2f}, {comparison}"

    def as_dict(self, checkpoint: str | None) -> dict[str, Any]:
        """Return the JSON object of reports."""
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
