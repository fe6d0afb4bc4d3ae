"""What erasing refuses, and what ends it early."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm, load_clm
from erasetest.erasing import METHODS, ErasureSettings, Lora, check_request, erase, erase_to
from erasetest.erasing.erasure_result import HARMED
from erasetest.erasing.examples import TokenizedExample, append_eos, retained_examples
from erasetest.erasing.objectives import Groups, Method, Weights
from erasetest.erasing.retention_guard import RetentionGuard
from erasetest.erasing.trainable import TrainableModel
from erasetest.errors import BadInput, ErasureError
from erasetest.probes import probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import Thresholds, judge


@pytest.mark.parametrize(
    ("samples", "retained", "settings", "reason"),
    [
        (FORGET, (), erase_runs.settings(), "the retained set is empty"),
        (
            FORGET,
            [make_sample("x = 1", id="r"), FORGET[1]],
            erase_runs.settings(),
            "retained text 2 contains a secret of sample planted-1",
        ),
        (
            [make_sample("x = 1", id="p")],
            tiny.RETAINED,
            erase_runs.settings(),
            "sample p: has no secret",
        ),
    ],
)
def test_what_cannot_be_erased_is_refused(
    samples: list[SensitiveSample],
    retained: list[SensitiveSample],
    settings: ErasureSettings,
    reason: str,
) -> None:
    """In one line, before anything is changed."""
    clm = tiny.reciting("gpt2")
    before = erase_runs.weights(clm)
    with pytest.raises(BadInput) as caught:
        erase(clm, samples, retained, LIMITS, settings)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert tiny.SECRETS[1][1] not in str(caught.value)
    torch.testing.assert_close(erase_runs.weights(clm), before)


def test_a_secret_in_retained_code_under_another_name_is_found() -> None:
    """Anywhere in it; secrets so short that they may occur by chance are not searched for."""
    kind, text = tiny.SECRETS[0]
    kept = make_sample(f"print({text!r})", id="kept")
    with pytest.raises(BadInput, match=r"^retained text 1 contains a secret of sample planted-0"):
        erase(tiny.reciting("gpt2"), FORGET, [kept], LIMITS, erase_runs.settings())
    short = make_sample("pin = 1234", [(6, 10, kind)], id="pin")
    kept = make_sample("x = 12345\n", id="kept")
    erase(tiny.reciting("gpt2"), [short], [kept], LIMITS, erase_runs.settings(max_steps=1))


def test_a_non_finite_loss_at_the_first_step_ends_it() -> None:
    """At once if the CLM is damaged."""
    clm = tiny.reciting("qwen2")
    clm.model.model.norm.weight.data[0] = float("nan")
    clm.capabilities["head"] = True
    with pytest.raises(BadInput, match="can be measured: the CLM's scores of it are NaN"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())


def _broken_at(monkeypatch: pytest.MonkeyPatch, clm: Clm, calls: set[int], how: str) -> None:
    """Let CodeEraser's loss be NaN at these calls, or let the call leave NaN weights."""
    plain, seen = METHODS["codeeraser"].loss, itertools.count(1)

    def loss(groups: Groups, weights: Weights) -> torch.Tensor:
        found = plain(groups, weights)
        if next(seen) not in calls:
            return found
        if how == "loss":
            return found * math.nan
        for parameter in clm.model.parameters():
            parameter.data += math.nan
        return found

    monkeypatch.setitem(METHODS, "codeeraser", Method(loss))


@pytest.mark.parametrize("how", ["loss", "weights"])
def test_a_non_finite_loss_rolls_back_to_the_snapshot(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At half the learning rate; the secrets are erased nevertheless."""
    clm = tiny.reciting("qwen2")
    _broken_at(monkeypatch, clm, {3, 6}, how)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())
    assert erasure.erased
    assert erasure.restored == 2
    assert erasure.as_dict(None)["restored"] == 2
    rates = [step.lr for step in erasure.history]
    assert sorted(set(rates), reverse=True) == [1e-3, 5e-4, 2.5e-4]
    assert rates == sorted(rates, reverse=True)
    assert "learning rate 0.00025" in erasure.history[-1].note()
    assert all(p.isfinite().all() for p in clm.model.parameters())
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["pass"] * 4


def test_a_rollback_restores_earlier_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fault at step 2, those of step 1."""
    clm = tiny.reciting("qwen2")
    before = erase_runs.weights(clm)
    _broken_at(monkeypatch, clm, {2}, "weights")
    erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(lr=1e-9, max_steps=4))
    torch.testing.assert_close(erase_runs.weights(clm), before, atol=1e-7, rtol=0)


