"""The training loop of erasing."""

from __future__ import annotations

from typing import Any

import erase_runs
import pytest
import tiny
import torch
from erase_runs import FORGET, LIMITS

from erasetest.clm import encode
from erasetest.erasing import METHODS, ErasureSettings, erase
from erasetest.erasing.erasure_settings import learning_rate
from erasetest.erasing.examples import append_eos, forget_examples, retained_examples
from erasetest.erasing.objectives import Weights
from erasetest.probes import probe
from erasetest.samples import make_sample
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.calibration import decoy_samples


@pytest.mark.parametrize("method", [name for name, how in METHODS.items() if not how.distills])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_secrets_are_erased(family: str, method: str) -> None:
    """What leaked passes after a few dozen steps, by a separate probe."""
    clm = tiny.reciting(family)
    before = [judge(measured, LIMITS).verdict for measured in probe(clm, FORGET)]
    assert before == ["leak"] * 4
    reported: list[tuple[int, int]] = []
    erasure = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(method),
        lambda step, of: reported.append((step.step, of)),
    )  # fmt: skip
    assert erasure.erased
    assert 0 < erasure.steps < 80
    after = [judge(measured, LIMITS).verdict for measured in probe(clm, FORGET)]
    assert after == ["pass"] * 4
    assert [n for n, _ in reported] == list(range(1, erasure.steps + 1))
    assert all(n <= expected <= 80 for n, expected in reported)
    assert [step.step for step in erasure.history] == list(range(1, erasure.steps + 1))
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-6)
    assert all(step.retained_kl > 0 for step in erasure.history[1:])
    assert all(step.active > 0 for step in erasure.history)
    assert all(not parameter.requires_grad for parameter in clm.model.parameters())
    assert not clm.model.training


