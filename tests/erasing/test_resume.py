"""Killed runs go on."""

from __future__ import annotations

import contextlib
import io
import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest import __version__
from erasetest.clm.erasure_records import check_new_checkpoint
from erasetest.erasing import erase_to, resume
from erasetest.erasing.erasure_result import HARMED, Step
from erasetest.erasing.pipeline import _FORM
from erasetest.erasing.resume import ResumeFile, key_of
from erasetest.erasing.trainer import _Run, _silent
from erasetest.erasing.undo import Distillation
from erasetest.errors import BadInput
from erasetest.verdict import Thresholds

_SCRIPT = """
import sys, pathlib, time
sys.path[:0] = {paths!r}
import tiny, erasing as t
from erasetest.erasing.undo import Healing
from erasetest.clm import load_clm
from erasetest.erasing import Lora, erase_to
def tell(step, expected):
    print(step.step, flush=True)
    if str(step.step) == sys.argv[4]:
        time.sleep(60)  # until it is killed
erase_to(pathlib.Path(sys.argv[2]), load_clm(sys.argv[1]), t.FORGET, tiny.RETAINED, t.LIMITS,
         t.settings(**dict(method='decoys') | eval(sys.argv[3])), tell, keep_every=0.0)
"""


def _run(clm: Path, out: Path, how: str, kill_at: int | None = None) -> list[int]:
    """The steps of a process that erases; with `kill_at`, killed once it told of that step."""
    script = _SCRIPT.format(paths=[str(Path(__file__).parents[1] / "helpers")])
    steps = []
    with subprocess.Popen(
        [sys.executable, "-c", script, str(clm), str(out), how, str(kill_at)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_at:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL)
    return steps


_LASTING = "dict(method='lasting', healing=Healing(steps=30, texts=20, tokens=300))"


@pytest.mark.parametrize(("how", "kill_at", "most"), [("dict(lr=2e-4)", 5, 80), (_LASTING, 40, 99)])
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    how: str, kill_at: int, most: int, tmp_path: Path
) -> None:
    """The same weights to the last bit, the same history, and nothing left beside them."""
    clm = tiny.save(tiny.reciting("qwen2"), tmp_path / "clm")
    whole = _run(clm, tmp_path / "whole", how)
    assert kill_at + 3 < len(whole) <= most
    _run(clm, tmp_path / "killed", how, kill_at)
    assert not (tmp_path / "killed").exists()
    assert (tmp_path / ".killed.unfinished").exists()
    rest = _run(clm, tmp_path / "killed", how)
    assert rest[0] == kill_at
    assert rest[-1] == whole[-1]
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob(".killed*"))


