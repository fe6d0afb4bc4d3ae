"""Everything that an erasure needs, complete before the first step: for commands and the gate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from erasetest.errors import BadInput, ClmWarning
from erasetest.samples import SensitiveSample
from erasetest.samples.retained import check_disjoint
from erasetest.samples.secrecy import refuse_secrets_in_ids
from erasetest.support.progress import Progress, StartProgress, Task, silent
from erasetest.verdict.paper_thresholds import published
from erasetest.verdict.thresholds import Thresholds

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.erasing.erasure_result import Erasure, Step
    from erasetest.erasing.erasure_settings import ErasureSettings


def fixed_thresholds(
    name: str, given: Thresholds | None = None, *, adapter: bool = False
) -> Thresholds | None:
    """Return the thresholds that need no calibration: given ones, else published ones, else None.

    Args:
        name: the name of the CLM.
        given: thresholds that the user gives.
        adapter: whether the CLM has an adapter; none are published for such a CLM.
    """
    if given is not None:
        return given
    return None if adapter else published(name)


def check_samples(
    samples: Sequence[SensitiveSample],
    earlier: Sequence[SensitiveSample],
    retained: Sequence[SensitiveSample] | None,
) -> tuple[list[SensitiveSample], list[SensitiveSample]]:
    """Return the samples and the earlier ones, with no secret in what reports show of them.

    Raises:
        BadInput: there are no samples, an id or a kind shows a secret, or retained code holds one.
    """
    if not samples:
        raise BadInput("no samples to erase: give at least one")
    everything = refuse_secrets_in_ids([*samples, *earlier], "of these manifests")
    if retained is not None:
        check_disjoint(everything, retained)
    return everything[: len(samples)], everything[len(samples) :]


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """What an erasure erases, what it preserves, and which measures it has to reach."""

    samples: Sequence[SensitiveSample]
    """Samples whose secrets to erase."""
    retained: Sequence[SensitiveSample]
    """Code whose prediction must not change."""
    thresholds: Thresholds
    """Thresholds that every secret has to end below."""
    earlier: Sequence[SensitiveSample] = ()
    """Samples that were erased before: probed as well, and erased again if they return."""
    calibrated_on: Sequence[SensitiveSample] = ()
    """Samples to recalibrate the thresholds on as the CLM changes; none if they are fixed."""

    @classmethod
    def resolve(
        cls,
        clm: Clm,
        samples: Sequence[SensitiveSample],
        progress: StartProgress = silent,
        *,
        earlier: Sequence[SensitiveSample] = (),
        retained: Sequence[SensitiveSample] | None = None,
        thresholds: Thresholds | None = None,
    ) -> ErasePlan:
        """Complete a plan: generate the retained code and calibrate the thresholds if needed.

        Args:
            clm: the CLM that is to be erased, unchanged so far.
            samples: samples whose secrets to erase.
            progress: shows what takes long.
            earlier: samples that were erased before.
            retained: code to preserve; None lets the CLM generate it.
            thresholds: from `fixed_thresholds`; None calibrates them.
        """
        from erasetest.erasing.self_generated import self_generated_texts
        from erasetest.verdict.calibration import calibrate

        everything = [*samples, *earlier]
        if retained is None:
            with progress("generating retained code") as task:
                retained = self_generated_texts(clm, everything, progress=task)
        if thresholds is not None:
            return cls(samples, retained, thresholds, earlier)
        with progress("calibrating") as task:
            calibrated = calibrate(clm, everything, decisive=True, progress=task)
        return cls(samples, retained, calibrated, earlier, calibrated_on=everything)

    def erase(
        self,
        clm: Clm,
        settings: ErasureSettings,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> Erasure:
        """Erase, in place, and write the checkpoint to a new folder if one is given.

        Args:
            clm: changed in place.
            settings: how to erase.
            folder: new or empty; None writes nothing.
            progress: called after each step; a `Task` also shows what is done between steps.

        Raises:
            BadInput: the CLM, the folder or a sample cannot be used.
            ErasureError: the loss stays NaN or infinite, or memory does not suffice.
        """
        from erasetest.erasing.pipeline import erase_to
        from erasetest.erasing.trainer import erase

        if clm.dequantized:
            warnings.warn(
                f"{clm.name}: its quantized weights cannot be trained: erasing trains the numbers "
                "that they stand for, and writes those",
                ClmWarning,
                stacklevel=2,
            )
        task = progress if isinstance(progress, Task) else None

        def show(step: Step, expected: int) -> None:
            if task is not None:
                task(step.step, expected, step.note())
            elif progress is not None:
                progress(step.step, expected)

        recalibrate = (lambda: self._calibrate(clm)) if self.calibrated_on else None
        doing = task.doing if task is not None else None
        asked = (clm, self.samples, self.retained, self.thresholds, settings, show)
        if folder is None:
            return erase(*asked, recalibrate=recalibrate, earlier=self.earlier, doing=doing)
        return erase_to(
            folder,
            *asked,
            doing=doing,
            remark=task.remark if task is not None else None,
            recalibrate=recalibrate,
            earlier=self.earlier,
        )

    def _calibrate(self, clm: Clm) -> Thresholds:
        from erasetest.verdict.calibration import calibrate

        return calibrate(clm, self.calibrated_on, decisive=True)