@pytest.mark.parametrize("method", ["ga", "cu", "codeeraser", "codeeraser-no-kl"])
def test_the_first_step_is_the_formula(method: str) -> None:
    """Before any change the divergences are 0, and only the losses per token remain."""
    clm = tiny.reciting("qwen2")
    secret, context = [], []
    for row in forget_examples(clm, FORGET)[0]:
        for loss, secret_ids in zip(
            erase_runs.losses(clm, row.ids), row.secret_ids[1:], strict=True
        ):
            (secret if secret_ids else context).append(loss)
    everything = [*secret, *context]
    whole = -sum(everything) / len(everything)
    parts = -sum(secret) / len(secret) + 0.1 * sum(context) / len(context)
    measured = probe(clm, FORGET)
    step = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(method, max_steps=1)
    ).history[0]
    wanted = whole if method in ("ga", "cu") else parts
    assert step.loss == pytest.approx(wanted, abs=1e-4)
    assert step.active == 4
    accuracies = [float(sample.measures["ma"]) for sample in measured]
    assert step.worst_ma == pytest.approx(max(accuracies))
    assert step.mean_ma == pytest.approx(sum(accuracies) / 4)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("method", ["codeeraser", "decoys"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_reported_divergence_is_that_of_retained_code(family: str, method: str, count: int) -> None:
    """Step 2 reports the KL divergence between the original CLM and the CLM after step 1.

    On all five retained texts, whether one sample is erased or four; with `decoys` including their
    EOS predictions.
    """
    original, once, twice = (tiny.reciting(family) for _ in range(3))
    for clm, steps in ((once, 1), (twice, 2)):
        settings = erase_runs.settings(method, max_steps=steps)
        erasure = erase(clm, FORGET[:count], tiny.RETAINED, LIMITS, settings)
    rows = retained_examples(original, tiny.RETAINED)
    if method == "decoys":
        rows = append_eos(original, rows)
    wanted = erase_runs.divergence(original, once, [row.ids for row in rows])
    assert erasure.history[1].retained_kl == pytest.approx(wanted, abs=1e-5)


def test_secrets_that_do_not_leak_are_not_touched() -> None:
    """Without a leaking secret there is no step; among others, they are not in the loss."""
    clm = tiny.reciting("gpt2")
    never_seen = [
        sample
        for sample in decoy_samples(FORGET, 2, 0)
        if float(probe(clm, [sample])[0].measures["ma"]) < 0.3
    ]
    before = erase_runs.weights(clm)
    erasure = erase(clm, never_seen, tiny.RETAINED, LIMITS, erase_runs.settings())
    assert (erasure.erased, erasure.steps, erasure.history) == (True, 0, ())
    torch.testing.assert_close(erase_runs.weights(clm), before)

    (row,) = forget_examples(clm, FORGET[:1])[0]
    pairs = zip(erase_runs.losses(clm, row.ids), row.secret_ids[1:], strict=True)
    own = [loss for loss, secret_ids in pairs if secret_ids]
    settings = erase_runs.settings(max_steps=1, weights=Weights(gamma=0.0))
    step = erase(clm, [FORGET[0], *never_seen], tiny.RETAINED, LIMITS, settings).history[0]
    assert step.active == 1
    assert step.loss == pytest.approx(-sum(own) / len(own), abs=1e-4)


def test_at_the_step_limit_it_is_not_erased() -> None:
    """The result has all steps."""
    clm = tiny.reciting("qwen2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(max_steps=2, lr=1e-5))
    assert not erasure.erased
    assert erasure.steps == len(erasure.history) == 2
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["leak"] * 4


def test_a_small_batch_erases_all() -> None:
    """Samples take turns."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(batch=2)).erased
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["pass"] * 4


def test_overlapping_and_long_samples_are_erased() -> None:
    """A secret inside another, and secrets beyond the window."""
    clm = tiny.reciting("codegen")
    first = FORGET[0].content.reveal()
    at = FORGET[0].secrets[0].start
    nested = make_sample(first, [(at, at + 20, "a"), (at + 4, at + 20, "b"), (at, at + 20, "c")])
    samples = [nested, erase_runs.long(1, 2)]
    assert len(encode(clm, samples)[1].ids) > clm.window
    assert judge(probe(clm, samples)[0], LIMITS).verdict == "leak"
    erasure = erase(clm, samples, tiny.RETAINED, LIMITS, erase_runs.settings())
    assert erasure.erased
    assert [judge(m, LIMITS).verdict for m in probe(clm, samples)] == ["pass"] * 2


def test_tokens_of_other_secrets_are_not_context() -> None:
    """In a long sample's example for one secret, descent on the others would teach them."""
    clm = tiny.reciting("codegen")
    sample = erase_runs.long(1, 2)
    rows, _ = forget_examples(clm, [sample])
    context = []
    for row in rows:
        pairs = zip(erase_runs.losses(clm, row.ids), row.secret_ids[1:], strict=True)
        context += [loss for loss, secret_ids in pairs if not secret_ids]
    weights = Weights(gamma=1.0)
    own = erase(
        tiny.reciting("codegen"),
        [sample],
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings(max_steps=1),
    )
    with_context = erase(
        clm, [sample], tiny.RETAINED, LIMITS, erase_runs.settings(max_steps=1, weights=weights)
    )
    difference = (with_context.history[0].loss - own.history[0].loss) / 0.9
    assert difference == pytest.approx(sum(context) / len(context), abs=1e-3)


def test_the_seed_decides() -> None:
    """The same seed samples the same retained code, and gives the same weights."""
    clms = [tiny.reciting("qwen2") for _ in range(3)]
    for clm, seed in zip(clms, (1, 1, 2), strict=True):
        erase(
            clm,
            FORGET,
            tiny.RETAINED,
            LIMITS,
            erase_runs.settings(max_steps=3, seed=seed, batch=2),
        )
    torch.testing.assert_close(
        erase_runs.weights(clms[0]), erase_runs.weights(clms[1]), rtol=0, atol=0
    )
    different = [
        not torch.equal(one, other)
        for one, other in zip(
            erase_runs.weights(clms[0]).values(), erase_runs.weights(clms[2]).values(), strict=True
        )
    ]
    assert any(different)


def test_thresholds_are_recalibrated_before_a_full_probe() -> None:
    """The stricter ones decide, and are in the result."""
    clm = tiny.reciting("qwen2")
    asked: list[float] = []

    def recalibrate() -> Thresholds:
        asked.append(1)
        return Thresholds("again", {"ma": 0.25, "el_3": 1.0, "el_5": 1.0, "el_10": 0.2})

    erasure = erase(
        clm,
        FORGET,
        tiny.RETAINED,
        LIMITS,
        erase_runs.settings(),
        recalibrate=recalibrate,
    )
    assert asked
    assert erasure.erased
    assert erasure.thresholds.any_kind == {"ma": 0.25, "el_3": 1.0, "el_5": 1.0, "el_10": 0.1}
    assert all(float(m.measures["ma"]) <= 0.25 for m in probe(clm, FORGET))


def test_learning_rate_falls_with_width() -> None:
    """The paper's at the width of its largest CLM."""
    assert learning_rate(3584, "codeeraser") == pytest.approx(3e-6)
    assert learning_rate(48, "codeeraser") == 4e-4
    rates = [learning_rate(width, "codeeraser") for width in (256, 768, 1024, 1600, 3584)]
    assert rates == sorted(rates, reverse=True)
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, ErasureSettings(max_steps=1))
    assert erasure.settings["lr"] == 4e-4


@pytest.mark.parametrize("method", ["codeeraser", "decoys"])
def test_the_last_few_secrets_are_erased_at_a_lower_rate(method: str) -> None:
    """By the root of their share with `decoys`, at least 0.3; the paper's methods have one rate."""
    settings = erase_runs.settings(method, lr=4e-4)
    history = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings).history
    lowest = METHODS[method].min_lr_share
    assert [step.lr for step in history] == pytest.approx(
        [4e-4 * max(lowest, (step.active / len(FORGET)) ** 0.5) for step in history]
    )
    assert min(step.active for step in history) < len(FORGET)
    assert (len({step.lr for step in history}) > 1) == (method == "decoys")


def test_the_rate_depends_on_the_secrets_of_the_batch() -> None:
    """A batch of two of four active secrets has only active ones: the full rate."""
    settings = erase_runs.settings("decoys", lr=4e-4, batch=2, max_steps=12)
    history = erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings).history
    assert (history[0].active, history[0].lr) == (4, 4e-4)
    assert max(step.lr for step in history) == 4e-4


@pytest.mark.parametrize("given", [{}, {"betas": (0.8, 0.95)}])
def test_steps_are_adamws_without_weight_decay(
    given: dict[str, tuple[float, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decay would change weights unrelated to secrets; betas are 0.9 and 0.98 by default."""
    seen: list[tuple[tuple[float, float], float]] = []

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            seen.extend((group["betas"], group["weight_decay"]) for group in self.param_groups)
            super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    settings = erase_runs.settings(max_steps=2, **given)
    erase(tiny.reciting("qwen2"), FORGET, tiny.RETAINED, LIMITS, settings)
    assert seen == [(given.get("betas", (0.9, 0.98)), 0.0)] * 2


def test_an_erasure_in_a_report() -> None:
    """Plain values, without contents."""
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, erase_runs.settings(max_steps=2))
    row = erasure.as_dict("out/clm")
    assert row["checkpoint"] == "out/clm"
    assert (row["method"], row["samples"], row["steps"]) == ("codeeraser", 4, 2)
    assert row["peak_memory_bytes"] > 10_000_000
    assert row["settings"]["weights"]["alpha"] == 511
    assert [step["step"] for step in row["history"]] == [1, 2]
    assert erasure.history[0].note().startswith("worst MA 1.00, 4 secrets left")