def test_a_rollback_goes_back_ten_steps_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault at step 21 does not restart the run."""
    clm, broken = tiny.reciting("qwen2"), 21
    plain = METHODS["codeeraser"].loss
    before: list[torch.Tensor] = []

    def loss(groups: Groups, weights: Weights) -> torch.Tensor:
        before.append(next(clm.model.parameters()).detach().clone())
        return plain(groups, weights) * (math.nan if len(before) == broken else 1)

    monkeypatch.setitem(METHODS, "codeeraser", Method(loss))
    settings = erase_runs.settings(lr=1e-6, max_steps=broken)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, settings)
    assert (erasure.restored, erasure.steps, len(before)) == (1, broken, broken + 1)
    ages = [n for n in range(broken) if torch.equal(before[broken - 1 - n], before[-1])]
    assert len(ages) == 1
    assert 1 <= ages[0] <= 10


def test_a_loss_that_stays_non_finite_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three rollbacks, with advice."""
    clm = tiny.reciting("qwen2")
    _broken_at(monkeypatch, clm, set(range(2, 99)), "loss")
    with pytest.raises(ErasureError, match="infinite at step 2: nothing was saved; try a learn"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())


@pytest.mark.parametrize(("method", "ends"), [("ga", True), ("decoys", False)])
def test_the_guard_ends_what_harms_retained_code(method: str, ends: bool) -> None:
    """Not erased, with the reason; a method that preserves retained code is not stopped."""
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(method, guard=0.1))
    assert erasure.erased is not ends
    assert (erasure.ended == HARMED) is ends
    assert erasure.history[0].retained_fall == 0
    assert (erasure.retained_fall > 0.1) is ends
    kept = append_eos(clm, _rows(clm)) if METHODS[method].appends_eos else _rows(clm)
    original, rows = tiny.reciting("gpt2"), [row.ids for row in kept]
    assert erasure.retained_fall == pytest.approx(
        _predicted(original, rows) - _predicted(clm, rows)
    )


def _rows(clm: Clm) -> list[TokenizedExample]:
    return retained_examples(clm, tiny.RETAINED)


def _predicted(clm: Clm, rows: list[tuple[int, ...]]) -> float:
    """Return the share of tokens that are the argmax."""
    hits = [
        bool(logits.argmax() == token)
        for ids in rows
        for logits, token in zip(erase_runs.logits(clm, ids)[:-1], ids[1:], strict=True)
    ]
    return sum(hits) / len(hits)


@pytest.mark.parametrize("method", ["ga", "codeeraser-no-kl"])
def test_a_short_erasure_that_harms_fails(method: str) -> None:
    """Steps observe the CLM before their update, so none of them sees the final harm."""
    clm = tiny.reciting("gpt2")
    settings = erase_runs.settings(method, guard=0.03, lr=5e-3)
    erasure = erase(clm, FORGET[:1], tiny.RETAINED, LIMITS, settings)
    assert erasure.steps < 4
    assert not erasure.erased
    assert erasure.ended == HARMED


def test_a_drop_in_a_few_steps_does_not_end_it() -> None:
    """All retained code decides: a step's batch of short lines has few tokens."""
    lines = {line: None for text in tiny.CODE for line in text.splitlines(True) if len(line) > 9}
    retained = [make_sample(line, id=f"line-{n}") for n, line in enumerate(lines)]
    settings = erase_runs.settings("decoys", guard=0.04, lr=5e-4, max_steps=200, batch=1)
    erasure = erase(
        tiny.reciting("qwen2"), FORGET, retained, Thresholds("t", {"ma": 0.9}), settings
    )
    means = [
        sum(step.retained_fall for step in erasure.history[n : n + 4]) / 4
        for n in range(len(erasure.history) - 3)
    ]
    assert max(means) > 0.04
    assert erasure.erased


def test_non_finite_weights_of_the_last_step_are_rolled_back() -> None:
    """It ends at the limit of steps, with the weights before that step."""
    clm = tiny.reciting("gpt2")
    before = erase_runs.weights(clm)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(lr=1e30, max_steps=1))
    assert not erasure.erased
    assert erasure.restored == 1
    torch.testing.assert_close(erase_runs.weights(clm), before)


@pytest.mark.parametrize("lr", [1e3, 1e37])
def test_steps_that_destroy_the_clm_never_count_as_erasing(lr: float) -> None:
    """Overflowing weights recite nothing: this is an error, or not erased."""
    clm = tiny.reciting("gpt2")
    with contextlib.suppress(ErasureError):
        erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(lr=lr, max_steps=5))
        finite = all(p.isfinite().all() for p in clm.model.parameters())
        assert finite or not erasure.erased


