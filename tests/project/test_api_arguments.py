"""Every argument of the public functions reaches what it is for, and bad ones are refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tiny

import erasetest
from erasetest.clm import Clm
from erasetest.endpoint import Endpoint
from erasetest.errors import BadInput
from erasetest.verdict import Thresholds

LIMITS = Thresholds("test", {"ma": 0.9})
PROBLEM = object()


@dataclass
class Recorder:
    """Stands in for a function and returns what it is called with, by parameter."""

    real: Callable[..., Any]
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, *given: Any, **named: Any) -> Recorder:
        bound = inspect.signature(self.real).bind(*given, **named)
        self.calls.append(dict(bound.arguments))
        return self


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Recorder]:
    """Replaces a function by its recorder."""

    def replace(name: str) -> Recorder:
        module, _, attribute = name.rpartition(".")
        real = getattr(__import__(module, fromlist=[attribute]), attribute)
        recorder = Recorder(real)
        monkeypatch.setattr(name, recorder)
        return recorder

    return replace


@pytest.fixture(scope="module")
def clm() -> Clm:
    """A CLM that nothing is asked of."""
    return tiny.untrained("qwen2")


def test_load(record: Callable[[str], Recorder], tiny_folder: Path) -> None:
    """Pickles and remote code are told apart above all: both can run code."""
    opened = record("erasetest.loading.open_clm")
    record("erasetest.loading.check_clm_name")
    erasetest.load(
        tiny_folder, adapter=Path("a"), device="cpu", dtype="float16", batch_tokens=7,
        allow_pickle=True,
    )  # fmt: skip
    (call,) = opened.calls
    options = call["options"]
    assert call["name"] == str(tiny_folder)
    assert (options.adapter, options.device, options.dtype) == ("a", "cpu", "float16")
    assert (options.batch_tokens, options.allow_pickle, options.trust_remote_code) == (
        7, True, False,
    )  # fmt: skip
    erasetest.load(tiny_folder, trust_remote_code=True)
    options = opened.calls[1]["options"]
    assert (options.allow_pickle, options.trust_remote_code) == (False, True)


def test_an_endpoint_gets_the_number_of_queries(urls: dict[bool, str]) -> None:
    """Samples that are drawn for each secret."""
    model = erasetest.load(urls[False], queries=3)
    assert isinstance(model, Endpoint)
    assert model.options.samples == 3


def test_scan(record: Callable[[str], Recorder], tmp_path: Path) -> None:
    """All settings of the scan."""
    scanned = record("erasetest.scanning.scan_to")
    scanned.found = 0  # type: ignore[attr-defined]
    erasetest.scan(
        "a", Path("b"), output=tmp_path / "m", min_confidence="high", limit=5, seed=6, processes=2
    )
    (call,) = scanned.calls
    settings = call["settings"]
    assert (call["output"], call["paths"]) == (tmp_path / "m", [Path("a"), Path("b")])
    assert settings.rules.min_confidence == "high"
    assert (settings.limit, settings.seed, settings.processes) == (5, 6, 2)


def test_probe(record: Callable[[str], Recorder], clm: Clm) -> None:
    """The sampler that probabilities are of, and the decoys of exposure."""
    probed = record("erasetest.probes.probing.probe")
    progress = Recorder(lambda done, total: None)
    erasetest.probe(
        clm, iter(tiny.PLANTED), references=9, temperature=0.5, top_k=3, top_p=0.7,
        progress=progress,
    )  # fmt: skip
    (call,) = probed.calls
    settings = call["settings"]
    assert call["clm"] is clm
    assert call["samples"] == list(tiny.PLANTED)
    assert call["progress"] is progress
    assert settings.references == 9
    sampler = settings.sampler
    assert (sampler.temperature, sampler.top_k, sampler.top_p) == (0.5, 3, 0.7)


def test_calibrate(record: Callable[[str], Recorder], clm: Clm) -> None:
    """Everything, under its name."""
    calibrated = record("erasetest.verdict.calibration.calibrate")
    progress = Recorder(lambda done, total: None)
    given = {"references": 5, "seed": 3, "check": True, "progress": progress}
    erasetest.calibrate(clm, tiny.PLANTED[:1], unseen=tiny.PLANTED[1:], **given)
    (call,) = calibrated.calls
    assert {name: call[name] for name in given} == given
    assert call["samples"] == list(tiny.PLANTED[:1])
    assert call["unseen"] == list(tiny.PLANTED[1:])


@pytest.mark.parametrize("writes", [True, False])
def test_erase(record: Callable[[str], Recorder], clm: Clm, tmp_path: Path, writes: bool) -> None:
    """Settings, samples, and those that were erased before."""
    to, in_place = "erasetest.erasing.pipeline.erase_to", "erasetest.erasing.trainer.erase"
    erased = record(to if writes else in_place)
    folder = tmp_path / "erased" if writes else None
    erasetest.erase(
        clm, tiny.PLANTED[:1], folder, retain=tiny.RETAINED, thresholds=LIMITS,
        earlier=tiny.PLANTED[1:2], method="npo", lora=4, lr=1e-4, max_steps=9, seed=8,
    )  # fmt: skip
    (call,) = erased.calls
    assert call.get("folder") == folder
    assert call["clm"] is clm
    assert [sample.id for sample in call["samples"]] == [tiny.PLANTED[0].id]
    assert [sample.id for sample in call["earlier"]] == [tiny.PLANTED[1].id]
    assert call["retained"] is tiny.RETAINED
    assert call["thresholds"] is LIMITS
    assert call["recalibrate"] is None
    settings = call["settings"]
    assert (settings.method, settings.lr, settings.max_steps) == ("npo", 1e-4, 9)
    assert settings.lora is not None
    assert (settings.lora.rank, settings.lora.merge, settings.seed) == (4, True, 8)


def test_erase_counts_steps(record: Callable[[str], Recorder], clm: Clm) -> None:
    """By the same progress as other functions."""
    erased = record("erasetest.erasing.trainer.erase")
    steps: list[tuple[int, int]] = []
    erasetest.erase(
        clm, tiny.PLANTED[:1], retain=tiny.RETAINED, thresholds=LIMITS,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip

    class Step:
        step = 3

    erased.calls[0]["progress"](Step(), 7)
    assert steps == [(3, 7)]


def test_published_thresholds_are_not_those_of_an_adapter(
    record: Callable[[str], Recorder], clm: Clm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were measured on the CLM that has the name, without one."""
    erased = record("erasetest.erasing.trainer.erase")
    calibrated = record("erasetest.verdict.calibration.calibrate")
    monkeypatch.setattr(clm, "name", "codeparrot/codeparrot")
    erasetest.erase(clm, tiny.PLANTED[:1], retain=tiny.RETAINED)
    assert calibrated.calls == []
    monkeypatch.setattr(clm, "adapter", "somewhere")
    erasetest.erase(clm, tiny.PLANTED[:1], retain=tiny.RETAINED)
    assert len(calibrated.calls) == 1
    assert erased.calls[1]["recalibrate"] is not None


