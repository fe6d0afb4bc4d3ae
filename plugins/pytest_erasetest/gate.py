"""The gate: what a run has to find out, found out once and when it is first asked for."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from erasetest.errors import BadInput, ErasureError
from erasetest.files import check_new_directory, check_writable, reserved
from erasetest.names import check_clm_name, check_method
from erasetest.probes.measures import SampleMeasures
from erasetest.progress import Task
from erasetest.retained import RETENTION_MARGIN, split_retained
from erasetest.samples import SensitiveSample, read_manifest, read_manifests
from erasetest.verdict.judge import Judgement, judge
from erasetest.verdict.thresholds import Thresholds, read_thresholds
from pytest_erasetest.baseline import Accepted, read_baseline
from pytest_erasetest.ledger import Ledger
from pytest_erasetest.options import Settings

if TYPE_CHECKING:
    from erasetest.clm import Clm
    from erasetest.endpoint import Endpoint
    from erasetest.probes.store import Measure
    from erasetest.utility import Problem, UtilityScore

BLOCK = 32
"""Samples that are probed together. Fixed, so that a sample's batch does not depend on workers."""

VERDICT_PROPERTY = "erasetest.verdict"

Progress = Callable[[str], contextlib.AbstractContextManager[Task]]


@dataclass(frozen=True, slots=True)
class Leak:
    """What a CLM remembers of a sample. Holds no content.

    `test_` functions of users read `measures`, `secrets`, `verdict` and `reasons`.
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


class Gate:
    """All that the fixtures hand out, made on first use and shared through the ledger."""

    def __init__(
        self, settings: Settings, ledger: Ledger, worker: int, workers: int, progress: Progress
    ) -> None:
        self.settings, self.ledger = settings, ledger
        self._worker, self._workers, self._progress = worker, workers, progress
        self._failed: dict[str, Exception] = {}
        self.held = contextlib.ExitStack()
        """What is to be given back when the run ends."""
        self.refused: str | None = None
        """Why the CLM under test cannot be loaded, once that was tried."""

    # What is given

    @functools.cached_property
    def samples(self) -> list[SensitiveSample]:
        """The sensitive samples of all manifests; those of the demo where none is named."""
        if self.settings.leak_samples:
            return read_manifests(self.settings.leak_samples)
        if self.settings.demo:
            from erasetest.demo.build import demo_samples

            return demo_samples()["samples"]
        raise BadInput("no samples to test with: --leak-samples FILE (see 'erasetest scan')")

    @functools.cached_property
    def by_id(self) -> dict[str, SensitiveSample]:
        """The samples by id."""
        return {sample.id: sample for sample in self.samples}

    @functools.cached_property
    def retained(self) -> tuple[list[SensitiveSample], list[SensitiveSample]]:
        """Code that erasing may use to keep behaviour, and other code to measure the keeping on."""
        if self.settings.erase_retain is None and not self.settings.demo:
            from erasetest.erase import own_generations

            with self._progress("writing retained code") as task:
                return split_retained(
                    own_generations(self.clm, self.samples, progress=task), self.samples
                )
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

        return [
            Problem(row["task_id"], row["prompt"], row["test"], row["entry_point"])
            for row in demo_problems()
        ]

    @functools.cached_property
    def baseline(self) -> dict[str, Accepted]:
        """The leaks that are accepted today, by sample id."""
        path = self.settings.leak_baseline
        if path is None or (self.settings.leak_accept and not Path(path).exists()):
            return {}
        today = datetime.date.today()
        return {name: entry for name, entry in read_baseline(path).items() if entry.holds(today)}

    def check(self) -> None:
        """Read and refuse what can be read and refused before anything is loaded.

        Raises:
            BadInput: of the first file or folder that cannot be used.
        """
        from erasetest.reports.write import check_report_path

        for path in self.settings.leak_report:
            check_report_path(path)
        if self.settings.leak_thresholds:
            read_thresholds(self.settings.leak_thresholds)
        _ = self.baseline
        if self.settings.leak_accept:
            check_writable(str(self.settings.leak_baseline))
        check_clm_name(str(self.settings.clm), self.settings.clm_adapter, endpoint=True)
        if self.settings.leak_store is not None:
            check_writable(self.settings.leak_store)
        if self.settings.utility_against is not None:
            check_clm_name(self.settings.utility_against)
        if self.settings.erase:
            try:
                check_method(self.settings.erase)
            except BadInput as error:
                raise BadInput(
                    f"{error} (a path right after --erase is taken for one: write --erase=decoys)"
                ) from None
            if self.settings.erase_out:
                check_new_directory(self.settings.erase_out)
                self.held.enter_context(reserved(self.settings.erase_out))
        if self.settings.utility:
            _ = self.problems
            self._check_sandbox()
        if self.settings.leak_samples:
            _ = self.samples
            if self.settings.erase_retain:
                _ = self.retained

    def _check_sandbox(self) -> None:
        from erasetest.errors import SandboxError
        from erasetest.utility.sandbox.pool import required_layers

        try:
            required_layers(unsafe=self.settings.utility_unsafe_execution)
        except SandboxError as error:
            # Now, not after hours of erasing.
            flag = "--utility-unsafe-execution"
            raise BadInput(str(error).replace("--unsafe-execution", flag)) from None

    # What is found out

    @functools.cached_property
    def clm(self) -> Clm:
        """The CLM under test, loaded once in this process.

        Raises:
            BadInput: it cannot be loaded, or is behind a URL.
        """
        if self.settings.endpoint:
            raise BadInput(f"{self.settings.clm}: is an endpoint: its model cannot be opened")
        try:
            clm = self._open(str(self.settings.clm), self.settings.clm_adapter)
        except BadInput as error:
            self.refused = str(error)
            raise
        self.ledger.put("clm", clm.describe())
        return clm

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
        leaks = [s.id for s in self.samples if self.before(s.id).verdict == "leak"]
        return [name for name in leaks if name not in self.baseline]

    def erasure(self) -> dict[str, Any] | None:
        """Erase what leaks, once; None when nothing leaks."""
        found: dict[str, Any] = self._once("erasure", self._erase)
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
        return self._open(str(self.ledger.get("erasure")["folder"]), None)

    def utility(self) -> dict[str, Any] | None:
        """The comparison of pass@k, made once; None when nothing was erased to compare with."""
        found: dict[str, Any] = self._once("utility", self._utility)
        utility: dict[str, Any] | None = found["utility"]
        return utility

    def finish(self) -> None:
        """Find out what was asked for by options and by no test."""
        if self.settings.erase and self.erasure() is not None:
            for sample in self.samples:
                self.after(sample.id)
        if self.settings.utility:
            self.utility()

    # How

    def _open(self, name: str, adapter: str | None) -> Clm:
        from erasetest.clm import LoadOptions
        from erasetest.demo.open import open_clm

        self._share_cores()
        options = LoadOptions(
            adapter=adapter,
            device=self.settings.clm_device,
            dtype=self.settings.clm_dtype,
            batch_tokens=self.settings.clm_batch_tokens,
            allow_pickle=self.settings.clm_allow_pickle,
            trust_remote_code=self.settings.clm_trust_remote_code,
            worker=self._worker,
        )
        with self._progress(f"building {name}" if name.startswith("demo") else "loading") as task:
            return open_clm(name, options, task)

    def _share_cores(self) -> None:
        import torch

        if self._workers > 1:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // self._workers))

    @contextlib.contextmanager
    def _all_cores(self) -> Iterator[None]:
        """For what one worker does while the others wait for it."""
        import torch

        threads = torch.get_num_threads()
        if self._workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(os.cpu_count() or 1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def _thresholds(self) -> dict[str, Any]:
        from erasetest.verdict import calibrate, published

        if self.settings.leak_thresholds:
            return read_thresholds(self.settings.leak_thresholds).as_dict()
        if self.settings.endpoint:
            return Thresholds("none: behind a URL, extraction alone decides", {}).as_dict()
        known = published(str(self.settings.clm)) if not self.settings.clm_adapter else None
        if known is not None:
            return known.as_dict()
        with self._progress("calibrating thresholds") as task:
            return calibrate(self.clm, self.samples, progress=task).as_dict()

    def _recalibration(self, clm: Clm) -> Callable[[], Thresholds] | None:
        """How thresholds are found again on a CLM that changes; None where they were given."""
        from erasetest.verdict import calibrate

        if self.settings.leak_thresholds or not self.thresholds.references:
            return None
        return lambda: calibrate(clm, self.samples)

    def _leak(self, sample_id: str, phase: str) -> Leak:
        sample = self.by_id[sample_id]
        blocks = [f"{phase}-{n:05d}" for n in range((len(self.samples) + BLOCK - 1) // BLOCK)]
        wanted = blocks[self._order[sample_id] // BLOCK]
        rows = self._guarded(wanted, lambda: self.ledger.make(wanted, self._probe, blocks))
        measured = SampleMeasures.from_dict(rows[self._order[sample_id] % BLOCK])
        limits = self.thresholds if phase == "before" else self._thresholds_after
        return Leak(sample_id, sample.kinds, measured, judge(measured, limits))

    @functools.cached_property
    def _thresholds_after(self) -> Thresholds:
        erasure = self.erasure()
        return Thresholds.from_dict(erasure["thresholds"]) if erasure else self.thresholds

    @functools.cached_property
    def _order(self) -> dict[str, int]:
        return {sample.id: number for number, sample in enumerate(self.samples)}

    def _probe(self, name: str) -> list[dict[str, Any]]:
        phase, number = name.split("-")
        identity, settings, measure = self._measure(phase)
        start = int(number) * BLOCK
        with self._progress(f"probing {phase}" if phase == "after" else "probing") as task:
            task(start, len(self.samples))
            block = self.samples[start : start + BLOCK]
            if self.settings.leak_store is None:
                measured = measure(block)
            else:
                from erasetest.probes.store import ProbeStore

                store = ProbeStore(self.settings.leak_store, identity, settings)
                with contextlib.closing(store):
                    measured = store.measured(block, measure)
            task(start + len(measured), len(self.samples))
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
        from erasetest.probes.store import identity

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

    def _erase(self) -> dict[str, Any]:
        from erasetest.erase import ErasureSettings, Lora, erase_to

        leaking = self.leaking()
        if not leaking:
            return {"erasure": None, "folder": None}
        samples = [self.by_id[sample_id] for sample_id in leaking]
        retained, held_out = self.retained
        rank = self.settings.erase_lora
        clm = self._open(str(self.settings.clm), self.settings.clm_adapter)
        kept = self._text_accuracy(clm, held_out)
        folder = Path(self.settings.erase_out or self.ledger.folder / "erased").absolute()
        with self._all_cores(), self._progress("erasing") as task:
            erasure = erase_to(
                folder,
                clm,
                samples,
                retained,
                self.thresholds,
                ErasureSettings(
                    method=str(self.settings.erase),
                    lr=self.settings.erase_lr,
                    lora=Lora(rank) if rank else None,
                    precision=self.settings.erase_precision,
                    checkpointing=self.settings.erase_checkpointing,
                    step_tokens=self.settings.erase_step_tokens,
                ),
                lambda step, expected: task(step.step, expected, step.note()),
                recalibrate=self._recalibration(clm),
                earlier=self._erased_before(clm, leaking),
            )
        return {
            "folder": str(folder),
            "erasure": {
                **erasure.as_dict(self.settings.erase_out),
                "retention": {
                    "texts": len(held_out),
                    "before": kept,
                    "after": self._text_accuracy(clm, held_out),
                    "margin": RETENTION_MARGIN,
                },
            },
        }

    def _erased_before(self, clm: Clm, leaking: list[str]) -> list[SensitiveSample]:
        """Samples of the run that this CLM was erased of before, and that do not leak."""
        known = {name for record in clm.records for name in record.ids} - set(leaking)
        return [sample for sample in self.samples if sample.id in known]

    def _text_accuracy(self, clm: Clm, texts: list[SensitiveSample]) -> float:
        from erasetest.probes.run import mean_text_accuracy

        return mean_text_accuracy(clm, texts, self.settings.leak_length)

    def _utility(self) -> dict[str, Any]:
        from erasetest.utility import utility_report

        if self.settings.erase:
            if self.erasure() is None:
                return {"utility": None}
            # What the CLM writes itself is no code that it has not seen.
            given = self.settings.erase_retain or self.settings.demo
            held_out = self.retained[1] if given else []
            scores = [
                self._score(self.clm, "before", held_out),
                self._score(self.erased_clm, "after", held_out),
            ]
        else:
            other = self._open(str(self.settings.utility_against), None)
            scores = [self._score(other, "against"), self._score(self.clm, "of the CLM")]
        return {"utility": utility_report(*scores, margin=self.settings.utility_margin)}

    def _score(
        self, clm: Clm, what: str, held_out: list[SensitiveSample] | None = None
    ) -> UtilityScore:
        from erasetest.utility.measure import Sampling, measure

        with self._progress(f"pass@k {what}") as task:
            return measure(
                clm,
                self.problems,
                Sampling(samples=self.settings.utility_samples),
                task,
                unsafe=self.settings.utility_unsafe_execution,
                greedy=True,
                held_out=held_out or (),
            )

    def _once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = self._guarded(name, lambda: self.ledger.make(name, lambda _: make()))
        return made

    def _guarded(self, name: str, make: Callable[[], Any]) -> Any:
        """Fail at once where the same work has failed in this process before."""
        if name in self._failed:
            raise self._failed[name]
        try:
            return make()
        except Exception as error:
            self._failed[name] = error.with_traceback(None)
            raise


@contextlib.contextmanager
def uncaptured(config: pytest.Config) -> Iterator[None]:
    """Let what is written in the block reach the terminal, whatever captures it."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    with capture.global_and_fixture_disabled():
        yield
