"""What the gate and the command pass to erasing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny
from erase_runs import LIMITS
from pytest_erasetest.gate import Gate
from pytest_erasetest.inputs import RunInputs
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.option_checks import make_settings
from pytest_erasetest.shared_results import SharedResults

from erasetest.cli import app
from erasetest.clm import Clm
from erasetest.clm.erasure_records import Record
from erasetest.erasing import Erasure
from erasetest.samples import SensitiveSample, make_sample, write_manifest
from erasetest.support.progress import progress
from erasetest.verdict import Thresholds

NAME = "some/clm"
PUBLISHED = "codeparrot/codeparrot-small"
CALIBRATED = Thresholds("calibrated", LIMITS.any_kind, references={"email": 16})

# Twelve different texts, some of them twice, with other ids.
KEPT = [make_sample(f"kept_{n} = {n}\n", id=f"kept-{n}") for n in range(12)]
RETAINED = [*KEPT, *(dataclasses.replace(text, id=f"{text.id}-again") for text in KEPT)]


@dataclass
class Asked:
    """Records the arguments of erasing, instead of erasing, and the measurements around it."""

    clm: Clm
    retained: Sequence[SensitiveSample] = ()
    earlier: Sequence[SensitiveSample] = ()
    recalibrate: Any = None
    order: list[str] = field(default_factory=list)
    measured: list[Sequence[SensitiveSample]] = field(default_factory=list)
    repeats: list[Sequence[SensitiveSample]] = field(default_factory=list)
    calibrated: list[list[str]] = field(default_factory=list)

    def erase_to(
        self, folder: Path, clm: Clm, samples: object, retained: Any, *_: object, **how: Any
    ) -> Erasure:
        """Erase nothing."""
        assert clm is self.clm
        self.order.append("erased")
        self.retained, self.earlier = retained, how["earlier"]
        self.recalibrate = how["recalibrate"]
        return Erasure("decoys", {}, 1, 1, 1.0, None, True, (), LIMITS)

    def accuracy(self, clm: Clm, texts: Sequence[SensitiveSample], _: int) -> float:
        """0.9 at first, and 0.8 from then on."""
        self.order.append("measured")
        self.measured.append(texts)
        return 0.9 if len(self.measured) == 1 else 0.8

    def copying(self, clm: Clm, repeats: Sequence[SensitiveSample]) -> float:
        """0.7 at first, and 0.6 from then on."""
        assert clm is self.clm
        self.repeats.append(repeats)
        return 0.7 if len(self.repeats) == 1 else 0.6

    def calibrate(self, clm: Clm, samples: Sequence[SensitiveSample], **_: object) -> Thresholds:
        """The same each time."""
        assert clm is self.clm
        self.calibrated.append([sample.id for sample in samples])
        return CALIBRATED


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A CLM with samples erased before, in a folder with the input files."""
    asked = Asked(tiny.untrained("qwen2"))
    asked.clm.records = (
        Record("decoys", "first", 9, True, ("planted-0", "planted-2", "elsewhere")),
        Record("decoys", "second", 9, True, ("planted-3",)),
    )
    monkeypatch.setattr("erasetest.loading.open_clm", lambda *_: asked.clm)
    monkeypatch.setattr("erasetest.erasing.pipeline.erase_to", asked.erase_to)
    monkeypatch.setattr(
        "erasetest.erasing.self_generated.self_generated_texts", lambda *_, **__: RETAINED
    )
    monkeypatch.setattr("erasetest.probes.text_probing.mean_text_accuracy", asked.accuracy)
    monkeypatch.setattr("erasetest.probes.text_probing.mean_copying_accuracy", asked.copying)
    monkeypatch.setattr("erasetest.verdict.calibration.calibrate", asked.calibrate)
    monkeypatch.setattr(Gate, "leaking", lambda _: ["planted-0", "planted-1"])
    monkeypatch.chdir(tmp_path)
    write_manifest("samples.jsonl", tiny.PLANTED[:5])
    write_manifest("retained.jsonl", RETAINED)
    # As `erasetest calibrate` writes them.
    Path("limits.json").write_text(json.dumps(CALIBRATED.as_dict()))
    return asked


def _gate(**given: object) -> Gate:
    """Return a gate on the first five planted samples."""
    values: dict[str, Any] = {
        "clm": NAME,
        "leak_samples": ("samples.jsonl",),
        "leak_thresholds": "limits.json",
        "leak_length": 32,
        "erase": "decoys",
        **given,
    }
    settings = make_settings({name: v for name, v in values.items() if v is not None}, [])
    Path("results").mkdir()
    loader = ModelLoader(settings, 0, 1, progress)
    return Gate(settings, RunInputs(settings), loader, SharedResults(Path("results")))


