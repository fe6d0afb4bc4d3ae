"""Gates against a base: what is new, in real runs and in one process."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import command_line
import pytest
import tiny
from checkpoints import configure, edit, save_with_adapter
from gate_runs import everything, gate, leaked_parts
from pytest_erasetest.gate import Gate
from pytest_erasetest.inputs import RunInputs
from pytest_erasetest.model_loader import ModelLoader
from pytest_erasetest.option_checks import make_settings
from pytest_erasetest.shared_results import SharedResults

from erasetest.errors import BadInput, ClmError
from erasetest.samples import write_manifest

NEW, BEFORE = ["planted-0", "planted-1", "planted-2"], ["planted-3"]
"""The leaks of `leaking` that `base` does not have as badly, and those that it has: of `planted-2`
it knows much, but greedy decoding does not extract it."""


def _changes(document: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in document["samples"]:
        found.setdefault(str(row["change"]), []).append(row["id"])
    return found


@pytest.fixture(scope="module")
def compared(leaking: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run in which all leaks count: its folder and its result."""
    cwd = tmp_path_factory.mktemp("compared")
    run = gate(
        leaking,
        f"--clm-base={base}",
        "--leak-report=r.json",
        "--leak-report=r.md",
        "-vv",
        cwd=cwd,
    )
    return cwd, run


def test_a_leak_is_new_or_was_there_before(compared: Any, base: Path) -> None:
    """The report, its table and the terminal say which; all of them fail."""
    cwd, run = compared
    assert run.returncode == 1, run.stdout[-3000:]
    report = json.loads((cwd / "r.json").read_text())
    changes = _changes(report)
    assert (changes["new"], changes["before"]) == (NEW, BEFORE)
    assert set(changes) == {"new", "before", "None"}
    assert report["base"]["name"] == str(base)
    assert report["base"]["fingerprint"] != report["clm"]["fingerprint"]
    assert report["base"]["thresholds"] == report["thresholds"]
    assert report["base"]["new_only"] is False
    for row in report["samples"]:
        assert set(row["base"]) == {
            "verdict", "measures", "mean", "reasons", "details", "prompt",
        }  # fmt: skip
        assert row["base"]["measures"]["ma"] < row["measures"]["ma"] or row["id"] in BEFORE
    line = f"against base {base}: 3 new, 1 before, 0 gone"
    assert line in run.stdout
    assert line in (cwd / "r.md").read_text().replace("\\", "")
    assert "planted-0 leaks and is new: secret 1 of 1" in run.stdout
    assert "planted-3 leaks: secret 1 of 1" in run.stdout
    assert "leak, before" in run.stdout
    assert "ma base" in run.stdout


def test_nothing_that_a_comparison_writes_holds_a_secret(compared: Any) -> None:
    """At -vv, in both formats."""
    assert leaked_parts(everything(*compared)) == []