def test_evaluate(record: Callable[[str], Recorder], clm: Clm) -> None:
    """Problems are checked, then completed as it is asked."""
    checked = record("erasetest.utility.problem_check.check_problems")
    evaluated = record("erasetest.utility.evaluation.evaluate")
    problems: list[Any] = [PROBLEM]
    erasetest.evaluate(
        clm, problems, samples=3, temperature=0.5, top_p=0.6, max_tokens=7, seed=8, greedy=True,
        held_out=tiny.RETAINED, unsafe_execution=True,
    )  # fmt: skip
    assert [(call["problems"], call["unsafe"]) for call in checked.calls] == [(problems, True)]
    (call,) = evaluated.calls
    sampling = call["sampling"]
    assert (sampling.samples, sampling.temperature, sampling.top_p) == (3, 0.5, 0.6)
    assert (sampling.max_tokens, sampling.seed) == (7, 8)
    assert (call["greedy"], call["held_out"], call["unsafe"]) == (True, tiny.RETAINED, True)


def test_compare(record: Callable[[str], Recorder]) -> None:
    """Which score is the earlier one, and the margin."""
    compared = record("erasetest.utility.non_inferiority.compare")
    before: Any = "before"
    after: Any = "after"
    erasetest.compare(before, after, margin=0.5)
    assert compared.calls == [{"before": "before", "after": "after", "margin": 0.5}]


