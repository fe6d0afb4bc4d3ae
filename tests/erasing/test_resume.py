"""Killed runs resume."""

from __future__ import annotations

import contextlib
import io
import itertools
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import command_line
import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm.erasure_records import check_new_checkpoint
from erasetest.erasing import erase_to, resume
from erasetest.erasing.erasure_result import HARMED, Step
from erasetest.erasing.erasure_settings import Distillation
from erasetest.erasing.pipeline import STATE_FORMAT
from erasetest.erasing.prepare import prepare
from erasetest.erasing.resume import ResumeFile, request_key
from erasetest.erasing.trainer import ErasureRun
from erasetest.errors import BadInput
from erasetest.verdict import Thresholds
from erasetest.version import __version__

_SCRIPT = """
import sys, pathlib, time
sys.path[:0] = {paths!r}
import tiny, erase_runs as t
from erasetest.erasing.erasure_settings import Distillation
from erasetest.clm import load_clm
from erasetest.erasing import Lora, erase_to
def tell(step, expected):
    print(step.step, flush=True)
    if str(step.step) == sys.argv[4]:
        time.sleep(60)  # killed meanwhile
erase_to(pathlib.Path(sys.argv[2]), load_clm(sys.argv[1]), t.FORGET, tiny.RETAINED, t.LIMITS,
         t.settings(**dict(method='decoys') | eval(sys.argv[3])), tell, save_interval=0.0)
"""


def _run(clm: Path, out: Path, how: str, kill_at: int | None = None) -> list[int]:
    """Return the steps of a process that erases; with `kill_at`, kill it at that step."""
    script = _SCRIPT.format(paths=[str(Path(__file__).parents[1] / "helpers")])
    (clm.parent / "erases_and_waits.py").write_text(script)
    arguments = (str(clm), str(out), how, str(kill_at))
    steps = []
    with command_line.start(
        "erases_and_waits", *arguments, cwd=clm.parent, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            steps.append(int(line))
            if steps[-1] == kill_at:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL)
    return steps


_LASTING = "dict(method='lasting', healing=Distillation(steps=30, texts=20, tokens=300))"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kill_at", "max_steps"), [("dict(lr=2e-4)", 5, 80), (_LASTING, 40, 99)]
)
def test_a_killed_run_resumes_to_the_same_weights(
    how: str, kill_at: int, max_steps: int, tmp_path: Path
) -> None:
    """Equal to the last bit, with the same history, and without leftover files."""
    clm = tiny.save(tiny.reciting("qwen2"), tmp_path / "clm")
    whole = _run(clm, tmp_path / "whole", how)
    assert kill_at + 3 < len(whole) <= max_steps
    _run(clm, tmp_path / "killed", how, kill_at)
    assert not (tmp_path / "killed").exists()
    assert (tmp_path / ".killed.erasetest-state").exists()
    rest = _run(clm, tmp_path / "killed", how)
    assert rest[0] == kill_at
    assert rest[-1] == whole[-1]
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob(".killed*"))