def test_only_new_leaks_fail_where_that_is_asked_for(
    compared: Any, leaking: Path, base: Path, tmp_path: Path
) -> None:
    """Old ones are skipped, and new ones still end the gate with 1; verdicts are the same."""
    run = gate(
        leaking, f"--clm-base={base}", "--leak-new-only", "--leak-report=r.json", "-rs",
        cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1, run.stdout[-3000:]
    assert "planted-3 leaks, as the base does: only new leaks fail" in run.stdout
    assert "planted-3 leaks: " not in run.stdout
    assert "planted-0 leaks and is new" in run.stdout
    assert ": leaks, 1 leak of the base not counted" in run.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["base"]["new_only"] is True
    assert report["samples"] == json.loads((compared[0] / "r.json").read_text())["samples"]


def test_what_is_gone_and_what_is_old_passes(leaking: Path, base: Path, tmp_path: Path) -> None:
    """The other way around: the CLM under test has forgotten two of four. `erasetest gate`."""
    arguments = [
        f"--clm={base}", f"--clm-base={leaking / 'clm'}", "--leak-new-only",
        f"--leak-samples={leaking / 'samples.jsonl'}", "--leak-report=r.json",
        f"--leak-thresholds={leaking / 'thresholds.json'}", "-p", "no:hypothesispytest",
    ]  # fmt: skip
    run = command_line.run("erasetest.cli", "gate", *arguments, cwd=tmp_path, timeout=240)
    assert run.returncode == 0, run.stdout + run.stderr
    assert ": clean, 2 leaks of the base not counted" in run.stdout
    assert "gone: planted-0, planted-1" in run.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["verdict"] == "clean"
    assert _changes(report)["before"] == ["planted-2", "planted-3"]
    assert _changes(report)["gone"] == ["planted-0", "planted-1"]
    run = gate(leaking, f"--clm={base}", f"--clm-base={leaking / 'clm'}", cwd=tmp_path)
    assert run.returncode == 1


@pytest.mark.slow
def test_two_workers_report_the_same(
    compared: Any, leaking: Path, base: Path, tmp_path: Path
) -> None:
    """Measures of both CLMs to the last bit; both workers measure the base first."""
    run = gate(leaking, f"--clm-base={base}", "--leak-report=r.json", "-n2", cwd=tmp_path)
    assert run.returncode == 1, run.stdout[-3000:]
    alone = json.loads((compared[0] / "r.json").read_text())
    both = json.loads((tmp_path / "r.json").read_text())
    assert both == alone


def test_only_new_leaks_are_erased(leaking: Path, base: Path, tmp_path: Path) -> None:
    """`erasetest gate` ends with 7, although the old leak remains in the checkpoint."""
    run = command_line.run(
        "erasetest.cli", "gate", f"--clm={leaking / 'clm'}", f"--clm-base={base}",
        "--leak-new-only", f"--leak-samples={leaking / 'samples.jsonl'}", "--erase=cu",
        f"--leak-thresholds={leaking / 'thresholds.json'}", "--leak-report=r.json",
        f"--erase-retain={leaking / 'retained.jsonl'}", "-p", "no:hypothesispytest", "-rs",
        cwd=tmp_path, timeout=240,
    )  # fmt: skip
    assert run.returncode == 7, run.stdout[-3000:] + run.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["erasure"]["samples"] == len(NEW)
    after = {row["id"]: row["after"]["verdict"] for row in report["samples"]}
    assert {after[name] for name in NEW} == {"pass"}
    assert after["planted-3"] == "leak"
    assert "planted-3 still leaks, as the base does" in run.stdout


def test_an_old_leak_is_not_accepted_for_later(leaking: Path, base: Path, tmp_path: Path) -> None:
    """`--leak-accept` accepts what fails this run; an old leak may be new to another base."""
    run = gate(
        leaking, f"--clm-base={base}", "--leak-new-only", "--leak-baseline=known.json",
        "--leak-accept", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1
    accepted = json.loads((tmp_path / "known.json").read_text())["accepted"]
    assert [row["id"] for row in accepted] == NEW
    known = ["--leak-baseline=known.json"]
    run = gate(leaking, f"--clm-base={base}", "--leak-new-only", *known, cwd=tmp_path)
    assert run.returncode == 0, run.stdout[-2000:]
    assert ": clean, 3 accepted leaks until " in run.stdout
    assert ", 1 leak of the base not counted" in run.stdout
    assert gate(leaking, *known, cwd=tmp_path).returncode == 1


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "another configuration": (
        lambda folder: configure(folder, max_position_embeddings=95),
        "has the same weights as",
    ),
    "the same files": (lambda folder: None, "has the same weights as"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
    "weights that are not finite": (
        lambda folder: edit(
            folder / "model.safetensors", lambda weights: {n: w * 1e38 for n, w in weights.items()}
        ),
        "finite",
    ),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    "an adapter": (
        lambda folder: (folder / "config.json").rename(folder / "adapter_config.json"),
        "is an adapter",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_base_that_cannot_be_used_ends_the_run(
    leaking: Path, base: Path, tmp_path: Path, case: str
) -> None:
    """Status 4 and one line that names it, not one per test; no report, whatever leaks count."""
    spoil, message = SPOILED[case]
    original = leaking / "clm" if "same weights" in message else base
    shutil.copytree(original, tmp_path / "base")
    spoil(tmp_path / "base")
    run = gate(
        leaking, f"--clm-base={tmp_path / 'base'}", "--leak-new-only", "--leak-report=r.json",
        cwd=tmp_path,
    )  # fmt: skip
    output = run.stdout + run.stderr
    assert run.returncode == 4, output
    (line,) = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    assert f"{tmp_path / 'base'}: " in line
    assert message in line
    assert "Traceback" not in output
    assert not (tmp_path / "r.json").exists()


def test_a_base_without_a_verdict_excuses_nothing(
    leaking: Path, base: Path, tmp_path: Path
) -> None:
    """Its window is too small for the secrets: all leaks are new, and the report says why."""
    shutil.copytree(base, tmp_path / "base")
    configure(tmp_path / "base", max_position_embeddings=4)
    run = gate(
        leaking, f"--clm-base={tmp_path / 'base'}", "--leak-new-only", "--leak-report=r.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 1, run.stdout[-3000:]
    rows = {row["id"]: row for row in json.loads((tmp_path / "r.json").read_text())["samples"]}
    for name in NEW + BEFORE:
        assert rows[name]["change"] == "new"
        assert rows[name]["base"]["verdict"] == "inconclusive"
        assert rows[name]["base"]["reasons"]
    assert "new because the base is inconclusive: planted-0, planted-1" in run.stdout


@contextlib.contextmanager
def _silent(title: str) -> Iterator[Any]:
    yield lambda *given: None


MakeGate = Callable[..., Gate]


@pytest.fixture
def make_gate(leaking: Path, base: Path, tmp_path: Path) -> MakeGate:
    """Make the gate of a run in this process, with other options if they are given."""
    count = iter(range(99))

    def make(**values: Any) -> Gate:
        given = {
            "clm": str(leaking / "clm"),
            "clm_base": str(base),
            "leak_samples": (str(leaking / "samples.jsonl"),),
            "leak_thresholds": str(leaking / "thresholds.json"),
            **values,
        }
        settings = make_settings({k: v for k, v in given.items() if v is not None}, [])
        folder = tmp_path / f"results-{next(count)}"
        folder.mkdir()
        loader = ModelLoader(settings, 0, 1, _silent)
        return Gate(settings, RunInputs(settings), loader, SharedResults(folder))

    return make


def test_a_test_sees_both(make_gate: MakeGate) -> None:
    """The fixture `leak` has the result on the base, and what changed."""
    leak = make_gate().before("planted-0")
    assert leak.base is not None
    assert leak.base.measured.measures["ma"] < leak.measures["ma"] == 1
    assert (leak.change, leak.excused, leak.fails_nothing) == ("new", False, False)
    old = make_gate(leak_new_only=True).before("planted-3")
    assert (old.change, old.excused, old.fails_nothing) == ("before", True, True)
    alone = make_gate(clm_base=None).before("planted-0")
    assert (alone.base, alone.change, alone.excused) == (None, None, False)


@pytest.mark.parametrize("first", ["leak", "clm"])
def test_memory_never_holds_both(
    make_gate: MakeGate, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """All of the base is measured, and it is gone before the CLM under test is loaded."""
    made = make_gate()
    alive: list[tuple[str, weakref.ref[Any]]] = []
    load = made.loader.load

    def watch(name: str, adapter: str | None = None) -> Any:
        gc.disable()
        assert [held for held, model in alive if model() is not None] == []
        clm = load(name, adapter)
        alive.append((Path(name).name, weakref.ref(clm.model)))
        return clm

    monkeypatch.setattr(made.loader, "load", watch)
    try:
        _ = made.before("planted-7") if first == "leak" else made.clm
        assert made.before("planted-3").change == "before"
    finally:
        gc.enable()
    assert [name for name, _ in alive] == ["base", "clm"]


def test_each_is_judged_by_its_own_control_secrets(
    make_gate: MakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibrated thresholds are those of the CLM that they judge; a file holds for both."""
    import erasetest.verdict

    calibrated = []
    calibrate = erasetest.verdict.calibrate

    def watch(clm: Any, *given: Any, **more: Any) -> Any:
        calibrated.append(Path(clm.name).name)
        return calibrate(clm, *given, **more)

    monkeypatch.setattr(erasetest.verdict, "calibrate", watch)
    made = make_gate(leak_thresholds=None)
    assert made.before("planted-0").verdict == "leak"
    assert calibrated == ["base", "clm"]
    mine, its = made.results.get("thresholds"), made.results.get("base-thresholds")
    assert mine["measures"] != its["measures"]
    given = make_gate()
    given.before("planted-0")
    assert calibrated == ["base", "clm"]
    assert given.results.get("thresholds") == given.results.get("base-thresholds")


def test_a_store_has_the_measures_of_both(
    make_gate: MakeGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run probes nothing; a run on the base alone has measured it for a later one."""
    import erasetest.probes

    probed = []
    probe = erasetest.probes.probe

    def watch(clm: Any, *given: Any, **more: Any) -> Any:
        probed.append(Path(clm.name).name)
        return probe(clm, *given, **more)

    monkeypatch.setattr(erasetest.probes, "probe", watch)
    store = {"leak_store": str(tmp_path / "measures.store")}
    base = make_gate().settings.clm_base
    make_gate(clm=base, clm_base=None, **store).before("planted-0")
    assert probed == ["base"]
    first = make_gate(**store).before("planted-0")
    assert probed == ["base", "clm"]
    assert make_gate(**store).before("planted-0") == first
    assert probed == ["base", "clm"]


def test_the_adapter_is_not_put_on_the_base(make_gate: MakeGate, tmp_path: Path) -> None:
    """So a CLM can be compared with itself without its adapter."""
    pytest.importorskip("peft")
    plain, adapter = save_with_adapter(tmp_path)
    made = make_gate(clm=str(plain), clm_base=str(plain), clm_adapter=str(adapter))
    assert {made.before(sample.id).change for sample in tiny.PLANTED} >= {"new"}
    with pytest.raises(BadInput, match="has the same weights"):
        make_gate(clm=str(plain), clm_base=str(plain)).before("planted-0")


def test_a_quantized_file_is_a_base(
    make_gate: MakeGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are those of the checkpoint that it was made of."""
    pytest.importorskip("gguf")
    from gguf_files import write_gguf

    monkeypatch.setenv("ERASETEST_CACHE", str(tmp_path / "cache"))
    path = write_gguf(tiny.reciting("qwen2"), tmp_path / "base.gguf", quantized=True)
    made = make_gate(clm_base=str(path))
    assert made.before("planted-0").change == "before"
    assert made.results.get("base")["name"] == str(path)


def test_other_tokens_are_refused_before_anything_is_loaded(
    make_gate: MakeGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for the process: the next test gets the same answer."""
    other = tiny.save(tiny.untrained("gpt2"), tmp_path / "gpt2")
    made = make_gate(clm_base=str(other))
    monkeypatch.setattr(made.loader, "load", lambda *given: pytest.fail("loaded"))
    with pytest.raises(BadInput) as caught:
        made.before("planted-0")
    message = str(caught.value)
    assert message.startswith(f"{other}: cannot be compared with {made.settings.clm} token by")
    assert len(message.splitlines()) == 1
    assert made.refused == message
    with pytest.raises(BadInput, match="cannot be compared"):
        made.before("planted-1")
    with pytest.raises(BadInput, match="cannot be compared"):
        _ = made.clm


def test_what_interrupts_the_base_is_not_a_verdict(
    make_gate: MakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a time-out while it is loaded, every test gets the reason, with its name."""
    made = make_gate(leak_new_only=True)
    monkeypatch.setattr(made.loader, "load", lambda *given: pytest.fail("Timeout"))
    for name in ("planted-0", "planted-7"):
        with pytest.raises(ClmError, match="base: was stopped while it was loaded"):
            made.before(name)
    with pytest.raises(ClmError, match="base: was stopped"):
        made.leaking()


def test_the_leaks_to_erase_are_new_and_not_accepted(make_gate: MakeGate, tmp_path: Path) -> None:
    """Without `--leak-new-only`, all of them."""
    assert make_gate().leaking() == sorted(NEW + BEFORE)
    assert make_gate(leak_new_only=True).leaking() == NEW


def test_what_was_gone_must_not_return(make_gate: MakeGate) -> None:
    """A leak of the erased CLM is excused only if the given CLM has it too."""
    made = make_gate(leak_new_only=True)
    reversed_ = make_gate(
        clm=made.settings.clm_base, clm_base=made.settings.clm, leak_new_only=True
    )
    for sample in tiny.PLANTED[:4]:
        reversed_.before(sample.id)
    # The base's own results take the place of those of an erased CLM.
    reversed_.results.put("after-00000", reversed_.results.get("base-00000"))
    assert reversed_.before("planted-0").change == "gone"
    assert reversed_.after("planted-0").verdict == "leak"
    assert not reversed_.after("planted-0").excused
    assert reversed_.after("planted-3").excused


def test_many_blocks_are_measured_on_the_base(make_gate: MakeGate, tmp_path: Path) -> None:
    """More samples than one block has, each compared with its own result."""
    many = [dataclasses.replace(s, id=f"{s.id}-{n}") for n in range(5) for s in tiny.PLANTED]
    write_manifest(tmp_path / "many.jsonl", many)
    made = make_gate(leak_samples=(str(tmp_path / "many.jsonl"),))
    changes = {sample.id: made.before(sample.id).change for sample in made.inputs.samples}
    assert len(changes) == 40
    for name, change in changes.items():
        stem = name.rpartition("-")[0]
        assert change == ("new" if stem in NEW else "before" if stem in BEFORE else None)
