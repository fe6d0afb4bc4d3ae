"""The gate: what a run has to find out, found out once and when it is first asked for."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from erasetest.errors import BadInput, ClmError, ErasureError, one_line
from erasetest.probes.measures import SampleMeasures
from erasetest.samples.retained import split_retained
from erasetest.verdict.judgement import judge
from erasetest.verdict.thresholds import Thresholds, read_thresholds
from pytest_erasetest.erasure import erase_leaking
from pytest_erasetest.inputs import Retained, RunInputs
from pytest_erasetest.leak import Leak
from pytest_erasetest.model_loader import ModelLoader, Progress
from pytest_erasetest.options import Settings
from pytest_erasetest.shared_results import SharedResults
from pytest_erasetest.utility_comparison import compare_utility

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint
    from erasetest.probes.measure_store import Measure

BLOCK = 32
"""Samples that are probed together. Fixed, so that a sample's batch does not depend on workers."""


class Gate:
    """All that the fixtures hand out, made on first use and shared through the ledger."""

    def __init__(
        self,
        settings: Settings,
        ledger: SharedResults,
        worker: int,
        workers: int,
        progress: Progress,
    ) -> None:
        self.settings, self.ledger = settings, ledger
        self.given = RunInputs(settings)
        self.opener = ModelLoader(settings, worker, workers, progress)
        self._failed: dict[str, BaseException] = {}
        self.refused: str | None = None
        """Why the CLM under test cannot be loaded, once that was tried."""

    @functools.cached_property
    def clm(self) -> Clm:
        """The CLM under test, loaded once in this process.

        Raises:
            BadInput: it cannot be loaded, or is behind a URL.
        """
        if self.settings.endpoint:
            raise BadInput(f"{self.settings.clm}: is an endpoint: its model cannot be opened")
        with self._opening():
            clm = self.opener.open(str(self.settings.clm), self.settings.clm_adapter)
        self.ledger.put("clm", clm.describe())
        return clm

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """Remember why the CLM under test cannot be opened: it is tried once in a process.

        Whatever stops it, a time-out of another plugin included, may leave modules half imported,
        and importing those again fails for other reasons, or crashes.
        """
        if self.refused is not None:
            raise ClmError(self.refused)
        try:
            yield
        except BadInput as error:
            self.refused = str(error)
            raise
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            # A test that is out of time is ended by an exception that is no `Exception`.
            self.refused = (
                f"{self.settings.clm}: was stopped while it was loaded ({one_line(error)}): where "
                "that is a time-out, give the first test more time, or the tests alone "
                "(timeout_func_only)"
            )
            raise ClmError(self.refused) from None

    def spare(self) -> None:
        """Free the memory of the CLM under test; who asks for it again gets it loaded again.

        Tests that asked for the fixture `clm` before keep theirs.
        """
        self.__dict__.pop("clm", None)

    @functools.cached_property
    def retained(self) -> Retained:
        """Code that erasing may use, and other code to measure on: given, or written by the CLM."""
        if self.given.retained is not None:
            return self.given.retained
        from erasetest.erasing import self_generated_texts

        with self.opener.progress("writing retained code") as task:
            texts = self_generated_texts(self.clm, self.given.samples, progress=task)
            return split_retained(texts, self.given.samples)

    @functools.cached_property
    def thresholds(self) -> Thresholds:
        """From the file given, else published for the CLM's name, else calibrated now."""
        return Thresholds.from_dict(self._once("thresholds", self._thresholds))

    def before(self, sample_id: str) -> Leak:
        """What the given CLM remembers of a sample."""
        return self._leak(sample_id, "before")

    def after(self, sample_id: str) -> Leak:
        """What the erased CLM remembers of a sample."""
        return self._leak(sample_id, "after")

    def leaking(self) -> list[str]:
        """The ids of all samples that leak from the given CLM and are not accepted."""
        leaks = [s.id for s in self.given.samples if self.before(s.id).verdict == "leak"]
        return [name for name in leaks if name not in self.given.accepted]

    def erasure(self) -> dict[str, Any] | None:
        """Erase what leaks, once; None when nothing leaks."""
        found: dict[str, Any] = self._once("erasure", lambda: erase_leaking(self))
        erasure: dict[str, Any] | None = found["erasure"]
        return erasure

    @functools.cached_property
    def erased_clm(self) -> Clm:
        """The erased checkpoint, as it is read back from its folder.

        Raises:
            ErasureError: nothing leaks, so nothing was erased.
        """
        erasure = self.erasure()
        if erasure is None:
            raise ErasureError("nothing leaks, so nothing was erased")
        return self.opener.open(str(self.ledger.get("erasure")["folder"]))

    def utility(self) -> dict[str, Any] | None:
        """The comparison of pass@k, made once; None when nothing was erased to compare with."""
        found: dict[str, Any] = self._once("utility", lambda: compare_utility(self))
        utility: dict[str, Any] | None = found["utility"]
        return utility

    def finish(self) -> None:
        """Find out what was asked for by options and by no test."""
        if self.settings.erase and self.erasure() is not None:
            for sample in self.given.samples:
                self.after(sample.id)
        if self.settings.utility:
            self.utility()

    def _thresholds(self) -> dict[str, Any]:
        if self.settings.leak_thresholds:
            return read_thresholds(self.settings.leak_thresholds).as_dict()
        if self.settings.endpoint:
            return Thresholds("none: behind a URL, extraction alone decides", {}).as_dict()
        # Importing it imports torch, which probing an endpoint does not need.
        from erasetest.verdict import calibrate, published

        known = published(str(self.settings.clm)) if not self.settings.clm_adapter else None
        if known is not None:
            return known.as_dict()
        with self.opener.progress("calibrating thresholds") as task:
            return calibrate(self.clm, self.given.samples, progress=task).as_dict()

    def _leak(self, sample_id: str, phase: str) -> Leak:
        sample = self.given.by_id[sample_id]
        blocks = [f"{phase}-{n:05d}" for n in range((len(self.given.samples) + BLOCK - 1) // BLOCK)]
        wanted = blocks[self.given.order[sample_id] // BLOCK]
        rows = self._guarded(wanted, lambda: self.ledger.make(wanted, self._probe, blocks))
        measured = SampleMeasures.from_dict(rows[self.given.order[sample_id] % BLOCK])
        limits = self.thresholds if phase == "before" else self._thresholds_after
        return Leak(sample_id, sample.kinds, measured, judge(measured, limits))

    @functools.cached_property
    def _thresholds_after(self) -> Thresholds:
        erasure = self.erasure()
        return Thresholds.from_dict(erasure["thresholds"]) if erasure else self.thresholds

    def _probe(self, name: str) -> list[dict[str, Any]]:
        phase, number = name.split("-")
        identity, settings, measure = self._measure(phase)
        start = int(number) * BLOCK
        with self.opener.progress(f"probing {phase}" if phase == "after" else "probing") as task:
            task(start, len(self.given.samples))
            block = self.given.samples[start : start + BLOCK]
            if self.settings.leak_store is None:
                measured = measure(block)
            else:
                from erasetest.probes.measure_store import ProbeStore

                store = ProbeStore(self.settings.leak_store, identity, settings)
                with contextlib.closing(store):
                    measured = store.measured(block, measure)
            task(start + len(measured), len(self.given.samples))
        return [sample.as_dict() for sample in measured]

    def _measure(self, phase: str) -> tuple[str, dict[str, Any], Measure]:
        """What measures samples in a phase, and by what its measures are kept."""
        if self.settings.endpoint:
            from erasetest.endpoint import probe_endpoint

            asked = {"queries": self.settings.leak_queries}
            return (
                self._endpoint.fingerprint,
                asked,
                functools.partial(probe_endpoint, self._endpoint),
            )
        from erasetest.probes import ProbeSettings, probe
        from erasetest.probes.measure_store import identity

        clm, plain = self.clm if phase == "before" else self.erased_clm, ProbeSettings()
        return identity(clm), plain.as_dict(), functools.partial(probe, clm, settings=plain)

    @functools.cached_property
    def _endpoint(self) -> Endpoint:
        from erasetest.endpoint import Endpoint, EndpointOptions

        try:
            found = Endpoint(
                str(self.settings.clm), EndpointOptions(samples=self.settings.leak_queries)
            )
            self.ledger.put("clm", found.describe())
        except BadInput as error:
            self.refused = str(error)
            raise
        return found

    def _once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = self._guarded(name, lambda: self.ledger.make(name, lambda _: make()))
        return made

    def _guarded(self, name: str, make: Callable[[], Any]) -> Any:
        """Fail at once where the same work has failed in this process before.

        Raises:
            BadInput: the CLM under test cannot be opened.
        """
        if name in self._failed:
            raise self._failed[name]
        if not self.settings.endpoint:
            with self._opening():
                self.opener.import_libraries()
        try:
            return make()
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            self._failed[name] = error.with_traceback(None)
            raise