def test_the_state_of_a_finished_checkpoint_is_removed(tmp_path: Path) -> None:
    """If the run was killed between the checkpoint's last rename and the end."""
    folder = tmp_path / "out"
    erase_runs.to(folder, tiny.reciting("qwen2"))
    ResumeFile(folder, "key", interval=0.0).write({"step": torch.tensor([3.0])})
    with pytest.raises(BadInput, match="exists already"):
        check_new_checkpoint(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_state_beside_a_folder_that_is_not_a_checkpoint_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").write_text("mine")
    ResumeFile(tmp_path / "out", "key", interval=0.0).write({"step": torch.tensor([3.0])})
    with pytest.raises(BadInput, match="exists already"):
        check_new_checkpoint(tmp_path / "out")
    assert (tmp_path / ".out.erasetest-state").exists()


def _run_of(resume_file: ResumeFile | None = None) -> ErasureRun:
    settings = erase_runs.settings("decoys", lr=1e-3)
    prepared = prepare(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, settings)
    return ErasureRun(prepared, LIMITS, resume_file=resume_file)


def test_the_format_of_a_state_has_a_number() -> None:
    """States of another format are not resumed: increase the number when these keys change."""
    state = _run_of().state_dict()
    suppression = state["suppression"]
    keys = {*state, *suppression, *(f"evaluator.{key}" for key in suppression["evaluator"])}
    keys |= {f"rule.{key}" for key in suppression["evaluator"]["rule"]}
    assert f"{__version__}/9" == STATE_FORMAT
    assert keys == {
        "seconds", "suppression", "parameters", "optimizer", "rng", "evaluator", "guard",
        "batches", "max_tokens", "history", "lr", "restored", "evaluator.rule",
        "evaluator.rankings", "evaluator.rank", "evaluator.stands_out", "rule.extra_steps",
        "rule.more_likely", "rule.left_out", "rule.accuracy", "rule.extracted", "rule.probes",
        "rule.thresholds",
    }  # fmt: skip


def test_another_request_restarts(tmp_path: Path) -> None:
    """A state of other samples or settings, or a damaged one, is ignored."""
    kept = ResumeFile(tmp_path / "out", "key", interval=0.0)
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


def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It may be intact, and is not discarded."""
    (tmp_path / ".out.erasetest-state").mkdir()
    with pytest.raises(BadInput, match=r"cannot be read \(Is a directory\): make it readable"):
        ResumeFile(tmp_path / "out", "key").read()


def test_without_room_for_a_state_erasing_warns_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once; no partial file stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    clm = tiny.reciting("qwen2")
    with pytest.warns(UserWarning, match="cannot save the state of erasing") as warned:
        done = erase_runs.to(tmp_path / "out", clm, save_interval=0.0)
    assert done.erased
    assert len([w for w in warned if "cannot save" in str(w.message)]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("ended_by", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_partly_written_state_leaves_the_previous_one(
    ended_by: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever interrupted the writing, there is a complete state to resume from."""
    kept = ResumeFile(tmp_path / "out", "key", interval=0.0)
    kept.write({"step": torch.tensor([3.0])})
    save = torch.save

    def half(state: object, file: BinaryIO) -> None:
        whole = io.BytesIO()
        save(state, whole)
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        raise ended_by

    monkeypatch.setattr(torch, "save", half)
    stopped = isinstance(ended_by, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt) if stopped else pytest.warns(match="cannot save"):
        kept.write({"step": torch.tensor([4.0])})
    found = ResumeFile(tmp_path / "out", "key").read()
    assert found is not None
    assert found["step"].tolist() == [3.0]


def test_the_key_depends_on_the_whole_request() -> None:
    """Settings, samples, retained code, samples erased earlier, and the spans of secrets."""
    one, other = tiny.PLANTED[:2]
    kept = tiny.RETAINED[0]
    keys = [
        request_key(["a"], [[one], [kept], []]),
        request_key(["b"], [[one], [kept], []]),
        request_key(["a"], [[other], [kept], []]),
        request_key(["a"], [[one], [tiny.RETAINED[1]], []]),
        request_key(["a"], [[one], [kept], [other]]),
        request_key(["a"], [[one], [kept, other], []]),
        request_key(["a"], [[replace(one, secrets=())], [kept], []]),
    ]
    assert len(set(keys)) == len(keys)
    assert request_key(["a"], [[one], [kept], []]) == keys[0]


class _Killed(Exception):
    """Stands for a signal: the saved state is the same."""


@pytest.mark.parametrize("change", ["retained", "settings", "limits", "clm", "earlier"])
def test_the_state_of_another_request_is_not_resumed(change: str, tmp_path: Path) -> None:
    """Its first step is 1."""
    asked = {
        "retained": list(tiny.RETAINED),
        "settings": erase_runs.settings("decoys"),
        "limits": LIMITS,
        "clm": "tiny-qwen2",
        "earlier": (),
    }
    other = {
        "retained": tiny.RETAINED[1:],
        "settings": erase_runs.settings("decoys", seed=7),
        "limits": replace(LIMITS, any_kind={**LIMITS.any_kind, "ma": 0.3}),
        "clm": "another of the same name",
        "earlier": (tiny.PLANTED[5],),
    }
    remarks: list[str] = []

    def kill(step: Step, _: int) -> None:
        if step.step == 4:
            raise _Killed

    def run(how: dict[str, Any], tell: Callable[[Step, int], None]) -> None:
        clm = tiny.reciting("qwen2")
        clm.fingerprint = how["clm"]
        erase_to(
            tmp_path / "out", clm, FORGET, how["retained"], how["limits"], how["settings"], tell,
            earlier=how["earlier"], remark=remarks.append, save_interval=0.0,
        )  # fmt: skip

    with pytest.raises(_Killed):
        run(asked, kill)
    for how, first in ((asked, 4), ({**asked, change: other[change]}, 1)):
        steps: list[int] = []
        with pytest.raises(_Killed):
            run(how, lambda step, _, steps=steps: (steps.append(step.step), kill(step, 0)))  # type: ignore[misc]
        assert steps[0] == first
    assert [line.split(": ", 1)[1] for line in remarks] == [
        "resuming a killed run",
        "ignored: the state of another request, or damaged",
    ]


def test_a_resumed_run_has_all_state_of_the_killed_one() -> None:
    """Its learning rate after a rollback, the number of rollbacks, and the snapshot."""
    killed, resumed = _run_of(), _run_of()
    one, other = killed.suppression, resumed.suppression
    one.lr, one.runner.max_tokens = 2.5e-4, 777
    one.snapshot.restored, one.batches.last_evaluation = 2, 13
    one.release_memory()
    with torch.no_grad():
        for parameter in one.trainable.parameters:
            parameter.mul_(1.01)
    resumed.load_state_dict(killed.state_dict())
    assert (other.lr, other.snapshot.restored) == (2.5e-4, 2)
    assert (other.runner.max_tokens, other.batches.last_evaluation) == (777, 13)
    assert [group["lr"] for group in other.optimizer.param_groups] == [2.5e-4]
    torch.testing.assert_close(other.snapshot.weights, one.trainable.state_dict())


def test_non_finite_weights_are_not_saved(tmp_path: Path) -> None:
    """The next run would resume from them, and fail as this one does."""
    file = ResumeFile(tmp_path / "out", "key", interval=0.0)
    run = _run_of(file)
    run.save_if_due()
    assert file.path.exists()
    file.remove()
    with torch.no_grad():
        run.trainable.parameters[3].view(-1)[5] = float("nan")
    run.save_if_due()
    assert not file.path.exists()


def test_a_fault_in_distillation_costs_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one NaN gradient the learning rates are halved, and the rollback is reported."""
    distillation = Distillation(steps=12, texts=20, tokens=300)
    settings = erase_runs.settings("lasting", healing=distillation)
    clip, count = torch.nn.utils.clip_grad_norm_, itertools.count(1)

    def broken(parameters: list[torch.nn.Parameter], max_norm: float) -> None:
        clip(parameters, max_norm)
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
        save_interval=0.0,
    )
    first = done.steps - 12
    assert steps == [first + n for n in range(1, 13) if n != 6]
    assert done.restored == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_saving_takes_a_twentieth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a state that took 10 s to write, the next is due after 200 s, whatever the interval."""
    times = iter([0.0, 29.0, 31.0, 31.0, 41.0, 200.0, 241.0])
    monkeypatch.setattr(resume.time, "monotonic", lambda: next(times))
    kept = ResumeFile(tmp_path / "out", "key", interval=30.0)
    assert not kept.is_due()
    assert kept.is_due()
    kept.write({"a": torch.ones(1)})
    assert not kept.is_due()
    assert kept.is_due()


def test_a_state_runs_no_code(tmp_path: Path) -> None:
    """Others may have put the file there."""
    kept = ResumeFile(tmp_path / "out", "key")
    torch.save({"key": "key", "state": _Evil(tmp_path / "ran")}, kept.path)
    assert kept.read() is None
    assert not (tmp_path / "ran").exists()


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_resumed_run_has_the_guards_observations(tmp_path: Path) -> None:
    """It ends in the same step: the guard uses the mean of four steps, also of those before."""

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
                Thresholds("unreachable", {"ma": -1.0}), settings, tell, save_interval=0.0,
            )  # fmt: skip
            assert done.ended == HARMED
        return steps

    last = run("whole", 0)[-1]
    assert 4 <= last < 80
    run("killed", last - 1)
    assert run("killed", 0)[-1] == last


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_adapter_run_resumes_to_the_same_weights(precision: str, tmp_path: Path) -> None:
    """The original CLM is read in the same batches, whatever the adapter has learned."""
    how = f"dict(lr=3e-3, batch=2, max_steps=12, lora=Lora(4), precision={precision!r})"
    clm = tiny.save(tiny.reciting("qwen2"), tmp_path / "clm")
    _run(clm, tmp_path / "whole", how)
    _run(clm, tmp_path / "killed", how, 5)
    assert _run(clm, tmp_path / "killed", how)[0] == 5
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
