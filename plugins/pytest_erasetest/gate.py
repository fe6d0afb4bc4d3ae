"""The gate: computes the results of a run, each once and when it is first needed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from erasetest.errors import BadInput, ErasureError
from erasetest.samples.retained import split_retained
from erasetest.verdict.judged_sample import JudgedSample
from erasetest.verdict.thresholds import Thresholds
from pytest_erasetest.base_clm import BaseClm
from pytest_erasetest.erasure import NOTHING_ERASED, erase_and_measure, plan_erasure
from pytest_erasetest.inputs import Retained, RunInputs
from pytest_erasetest.leak import Leak
from pytest_erasetest.measuring import Measurer
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.options import Settings
from pytest_erasetest.sample_blocks import BLOCK_SIZE, Block, Phase, blocks_of
from pytest_erasetest.shared_results import SharedResults
from pytest_erasetest.utility_comparison import UtilityComparison

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint


class Gate:
    """The values of the fixtures, computed on first use and shared by the processes of a run."""

    def __init__(
        self, settings: Settings, inputs: RunInputs, loader: ModelLoader, results: SharedResults
    ) -> None:
        self.settings, self.inputs = settings, inputs
        self.loader, self.results = loader, results
        self._base = BaseClm(settings, inputs, loader, results) if settings.clm_base else None
        self._failures: dict[str, BaseException] = {}

    @property
    def refused(self) -> str | None:
        """Why the CLM under test, or the base, cannot be loaded, once loading has failed."""
        return self.loader.refused

    @functools.cached_property
    def clm(self) -> Clm:
        """The CLM under test, loaded once in this process.

        Raises:
            BadInput: it cannot be loaded, or is behind a URL.
        """
        if self.settings.endpoint:
            raise BadInput(f"{self.settings.clm}: is an endpoint: its model cannot be loaded")
        # The base is first, so that memory never holds both.
        _ = self._judged_on_base
        with self.loader.attempt(str(self.settings.clm)):
            clm = self._load_given()
        self.results.put("clm", clm.describe())
        return clm

    def _load_given(self) -> Clm:
        return self.loader.load(str(self.settings.clm), self.settings.loading.adapter)

    def release_clm(self) -> None:
        """Release the CLM under test; it is reloaded on next access.

        Tests that have already asked for the fixture `clm` keep it in memory.
        """
        self.__dict__.pop("clm", None)

    @functools.cached_property
    def _endpoint(self) -> Endpoint:
        from erasetest.endpoint import Endpoint, EndpointOptions

        options = EndpointOptions(samples=self.settings.leak_queries)
        try:
            endpoint = Endpoint(str(self.settings.clm), options)
            self.results.put("clm", endpoint.describe())
        except BadInput as error:
            self.loader.refused = str(error)
            raise
        return endpoint

    @functools.cached_property
    def retained(self) -> Retained:
        """Code for erasing to preserve, and code to measure that on: given, else generated."""
        if self.inputs.retained is not None:
            return self.inputs.retained
        from erasetest.erasing import self_generated_texts

        with self.loader.progress("generating retained code") as task:
            texts = self_generated_texts(self.clm, self.inputs.samples, progress=task)
            return split_retained(texts, self.inputs.samples)

    @functools.cached_property
    def thresholds(self) -> Thresholds:
        """The given ones, else published ones for the name of the CLM, else calibrated."""
        return Thresholds.from_dict(self._once("thresholds", self._find_thresholds))

    def _find_thresholds(self) -> dict[str, Any]:
        if self.inputs.thresholds is not None:
            return self.inputs.thresholds.as_dict()
        # This imports torch, which probing an endpoint does not need.
        from erasetest.verdict import calibrate

        with self.loader.progress("calibrating thresholds") as task:
            found = calibrate(self.clm, self.inputs.samples, decisive=True, progress=task)
            return self.settings.limited(found).as_dict()

    @functools.cached_property
    def _thresholds_after(self) -> Thresholds:
        """Those that erasing reached: a calibration on the erased CLM may be stricter."""
        erasure = self.erasure()
        return Thresholds.from_dict(erasure["thresholds"]) if erasure else self.thresholds

    def before(self, sample_id: str) -> Leak:
        """Return what the given CLM remembers of a sample."""
        return self._leak(sample_id, "before")

    def after(self, sample_id: str) -> Leak:
        """Return what the erased CLM remembers of a sample."""
        leak = self._leak(sample_id, "after")
        if leak.excused and not self.before(sample_id).excused:
            # What the given CLM has forgotten must not return, whatever the base remembers.
            return dataclasses.replace(leak, new_only=False)
        return leak

    def leaking(self) -> list[str]:
        """Return the ids of all samples whose leak from the given CLM fails the run."""
        leaks = [self.before(sample.id) for sample in self.inputs.samples]
        return [leak.id for leak in leaks if leak.verdict == "leak" and not leak.fails_nothing]

    def _leak(self, sample_id: str, phase: Phase) -> Leak:
        # The base is first, so that memory never holds both.
        base = self._judged_on_base.get(sample_id)
        return Leak(
            sample_id,
            self.inputs.by_id[sample_id].kinds,
            self._judged(sample_id, phase),
            self.inputs.accepted.get(sample_id),
            base,
            new_only=self.settings.leak_new_only,
        )

    @functools.cached_property
    def _judged_on_base(self) -> dict[str, JudgedSample]:
        """What the base remembers, by sample; empty without a base.

        All samples are measured before the base is released, and before the CLM under test is
        loaded. Workers share the blocks, and each goes on when all of them are complete.
        """
        if self._base is None:
            return {}
        self._once("base-check", self._base.check)
        blocks = blocks_of("base", len(self.inputs.samples))
        rows = [row for block in blocks for row in self._rows(block)]
        self._base.release()
        return {judged.id: judged for judged in map(JudgedSample.from_dict, rows)}

    def _judged(self, sample_id: str, phase: Phase) -> JudgedSample:
        number = self.inputs.order[sample_id]
        rows = self._rows(Block(phase, number // BLOCK_SIZE))
        return JudgedSample.from_dict(rows[number % BLOCK_SIZE])

    def _rows(self, wanted: Block) -> list[dict[str, Any]]:
        """Return the judged samples of a block; while others compute it, compute other blocks."""
        blocks = {each.name: each for each in blocks_of(wanted.phase, len(self.inputs.samples))}
        rows: list[dict[str, Any]] = self._guarded(
            wanted.name,
            lambda: self.results.get_or_compute(
                wanted.name, lambda name: self._probe(blocks[name]), list(blocks)
            ),
        )
        return rows

    def _probe(self, block: Block) -> list[dict[str, Any]]:
        """Measure and judge the samples of a block."""
        limits = self._limits(block.phase)
        measurer = self._measurer(block.phase, limits)
        title = "probing" if block.phase == "before" else f"probing {block.phase}"
        with self.loader.progress(title) as task:
            task(block.start, len(self.inputs.samples))
            samples = block.of(self.inputs.samples)
            measured = measurer.measured(samples, self.settings.leak_store)
            task(block.start + len(measured), len(self.inputs.samples))
        return [JudgedSample.of(sample, limits).as_dict() for sample in measured]

    def _limits(self, phase: Phase) -> Thresholds:
        if phase == "base" and self._base is not None:
            fixed = self.inputs.thresholds
            find = self._base.calibrate if fixed is None else fixed.as_dict
            return Thresholds.from_dict(self._once("base-thresholds", find))
        return self._thresholds_after if phase == "after" else self.thresholds

    def _measurer(self, phase: Phase, limits: Thresholds) -> Measurer:
        if self.settings.endpoint:
            return Measurer.of_endpoint(self._endpoint, self.settings.leak_queries)
        if phase == "base" and self._base is not None:
            return Measurer.of_clm(self._base.clm, limits)
        return Measurer.of_clm(self.clm if phase == "before" else self.erased_clm, limits)

    def erasure(self) -> dict[str, Any] | None:
        """Erase what leaks, once; return the erasure as in the report, None if nothing leaks."""
        result: dict[str, Any] | None = self._once("erasure", self._erase)["erasure"]
        return result

    def _erase(self) -> dict[str, Any]:
        leaking = self.leaking()
        if not leaking:
            return NOTHING_ERASED
        if self.inputs.reserves_late:
            self.inputs.reserve()
        retained, held_out = self.retained
        thresholds = self.thresholds
        # Erasing changes a second instance: with the first, memory would hold two for hours.
        self.release_clm()
        clm = self._load_given()
        plan = plan_erasure(
            clm,
            self.inputs.samples,
            [self.inputs.by_id[name] for name in leaking],
            retained,
            thresholds,
            fixed=self.settings.leak_thresholds is not None,
        )
        folder = Path(self.settings.erase_out or self.results.folder / "erased").absolute()
        return erase_and_measure(clm, plan, held_out, folder, self.settings, self.loader)

    @functools.cached_property
    def erased_clm(self) -> Clm:
        """The erased checkpoint, loaded from its folder.

        Raises:
            ErasureError: nothing leaks, so nothing was erased.
        """
        if self.erasure() is None:
            raise ErasureError("nothing leaks, so nothing was erased")
        return self.loader.load(str(self.results.get("erasure")["folder"]))

    def utility(self) -> dict[str, Any] | None:
        """Compare pass@k, once: before and after erasing, or with the CLM of `utility_against`.

        None if nothing leaks, so that there is no erased CLM; never without `erase`.
        """
        result: dict[str, Any] | None = self._once("utility", self._compare_utility)["utility"]
        return result

    def _compare_utility(self) -> dict[str, Any]:
        if self.settings.erase and self.erasure() is None:
            return {"utility": None}
        # Generated code is not held out: the CLM has not only seen it, it wrote it.
        retained = self.inputs.retained if self.settings.erase else None
        comparison = UtilityComparison(
            self.settings,
            self.inputs.problems,
            retained[1] if retained else [],
            self.loader.progress,
        )
        if self.settings.erase:
            before = comparison.score(self.clm, "before")
            after = comparison.score(self.erased_clm, "after")
        else:
            other = self.loader.load(str(self.settings.utility_against))
            before = comparison.score(other, "against")
            after = comparison.score(self.clm, "of the CLM")
        return {"utility": comparison.report(before, after)}

    def finish(self) -> None:
        """Compute what options ask for and no test asked for."""
        if self.settings.erase and self.erasure() is not None:
            for sample in self.inputs.samples:
                self.after(sample.id)
        if self.settings.utility:
            self.utility()

    def _once(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = self._guarded(
            name, lambda: self.results.get_or_compute(name, lambda _: compute())
        )
        return result

    def _guarded(self, name: str, compute: Callable[[], Any]) -> Any:
        """Compute a result; fail at once if the same computation has failed in this process.

        Raises:
            BadInput: the CLM under test cannot be loaded.
        """
        if name in self._failures:
            raise self._failures[name]
        if not self.settings.endpoint:
            with self.loader.attempt(str(self.settings.clm)):
                self.loader.import_libraries()
        try:
            return compute()
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            # Without the traceback, which would keep the locals of all its frames in memory.
            self._failures[name] = error.with_traceback(None)
            raise
