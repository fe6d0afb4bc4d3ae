"""The inputs of a run: read on first use, and checked before anything is loaded."""

from __future__ import annotations

import contextlib
import datetime
import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from erasetest.clm.erasure_records import check_new_checkpoint
from erasetest.erasing.methods import check_method
from erasetest.erasing.plan import fixed_thresholds
from erasetest.errors import BadInput, ShortSecretWarning
from erasetest.loading import check_clm_name
from erasetest.samples import SensitiveSample, read_manifest, read_manifests
from erasetest.samples.retained import split_retained
from erasetest.support.atomic_files import check_writable, reserved
from erasetest.support.extras import require
from erasetest.support.progress import StartProgress
from erasetest.verdict.thresholds import Thresholds, read_thresholds
from pytest_erasetest.accepted_leaks import Accepted, Baseline, read_baseline
from pytest_erasetest.options import Settings, is_demo

if TYPE_CHECKING:
    from erasetest.utility import Problem

Retained = tuple[list[SensitiveSample], list[SensitiveSample]]
"""Code for erasing to preserve, and code held out to measure retention on."""


def read_samples(clm: str | None, manifests: Sequence[str]) -> list[SensitiveSample]:
    """Return the sensitive samples of all manifests; without any, those of a demo CLM.

    Raises:
        BadInput: a manifest cannot be used, or none is given.
    """
    if manifests:
        return read_manifests(manifests)
    if is_demo(clm):
        from erasetest.demo.build import demo_family, demo_samples

        return demo_samples(demo_family(str(clm)) or "")["samples"]
    raise BadInput("no samples to test with: --leak-samples FILE (see 'erasetest scan')")


class RunInputs:
    """The files that the options of a run name; for a demo CLM, its own by default."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reservation = contextlib.ExitStack()
        """Reserves the output folder until the run ends."""
        self.reserves_late = False
        """Whether the output folder is reserved only when erasing starts, as in a worker."""
        self.notes: list[str] = []
        """Warnings about the files, for the summary."""

    @functools.cached_property
    def samples(self) -> list[SensitiveSample]:
        """The sensitive samples of all manifests; without any, those of a demo CLM."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ShortSecretWarning)
            samples = read_samples(self.settings.clm, self.settings.leak_samples)
        for warning in caught:
            if issubclass(warning.category, ShortSecretWarning):
                self.notes.append(str(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        return samples

    @functools.cached_property
    def by_id(self) -> dict[str, SensitiveSample]:
        """The samples by id."""
        return {sample.id: sample for sample in self.samples}

    @functools.cached_property
    def order(self) -> dict[str, int]:
        """The index of each sample, by id."""
        return {sample.id: number for number, sample in enumerate(self.samples)}

    @functools.cached_property
    def retained(self) -> Retained | None:
        """Code for erasing to preserve, and code held out to measure retention on.

        None if the user gives none: the CLM has to generate it.
        """
        if self.settings.erase_retain is None and not self.settings.demo:
            return None
        if self.settings.erase_retain is None:
            from erasetest.demo.build import demo_samples

            manifests = demo_samples()
            return manifests["retained"], manifests["retention"]
        given = read_manifest(self.settings.erase_retain, require_secrets=False)
        try:
            return split_retained(given, self.samples)
        except BadInput as error:
            raise BadInput(f"{self.settings.erase_retain}: {error}") from None

    @functools.cached_property
    def problems(self) -> list[Problem]:
        """The programming problems."""
        from erasetest.utility.problems import Problem, read_problems

        if self.settings.utility != "demo":
            return read_problems(str(self.settings.utility))
        from erasetest.demo.build import demo_problems

        return [Problem(**row) for row in demo_problems()]

    @functools.cached_property
    def thresholds(self) -> Thresholds | None:
        """The given ones, else published ones for the name of the CLM; None to calibrate."""
        path, adapter = self.settings.leak_thresholds, self.settings.loading.adapter
        given = read_thresholds(path) if path else None
        if self.settings.endpoint:
            given = given or Thresholds("none: behind a URL, extraction alone decides", {})
        found = fixed_thresholds(str(self.settings.clm), given, adapter=bool(adapter))
        return self.settings.limited(found) if found is not None else None

    @functools.cached_property
    def baseline(self) -> Baseline | None:
        """The baseline; None if none is given, or if `--leak-accept` is to create it."""
        path = self.settings.leak_baseline
        if path is None or (self.settings.leak_accept and not Path(path).exists()):
            return None
        return read_baseline(path, self.settings.leak_baseline_days, datetime.date.today())

    @functools.cached_property
    def accepted(self) -> dict[str, Accepted]:
        """The leaks that are accepted today, by sample id."""
        return self.baseline.accepted if self.baseline is not None else {}

    def check(self, progress: StartProgress) -> None:
        """Check all inputs that can be checked before anything is loaded.

        Args:
            progress: shows what takes time.

        Raises:
            BadInput: names the first input that cannot be used.
        """
        from erasetest.probes.measure_store import check_store
        from erasetest.reports.write import check_report_path

        for path in self.settings.leak_report:
            check_report_path(path)
        _ = self.thresholds
        _ = self.baseline
        if self.settings.leak_accept:
            check_writable(str(self.settings.leak_baseline))
        check_clm_name(str(self.settings.clm), self.settings.loading.adapter, endpoint=True)
        if self.settings.clm_base is not None:
            check_clm_name(self.settings.clm_base)
        if self.settings.leak_store is not None:
            check_writable(self.settings.leak_store)
            check_store(self.settings.leak_store)
        if self.settings.utility_against is not None:
            check_clm_name(self.settings.utility_against)
        if self.settings.erase:
            try:
                check_method(self.settings.erase)
            except BadInput as error:
                raise BadInput(
                    f"{error} (a path right after --erase is taken for one: write --erase=decoys)"
                ) from None
            if self.settings.erasing.lora is not None:
                require("peft", "lora", "--erase-lora")
            if self.settings.erase_out:
                check_new_checkpoint(self.settings.erase_out)
        if self.settings.utility:
            _ = self.problems
            _check_sandbox(unsafe=self.settings.utility_unsafe_execution)
        if self.settings.leak_samples:
            _ = self.samples
            if self.settings.erase_retain:
                _ = self.retained
        if self.settings.utility:
            # Last, because it takes seconds.
            self._check_problems(progress)

    def _check_problems(self, progress: StartProgress) -> None:
        from erasetest.utility import check_problems

        with progress("checking the problems") as task:
            check_problems(
                self.problems, unsafe=self.settings.utility_unsafe_execution, progress=task
            )

    def reserve(self) -> None:
        """Reserve the output folder, so that no other run writes to it.

        Raises:
            BadInput: another run has reserved it.
        """
        if self.settings.erase and self.settings.erase_out:
            self.reservation.enter_context(reserved(self.settings.erase_out))


def _check_sandbox(*, unsafe: bool) -> None:
    from erasetest.errors import SandboxError
    from erasetest.utility.sandbox.pool import required_layers

    try:
        required_layers(unsafe=unsafe)
    except SandboxError as error:
        # Checked now, not after hours of erasing.
        flag = "--utility-unsafe-execution"
        raise BadInput(str(error).replace("--unsafe-execution", flag)) from None