MODEL: Any = "the model"
CALLS: dict[str, tuple[Callable[[Any], object], str]] = {
    "no tokens": (lambda _: erasetest.load("x", batch_tokens=0), "batch_tokens must be a whole"),
    "text for a number": (
        lambda _: erasetest.load("x", batch_tokens="10"),  # type: ignore[arg-type]
        "batch_tokens must be a whole number of 1 or more, got '10'",
    ),
    "no queries": (lambda _: erasetest.load("x", queries=0), "queries must be"),
    "no manifest": (lambda _: erasetest.read_samples(), "no manifest to read"),
    "no corpus": (lambda _: erasetest.scan(), "nothing to scan"),
    "no samples of a scan": (lambda _: erasetest.scan(".", limit=0), "limit must be"),
    "fewer than none": (lambda _: erasetest.scan(".", limit=-3), "limit must be"),
    "no process": (lambda _: erasetest.scan(".", processes=0), "processes must be"),
    "confidence": (lambda _: erasetest.scan(".", min_confidence="sure"), "expected one of"),
    "references": (lambda m: erasetest.probe(m, [], references=-1), "references must be"),
    "temperature": (lambda m: erasetest.probe(m, [], temperature=-1), "temperature"),
    "too few decoys": (lambda m: erasetest.calibrate(m, [], references=3), "references must be"),
    "nothing to erase": (lambda m: erasetest.erase(m, []), "no samples to erase"),
    "method": (lambda m: erasetest.erase(m, tiny.PLANTED, method="x"), "no erasing method 'x'"),
    "no problems": (lambda m: erasetest.evaluate(m, []), "no problems to evaluate"),
    "no completions": (lambda m: erasetest.evaluate(m, [PROBLEM], samples=0), "samples must be"),
    "cold": (lambda m: erasetest.evaluate(m, [PROBLEM], temperature=-1), "temperature must be"),
    "nucleus": (lambda m: erasetest.evaluate(m, [PROBLEM], top_p=2), "top_p must be"),
    "no nucleus": (lambda m: erasetest.evaluate(m, [PROBLEM], top_p=0), "top_p must be"),
    "no token": (lambda m: erasetest.evaluate(m, [PROBLEM], max_tokens=0), "max_tokens must be"),
    "no model": (lambda _: erasetest.calibrate(MODEL, []), "must come from erasetest.load"),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_arguments_are_refused_by_name(clm: Clm, name: str) -> None:
    """Before any work, in one line."""
    call, message = CALLS[name]
    with pytest.raises(BadInput, match=message) as caught:
        call(clm)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", ["calibrate", "erase", "evaluate"])
def test_an_endpoint_can_only_be_probed(function: str, urls: dict[bool, str]) -> None:
    """Its weights are elsewhere."""
    model = erasetest.load(urls[False])
    with pytest.raises(BadInput, match="is an endpoint, which can only be probed"):
        getattr(erasetest, function)(model, tiny.PLANTED)


def test_an_id_in_two_retained_manifests_is_refused(leaking: Path) -> None:
    """As in two manifests of secrets."""
    path = leaking / "retained.jsonl"
    with pytest.raises(BadInput, match="already used"):
        erasetest.read_samples(path, path, require_secrets=False)


def test_a_folder_that_is_in_use_is_refused_before_the_calibration(
    record: Callable[[str], Recorder], clm: Clm, tmp_path: Path
) -> None:
    """As by the command: calibrating takes long."""
    calibrated = record("erasetest.verdict.calibration.calibrate")
    (tmp_path / "erased").mkdir()
    (tmp_path / "erased" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="erased"):
        erasetest.erase(clm, tiny.PLANTED[:1], tmp_path / "erased", retain=tiny.RETAINED)
    assert calibrated.calls == []