def _erase_by_gate(**given: object) -> dict[str, Any]:
    """Return the retention in the report of such a gate."""
    erasure = _gate(**given).erasure()
    assert erasure is not None
    retention: dict[str, Any] = erasure["retention"]
    return retention


@pytest.mark.usefixtures("asked")
def test_one_clm_is_in_memory_while_the_gate_erases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probed CLM is loaded again when it is needed."""
    gate = _gate(erase_retain="retained.jsonl")
    held: list[bool] = []

    def erase_to(*_: object, **__: object) -> Erasure:
        held.append("clm" in vars(gate))
        return Erasure("decoys", {}, 1, 1, 1.0, None, True, (), LIMITS)

    monkeypatch.setattr("erasetest.erasing.pipeline.erase_to", erase_to)
    assert gate.clm is not None
    gate.erasure()
    assert held == [False]
    assert gate.clm is not None


@pytest.mark.parametrize("retain", ["retained.jsonl", None])
def test_retention_is_measured_on_code_that_erasing_never_sees(
    retain: str | None, asked: Asked
) -> None:
    """Before and after, on the same texts, given or self-generated."""
    retention = _erase_by_gate(erase_retain=retain)
    assert asked.order == ["measured", "erased", "measured"]
    before, after = asked.measured
    held_out, kept = (
        {text.content.reveal() for text in texts} for texts in (before, asked.retained)
    )
    assert (len(held_out), len(kept)) == (3, 9)
    assert not held_out & kept
    assert list(after) == list(before)
    assert retention == {
        "texts": 3,
        "before": 0.9,
        "after": 0.8,
        "margin": 0.03,
        "copying": {"before": 0.7, "after": 0.6},
    }
    repeats_before, repeats_after = asked.repeats
    assert repeats_before
    assert list(repeats_after) == list(repeats_before)


def test_the_gate_checks_again_what_the_clm_was_erased_of_before(asked: Asked) -> None:
    """Samples of this run only; one that leaks is erased anyway."""
    _erase_by_gate()
    assert list(asked.earlier) == [tiny.PLANTED[2], tiny.PLANTED[3]]


@pytest.mark.parametrize(
    ("clm", "limits", "again"),
    [(NAME, None, True), (NAME, "limits.json", False), (PUBLISHED, None, False)],
)
def test_the_gate_calibrates_again_what_it_calibrated(
    clm: str, limits: str | None, again: bool, asked: Asked
) -> None:
    """On the samples of the run; thresholds that were given or published stay as they are."""
    _erase_by_gate(clm=clm, leak_thresholds=limits)
    ids = [sample.id for sample in tiny.PLANTED[:5]]
    assert asked.calibrated == [ids] * again
    assert (asked.recalibrate is not None) is again
    if again:
        assert asked.recalibrate() == CALIBRATED
        assert asked.calibrated == [ids, ids]


def _erase_by_command(clm: str, *more: str) -> None:
    app(
        ["erase", "samples.jsonl", "--clm", clm, "--retain", "retained.jsonl", "-o", "out", *more],
        standalone_mode=False,
    )


def test_the_command_checks_again_what_was_erased_earlier(asked: Asked) -> None:
    """Samples of all given manifests except those to erase; none without the option."""
    write_manifest("first.jsonl", tiny.PLANTED[4:6])
    write_manifest("second.jsonl", tiny.PLANTED[6:7])
    limits = ["--thresholds", "limits.json"]
    _erase_by_command(NAME, *limits, "--earlier", "first.jsonl", "--earlier", "second.jsonl")
    assert list(asked.earlier) == [tiny.PLANTED[5], tiny.PLANTED[6]]
    _erase_by_command(NAME, *limits)
    assert list(asked.earlier) == []


@pytest.mark.parametrize(
    ("clm", "limits", "again"),
    [
        (NAME, [], True),
        (NAME, ["--thresholds", "limits.json"], False),
        (PUBLISHED, [], False),
    ],
)
def test_the_command_calibrates_again_what_it_calibrated(
    clm: str, limits: list[str], again: bool, asked: Asked
) -> None:
    """On all samples, earlier ones too; thresholds that were given or published stay."""
    write_manifest("earlier.jsonl", tiny.PLANTED[5:6])
    _erase_by_command(clm, "--earlier", "earlier.jsonl", *limits)
    ids = [sample.id for sample in tiny.PLANTED[:6]]
    assert asked.calibrated == [ids] * again
    assert (asked.recalibrate is not None) is again
    if again:
        assert asked.recalibrate() == CALIBRATED
        assert asked.calibrated == [ids, ids]