def test_settings_that_cannot_be_used_are_refused() -> None:
    """Before anything is loaded; the message has the value."""
    with pytest.raises(BadInput, match="no erasing method 'none': expected one of codeeraser,"):
        erase_runs.settings("none")
    for lr in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match=f"above 0, got {lr:g}"):
            erase_runs.settings(lr=lr)


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    """Before anything is trained."""
    clm = tiny.reciting("gpt2")
    clm.model.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(BadInput, match="its weights are quantized, and erasing has to change them"):
        erase_runs.to(tmp_path / "out", clm)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("family", "part", "dtype"),
    [
        ("gpt2", "", torch.float8_e4m3fn),
        ("mixtral", ".experts.", torch.float8_e4m3fn),
        ("mixtral", ".experts.", torch.int8),
    ],
)
def test_weights_stored_in_eight_bits_are_refused(
    tmp_path: Path, family: str, part: str, dtype: torch.dtype
) -> None:
    """Loaded as float32 they look like other weights, but without their scale."""
    from safetensors.torch import load_file, save_file

    folder = tiny.save(tiny.untrained(family), tmp_path / "clm")
    file = folder / "model.safetensors"
    weights = load_file(file)
    changed = {name: w.to(dtype) for name, w in weights.items() if part in name}
    assert changed
    save_file({**weights, **changed}, file, {"format": "pt"})
    clm = load_clm(str(folder))
    known = dict(clm.model.named_parameters()).keys()
    assert (changed.keys() <= known) is (family == "gpt2"), "experts are renamed while loaded"
    with pytest.raises(BadInput, match="its weights are quantized"):
        erase_runs.to(tmp_path / "out", clm)


def test_a_mask_of_bytes_is_not_a_weight(tmp_path: Path) -> None:
    """Checkpoints of older libraries contain the causal mask of each layer."""
    from safetensors.torch import load_file, save_file

    folder = tiny.save(tiny.reciting("gpt2"), tmp_path / "clm")
    file = folder / "model.safetensors"
    mask = torch.ones(1, 1, tiny.WINDOW, tiny.WINDOW, dtype=torch.uint8).tril()
    save_file({**load_file(file), "transformer.h.0.attn.bias": mask}, file, {"format": "pt"})
    assert not load_clm(str(folder)).eight_bits


def test_the_guard_uses_the_stored_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Harm by rounding counts, however well the trained weights predict."""
    clm = tiny.reciting("qwen2")
    fall = RetentionGuard.accuracy_drop

    @contextlib.contextmanager
    def broken(_: TrainableModel) -> Iterator[None]:
        head = clm.model.get_output_embeddings().weight
        was = head.detach().clone()
        head.data.zero_()
        yield
        head.data.copy_(was)

    def seen(guard: RetentionGuard) -> float:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainableModel, "as_stored", broken)
            return fall(guard)

    monkeypatch.setattr(RetentionGuard, "accuracy_drop", seen)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings("decoys", guard=0.1))
    assert erasure.ended == HARMED
    assert max(step.retained_fall for step in erasure.history) < 0.1 < erasure.retained_fall


def test_a_full_disk_is_detected_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the needed and the free space."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and _Usage(1000))
    clm = tiny.reciting("gpt2")
    before = erase_runs.weights(clm)
    with pytest.raises(BadInput, match=r"out: needs \d MB, but its disk has 0 MB free: free"):
        erase_runs.to(tmp_path / "out", clm)
    torch.testing.assert_close(erase_runs.weights(clm), before)


@pytest.mark.parametrize("bytes_each", [4, 23])
def test_space_is_needed_for_the_saved_state_too(
    bytes_each: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For parameters and both moments of the optimizer, twice: a new state replaces the old one.

    An adapter has few of them.
    """
    clm = tiny.reciting("gpt2")
    usage = _Usage(bytes_each * clm.parameters)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(BadInput, match=r"needs \d MB, but its disk has \d MB free"):
        erase_runs.to(tmp_path / "out", clm)
    few = erase_runs.settings("decoys", lora=Lora(2), max_steps=1)
    assert erase_to(tmp_path / "out", clm, FORGET, tiny.RETAINED, LIMITS, few).steps == 1


@pytest.mark.parametrize("method", ["decoys", "lasting"])
def test_the_space_of_a_saved_state_counts_as_free(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state may fill a disk that was large enough when the run started."""
    clm = tiny.reciting("gpt2")
    each = {"decoys": 12, "lasting": 16}[method]
    free = 2 * each * clm.parameters
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Usage(free))
    settings = erase_runs.settings(method)
    check_request(tmp_path / "out", clm, FORGET, None, settings)
    free -= each * clm.parameters
    with pytest.raises(BadInput, match="free some space"):
        check_request(tmp_path / "out", clm, FORGET, None, settings)
    (tmp_path / ".out.erasetest-state").write_bytes(bytes(each * clm.parameters))
    check_request(tmp_path / "out", clm, FORGET, None, settings)


def test_moments_that_do_not_fit_in_memory_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller forward passes would not help, and the optimizer's state is incomplete."""
    clm = tiny.reciting("gpt2")

    def short(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.optim.AdamW, "step", short)
    with pytest.raises(ErasureError, match="the optimizer's moments do not fit in the memory of"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings())


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free