def test_the_state_of_a_finished_checkpoint_goes(tmp_path: Path) -> None:
    """Where the run was killed between the checkpoint's last rename and the end."""
    folder = tmp_path / "out"
    erase_runs.to(folder, tiny.reciting("qwen2"))
    ResumeFile(folder, "key", every=0.0).write({"step": torch.tensor([3.0])})
    with pytest.raises(BadInput, match="is there already"):
        check_new_checkpoint(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_state_beside_a_folder_that_is_no_checkpoint_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").write_text("mine")
    ResumeFile(tmp_path / "out", "key", every=0.0).write({"step": torch.tensor([3.0])})
    with pytest.raises(BadInput, match="is there already"):
        check_new_checkpoint(tmp_path / "out")
    assert (tmp_path / ".out.unfinished").exists()


def _begun() -> _Run:
    asked = erase_runs.settings("decoys", lr=1e-3)
    return _Run(
        tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, asked, None, _silent, None, None
    )


def test_the_form_of_a_state_has_a_number() -> None:
    """One of another form is not gone on with: who changes these keys raises the number."""
    state = _begun()._state()
    keys = {*state, *(f"judge.{key}" for key in state["judge"])}
    keys |= {f"rule.{key}" for key in state["judge"]["rule"]}
    assert f"{__version__}/6" == _FORM
    assert keys == {
        "parameters", "optimizer", "rng", "judge", "guard", "looked", "limit", "history", "seconds",
        "lr", "restored", "judge.rule", "judge.looks", "judge.rank", "judge.stands_out",
        "rule.owed", "rule.likelier", "rule.accuracy", "rule.extracted", "rule.thresholds",
    }  # fmt: skip


def test_other_work_begins_anew(tmp_path: Path) -> None:
    """A state of other samples or settings, or one that is damaged, is not taken up."""
    kept = ResumeFile(tmp_path / "out", "key", every=0.0)
    kept.write({"step": torch.tensor([3.0])})
    assert ResumeFile(tmp_path / "out", "other").read() is None
    found = ResumeFile(tmp_path / "out", "key").read()
    assert found is not None
    assert found["step"].tolist() == [3.0]
    kept.path.write_bytes(b"PK damaged")
    assert kept.read() is None
    kept.remove()
    assert kept.read() is None
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """It is not damaged, and what it holds is not thrown away."""
    (tmp_path / ".out.unfinished").mkdir()
    with pytest.raises(BadInput, match=r"cannot be read \(Is a directory\): make it readable"):
        ResumeFile(tmp_path / "out", "key").read()


def test_no_room_for_a_state_is_said_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; nothing half-written stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    clm = tiny.reciting("qwen2")
    with pytest.warns(UserWarning, match="erasing goes on, but is not kept") as said:
        done = erase_runs.to(tmp_path / "out", clm, keep_every=0.0)
    assert done.erased
    assert len([w for w in said if "not kept" in str(w.message)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("ended_by", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_state_that_is_half_written_leaves_the_one_before(
    ended_by: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ended the writing: there is one to go on from, and it is whole."""
    kept = ResumeFile(tmp_path / "out", "key", every=0.0)
    kept.write({"step": torch.tensor([3.0])})
    save = torch.save

    def half(state: object, file: BinaryIO) -> None:
        whole = io.BytesIO()
        save(state, whole)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        raise ended_by

    monkeypatch.setattr(torch, "save", half)
    stopped = isinstance(ended_by, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) if stopped else pytest.warns(match="is not kept"):
        kept.write({"step": torch.tensor([4.0])})
    found = ResumeFile(tmp_path / "out", "key").read()
    assert found is not None
    assert found["step"].tolist() == [3.0]


def test_what_is_asked_for_is_all_that_it_hangs_on() -> None:
    """Settings, samples, retained code, what was erased earlier, and the spans of secrets."""
    one, other = tiny.PLANTED[:2]
    kept = tiny.RETAINED[0]
    keys = [
        key_of(["a"], [[one], [kept], []]),
        key_of(["b"], [[one], [kept], []]),
        key_of(["a"], [[other], [kept], []]),
        key_of(["a"], [[one], [tiny.RETAINED[1]], []]),
        key_of(["a"], [[one], [kept], [other]]),
        key_of(["a"], [[one], [kept, other], []]),
        key_of(["a"], [[replace(one, secrets=())], [kept], []]),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(["a"], [[one], [kept], []]) == keys[0]


class _Killed(Exception):
    """In place of a signal: the state that was kept is the same."""


@pytest.mark.parametrize("change", ["retained", "settings", "limits", "clm", "earlier"])
def test_a_state_of_another_request_is_not_gone_on_with(change: str, tmp_path: Path) -> None:
    """Its history would tell."""
    asked = {
        "retained": list(tiny.RETAINED), "settings": erase_runs.settings("decoys"), "limits": LIMITS,
        "clm": "tiny-qwen2", "earlier": (),
    }  # fmt: skip
    other = {
        "retained": tiny.RETAINED[1:],
        "settings": erase_runs.settings("decoys", seed=7),
        "limits": replace(LIMITS, any_kind={**LIMITS.any_kind, "ma": 0.3}),
        "clm": "another of the same name",
        "earlier": (tiny.PLANTED[5],),
    }
    said: list[str] = []

    def kill(step: Step, _: int) -> None:
        if step.step == 4:
            raise _Killed

    def run(how: dict[str, Any], tell: Callable[[Step, int], None]) -> None:
        clm = tiny.reciting("qwen2")
        clm.fingerprint = how["clm"]
        erase_to(
            tmp_path / "out", clm, FORGET, how["retained"], how["limits"], how["settings"], tell,
            earlier=how["earlier"], remark=said.append, keep_every=0.0,
        )  # fmt: skip

    with pytest.raises(_Killed):
        run(asked, kill)
    for how, first in ((asked, 4), ({**asked, change: other[change]}, 1)):
        steps: list[int] = []
        with pytest.raises(_Killed):
            run(how, lambda step, _, steps=steps: (steps.append(step.step), kill(step, 0)))  # type: ignore[misc]
        assert steps[0] == first
    assert [line.split(": ")[1].split()[0:3] for line in said] == [
        ["a", "killed", "run"],
        ["of", "another", "request,"],
    ]


def test_a_run_that_goes_on_knows_all_that_the_killed_one_did() -> None:
    """Its rate after a restored state, how often there was one, and what it would go back to."""
    one, other = _begun(), _begun()
    one.lr, one.reader.limit, one.good.restored, one.draws.looked = 2.5e-4, 777, 2, 13
    one.optimizer = one._fresh_optimizer()
    with torch.no_grad():
        for parameter in one.trained.parameters:
            parameter.mul_(1.01)
    other._load_state_dict(one._state())
    assert (other.lr, other.good.restored) == (2.5e-4, 2)
    assert (other.reader.limit, other.draws.looked) == (777, 13)
    assert [group["lr"] for group in other.optimizer.param_groups] == [2.5e-4]
    torch.testing.assert_close(other.good.weights, [p.detach() for p in one.trained.parameters])


def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    """The next run would go on from them, and fail as this one does."""
    work = ResumeFile(tmp_path / "out", "key", every=0.0)
    asked = erase_runs.settings("decoys")
    run = _Run(
        tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, asked, None, _silent, None, work
    )
    assert run._is_due(work)
    with torch.no_grad():
        run.trained.parameters[3].view(-1)[5] = float("nan")
    assert not run._is_due(work)


def test_a_fault_while_healing_costs_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient that was no number once: half the rates from there on, and it is told."""
    healing = Distillation(steps=12, texts=20, tokens=300)
    settings = erase_runs.settings("lasting", healing=healing)
    clip, count = torch.nn.utils.clip_grad_norm_, itertools.count(1)

    def broken(parameters: list[torch.nn.Parameter], most: float) -> None:
        clip(parameters, most)
        if next(count) == 5:
            parameters[3].grad.view(-1)[0] = float("nan")  # type: ignore[union-attr]

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", broken)

    steps: list[int] = []
    done = erase_to(
        tmp_path / "out",
        tiny.reciting("qwen2"),
        FORGET,
        tiny.RETAINED,
        LIMITS,
        settings,
        lambda step, _: steps.append(step.step) if step.healing else None,
        keep_every=0.0,
    )
    first = done.steps - 12
    assert steps == [first + n for n in range(1, 13) if n != 6]
    assert done.restored == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_keeping_a_state_takes_a_twentieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that took 10 s to write is followed by the next after 200, whatever was asked for."""
    times = iter([0.0, 29.0, 31.0, 31.0, 41.0, 200.0, 241.0])
    monkeypatch.setattr(resume.time, "monotonic", lambda: next(times))
    kept = ResumeFile(tmp_path / "out", "key", every=30.0)
    assert not kept.is_due()
    assert kept.is_due()
    kept.write({"a": torch.ones(1)})
    assert not kept.is_due()
    assert kept.is_due()


def test_a_state_runs_no_code(tmp_path: Path) -> None:
    """It is a file that others may have put there."""
    kept = ResumeFile(tmp_path / "out", "key")
    torch.save({"key": "key", "state": _Evil(tmp_path / "ran")}, kept.path)
    assert kept.read() is None
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_killed_run_keeps_what_the_guard_saw(tmp_path: Path) -> None:
    """It ends in the same step: the guard looks at the mean of four, some of them before it."""

    def run(out: str, kill_at: int) -> list[int]:
        steps: list[int] = []

        def tell(step: Step, _: int) -> None:
            steps.append(step.step)
            if step.step == kill_at:
                raise _Killed

        settings = erase_runs.settings("ga", guard=0.1, lr=5e-4)
        with contextlib.suppress(_Killed):
            done = erase_to(
                tmp_path / out, tiny.reciting("gpt2"), FORGET, tiny.RETAINED,
                Thresholds("never below", {"ma": -1.0}), settings, tell, keep_every=0.0,
            )  # fmt: skip
            assert done.ended == HARMED
        return steps

    last = run("whole", 0)[-1]
    assert 4 <= last < 80
    run("killed", last - 1)
    assert run("killed", 0)[-1] == last


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_adapter_run_goes_on_to_the_same_bits(precision: str, tmp_path: Path) -> None:
    """The original is read in the same batches, whenever a row is first needed."""
    how = f"dict(lr=3e-3, batch=2, max_steps=12, lora=Lora(4), precision={precision!r})"
    clm = tiny.save(tiny.reciting("qwen2"), tmp_path / "clm")
    _run(clm, tmp_path / "whole", how)
    _run(clm, tmp_path / "killed", how, 5)
    assert _run(clm, tmp_path / "killed", how)[0] == 5
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
