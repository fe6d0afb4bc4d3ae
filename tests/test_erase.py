"""Erasing: rows, reference, stop rule, training loop, checkpoint."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from erasetest.clm import Clm, LoadOptions, encode, load_clm
from erasetest.erase import METHODS, Erasure, ErasureSettings, Lora, erase, save_checkpoint
from erasetest.erase.objectives import Groups, Method, Tokens, Weights
from erasetest.erase.reference import Reference
from erasetest.erase.result import Step
from erasetest.erase.rows import CONTEXT, ELSEWHERE, decoy_rows, forget_rows, retained_rows
from erasetest.erase.settings import learning_rate
from erasetest.erase.stopping import OWED, StopRule
from erasetest.errors import BadInput, ErasureError
from erasetest.probes import SampleMeasures, SecretMeasures, probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.calibration import decoyed

LIMITS = Thresholds("test", {"ma": 0.4, "el_3": 1.0, "el_5": 1.0, "el_10": 0.1})
FORGET = tiny.PLANTED[:4]


def _settings(method: str = "codeeraser", **changes: object) -> ErasureSettings:
    return ErasureSettings(
        **{"method": method, "lr": 1e-3, "max_steps": 80, "guard": None, **changes}
    )  # type: ignore[arg-type]


def _logits(clm: Clm, ids: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = clm.model(input_ids=torch.tensor([ids])).logits[0].double()
    return logits


def _weights(clm: Clm) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in clm.model.state_dict().items()}


def _long(*numbers: int) -> SensitiveSample:
    """Planted files one after another, with their secrets."""
    content = "".join(tiny.PLANTED[n].content.reveal() for n in numbers)
    texts = [tiny.SECRETS[n] for n in numbers]
    spans = [(content.index(t), content.index(t) + len(t), kind) for kind, t in texts]
    return make_sample(content, spans, id="long")


def _losses(clm: Clm, ids: tuple[int, ...]) -> list[float]:
    """-log p of each token but the first."""
    truth = torch.tensor(ids[1:])
    losses: list[float] = cross_entropy(_logits(clm, ids)[:-1], truth, reduction="none").tolist()
    return losses


def _divergence(original: Clm, current: Clm, rows: list[tuple[int, ...]]) -> float:
    """Mean KL(original || current) over all predicted tokens, from two models."""
    total, count = 0.0, 0
    for ids in rows:
        q, p = (_logits(clm, ids)[:-1].log_softmax(-1) for clm in (original, current))
        total += float((q.exp() * (q - p)).sum())
        count += len(q)
    return total / count


# Rows


def test_a_row_knows_its_secrets_tokens() -> None:
    """The tokens that probes take for a secret's are its own, the others context."""
    clm = tiny.untrained("gpt2")
    samples = [*FORGET, make_sample("key = 'ab12cd'", [(0, 3, "x"), (7, 13, "y")], id="two")]
    rows, count = forget_rows(clm, samples)
    assert count == 6
    number = 0
    for row, encoded in zip(rows, encode(clm, samples), strict=True):
        assert row.ids == encoded.ids
        wanted: list[frozenset[int]] = [CONTEXT] * len(row.ids)
        for place in encoded.secrets:
            for i in range(place.first, place.last):
                wanted[i] = frozenset({number})
            number += 1
        assert list(row.owners) == wanted
    assert [row.secrets for row in rows] == [{0}, {1}, {2}, {3}, {4, 5}]


def test_overlapping_secrets_share_tokens() -> None:
    """A secret inside another has tokens too: without, nobody could see it erased."""
    clm = tiny.untrained("qwen2")
    sample = make_sample("user=kim:x81Lq0Zt", [(5, 17, "basic-auth"), (9, 17, "password")])
    (row,), _ = forget_rows(clm, [sample])
    both = [owners for owners in row.owners if owners == {0, 1}]
    assert both
    assert row.owners[-1] == {0, 1}
    assert row.secrets == {0, 1}


def test_of_a_long_sample_each_secret_has_a_row() -> None:
    """It ends with the secret and fits the window; other secrets in it are left alone."""
    clm = tiny.untrained("codegen")
    sample = _long(0, 1, 2)
    rows, count = forget_rows(clm, [sample, FORGET[0]])
    assert (len(rows), count) == (4, 4)
    encoded = encode(clm, [sample])[0]
    assert len(encoded.ids) > clm.window
    for number, (row, place) in enumerate(zip(rows[:3], encoded.secrets, strict=True)):
        begin = max(0, place.last - clm.window)
        assert row.ids == encoded.ids[begin : place.last]
        assert len(row.ids) <= clm.window
        assert row.secrets == {number}
        for i, owners in enumerate(row.owners, begin):
            inside = [n for n, p in enumerate(encoded.secrets) if p.first <= i < p.last]
            if number in inside:
                assert owners == {number}
            else:
                assert owners == (ELSEWHERE if inside else CONTEXT)
    assert any(ELSEWHERE in row.owners for row in rows[:3])
    assert rows[3].secrets == {3}


def test_samples_that_cannot_be_erased_are_named() -> None:
    """Without secrets, or with one that does not fit the window."""
    clm = tiny.untrained("gpt2")
    with pytest.raises(BadInput, match=r"^sample plain: has no secret to erase$"):
        forget_rows(clm, [make_sample("x = 1", id="plain")])
    long = "".join(random.Random(0).choice("0123456789") for _ in range(200))
    with pytest.raises(BadInput, match=r"^sample long: a secret of \d+ tokens cannot be erased"):
        forget_rows(clm, [make_sample(f"x = {long}", [(4, 204, "token")], id="long")])


def test_retained_rows_are_cut_to_the_window() -> None:
    """Texts of one token predict nothing and are left out; of nothing else, nothing is left."""
    clm = tiny.untrained("gpt2")
    texts = [make_sample("x = 1\n" * 90), make_sample("x"), *tiny.RETAINED]
    rows = retained_rows(clm, texts)
    assert len(rows) == 1 + len(tiny.RETAINED)
    assert len(rows[0].ids) == clm.window
    assert all(set(row.owners) == {CONTEXT} for row in rows)
    for nothing in ([], [make_sample("x")]):
        with pytest.raises(BadInput, match="the retained set is empty"):
            retained_rows(clm, nothing)


# Reference


def _reference(clm: Clm) -> Reference:
    return Reference(clm, copy.deepcopy(clm.model.get_output_embeddings()))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_divergence_from_the_reference_is_that_of_two_models(family: str, tied: bool) -> None:
    """Hidden states and a frozen head stand for the original, after any change of the CLM."""
    clm = tiny.reciting(family, tied=tied)
    original = tiny.reciting(family, tied=tied)
    rows = [*forget_rows(clm, FORGET)[0], *retained_rows(clm, tiny.RETAINED)]
    reference = _reference(clm)
    reference.remember(rows)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in clm.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    current = torch.cat([_logits(clm, row.ids)[:-1].float() for row in rows])
    places = [torch.arange(len(row.ids) - 1) for row in rows]
    tokens = Tokens.of(
        current,
        reference.logits(reference.states(rows, places)),
        torch.tensor([token for row in rows for token in row.ids[1:]]),
    )
    wanted = _divergence(original, clm, [row.ids for row in rows])
    assert wanted > 0.01
    assert float(tokens.divergence()) == pytest.approx(wanted, abs=1e-5)


def test_reference_gives_the_places_asked_for() -> None:
    """In the order of rows and places."""
    clm = tiny.reciting("qwen2")
    rows = retained_rows(clm, tiny.RETAINED)
    reference = _reference(clm)
    reference.remember(rows)
    found = reference.logits(
        reference.states([rows[3], rows[0]], [torch.tensor([4, 1]), torch.tensor([2])])
    )
    three, zero = _logits(clm, rows[3].ids), _logits(clm, rows[0].ids)
    wanted = torch.stack([three[4], three[1], zero[2]]).log_softmax(-1)
    torch.testing.assert_close(found.log_softmax(-1).double(), wanted, rtol=1e-4, atol=1e-4)


def test_a_head_that_is_more_than_a_matrix_cannot_be_erased() -> None:
    """Refused before anything is changed."""
    clm = tiny.reciting("gpt2")
    clm.checked["head"] = False
    before = _weights(clm)
    with pytest.raises(ErasureError, match="computes its logits by more than a matrix"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings())
    torch.testing.assert_close(_weights(clm), before)


# Stop rule


def _measured(*rows: tuple[float, float, bool]) -> list[SampleMeasures]:
    secrets = tuple(
        SecretMeasures(0, 1, "k", {"ma": ma, "el_10": el_10, "extracted": extracted})
        for ma, el_10, extracted in rows
    )
    return [SampleMeasures("s", secrets)]


def test_a_secret_leaves_the_ascent_below_its_limit_and_comes_back() -> None:
    """Each for itself, by its kind's threshold."""
    rule = StopRule(["k", "email"], Thresholds("t", {"ma": 0.5}, {"email": {"ma": 0.8}}))
    assert rule.active == {0, 1}
    rule.saw(0, 0.51)
    rule.saw(1, 0.51)
    assert rule.active == {0}
    rule.saw(0, 0.5)
    assert rule.active == frozenset()
    rule.saw(1, 0.81)
    assert rule.active == {1}


def test_a_full_probe_decides() -> None:
    """All below: erased. Of those above, each is owed steps of ascent, whatever its MA."""
    rule = StopRule(["k", "k", "k"], Thresholds("t", {"ma": 0.5, "el_10": 0.1}))
    assert rule.verify(_measured((0.1, 0.0, False), (0.2, 0.1, False), (0.0, 0.0, False)))
    assert not rule.verify(_measured((0.1, 0.0, False), (0.0, 0.2, False), (0.0, 0.0, True)))
    for left in reversed(range(OWED)):
        assert rule.active == {1, 2}
        rule.saw(1, 0.0)
        rule.climbed([1, 2])
        assert (rule.active == {1, 2}) is (left > 0)
    assert rule.active == frozenset()


def test_the_stricter_thresholds_hold_from_then_on() -> None:
    """Thresholds calibrated on the erased CLM can only tighten."""
    rule = StopRule(["k"], Thresholds("t", {"ma": 0.5}))
    rule.saw(0, 0.4)
    assert rule.active == frozenset()
    rule.tighten(Thresholds("again", {"ma": 0.3}))
    assert rule.active == {0}
    rule.tighten(Thresholds("again", {"ma": 0.9}))
    assert rule.active == {0}
    assert rule.thresholds.any_kind == {"ma": 0.3}


# The loop


@pytest.mark.parametrize("method", [name for name, how in METHODS.items() if not how.heals])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_secrets_are_erased(family: str, method: str) -> None:
    """What leaked passes after a few dozen steps, by a probe of its own."""
    clm = tiny.reciting(family)
    before = [judge(measured, LIMITS).verdict for measured in probe(clm, FORGET)]
    assert before == ["leak"] * 4
    told: list[tuple[int, int]] = []
    erasure = erase(
        clm, FORGET, tiny.RETAINED, LIMITS, _settings(method),
        lambda step, of: told.append((step.step, of)),
    )  # fmt: skip
    assert erasure.erased
    assert 0 < erasure.steps < 80
    after = [judge(measured, LIMITS).verdict for measured in probe(clm, FORGET)]
    assert after == ["pass"] * 4
    assert [n for n, _ in told] == list(range(1, erasure.steps + 1))
    assert all(n <= expected <= 80 for n, expected in told)
    assert [step.step for step in erasure.history] == list(range(1, erasure.steps + 1))
    assert erasure.history[0].retained_kl == pytest.approx(0, abs=1e-6)
    assert all(step.retained_kl > 0 for step in erasure.history[1:])
    assert all(step.active > 0 for step in erasure.history)
    assert all(not parameter.requires_grad for parameter in clm.model.parameters())
    assert not clm.model.training


@pytest.mark.parametrize("method", ["ga", "cu", "codeeraser", "codeeraser-no-kl"])
def test_the_first_step_is_the_formula(method: str) -> None:
    """Before any change the divergences are 0: the losses of the samples are left, per token."""
    clm = tiny.reciting("qwen2")
    secret, context = [], []
    for row in forget_rows(clm, FORGET)[0]:
        for loss, owners in zip(_losses(clm, row.ids), row.owners[1:], strict=True):
            (secret if owners else context).append(loss)
    everything = [*secret, *context]
    whole = -sum(everything) / len(everything)
    parts = -sum(secret) / len(secret) + 0.1 * sum(context) / len(context)
    measured = probe(clm, FORGET)
    step = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(method, max_steps=1)).history[0]
    wanted = whole if method in ("ga", "cu") else parts
    assert step.loss == pytest.approx(wanted, abs=1e-4)
    assert step.active == 4
    accuracies = [float(sample.measures["ma"]) for sample in measured]
    assert step.worst_ma == pytest.approx(max(accuracies))
    assert step.mean_ma == pytest.approx(sum(accuracies) / 4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_reported_divergence_is_that_of_retained_code(family: str) -> None:
    """What step 2 reports is KL between the original and the CLM after step 1."""
    original, once, twice = (tiny.reciting(family) for _ in range(3))
    erase(once, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=1))
    erasure = erase(twice, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=2, batch=8))
    # Five retained texts for four samples: four are drawn, so one of five draws is right.
    rows = [row.ids for row in retained_rows(original, tiny.RETAINED)]
    draws = [
        _divergence(original, once, [row for n, row in enumerate(rows) if n != out])
        for out in range(len(rows))
    ]
    assert any(erasure.history[1].retained_kl == pytest.approx(d, abs=1e-5) for d in draws)


def test_secrets_that_do_not_leak_are_not_touched() -> None:
    """Nothing to erase, no step; among others, no ascent on them."""
    clm = tiny.reciting("gpt2")
    never_seen = [
        sample
        for sample in decoyed(FORGET, 2, 0)
        if float(probe(clm, [sample])[0].measures["ma"]) < 0.3
    ]
    before = _weights(clm)
    erasure = erase(clm, never_seen, tiny.RETAINED, LIMITS, _settings())
    assert (erasure.erased, erasure.steps, erasure.history) == (True, 0, ())
    torch.testing.assert_close(_weights(clm), before)

    (row,) = forget_rows(clm, FORGET[:1])[0]
    pairs = zip(_losses(clm, row.ids), row.owners[1:], strict=True)
    own = [loss for loss, owners in pairs if owners]
    settings = _settings(max_steps=1, weights=Weights(gamma=0.0))
    step = erase(clm, [FORGET[0], *never_seen], tiny.RETAINED, LIMITS, settings).history[0]
    assert step.active == 1
    assert step.loss == pytest.approx(-sum(own) / len(own), abs=1e-4)


def test_at_the_step_limit_it_says_so() -> None:
    """Not erased, with all that was done."""
    clm = tiny.reciting("qwen2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=2, lr=1e-5))
    assert not erasure.erased
    assert erasure.steps == len(erasure.history) == 2
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["leak"] * 4


def test_a_small_batch_erases_all() -> None:
    """Samples take turns."""
    clm = tiny.reciting("qwen2")
    assert erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(batch=2)).erased
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["pass"] * 4


def test_overlapping_and_long_samples_are_erased() -> None:
    """A secret inside another, and secrets on both sides of the window's edge."""
    clm = tiny.reciting("codegen")
    first = FORGET[0].content.reveal()
    at = FORGET[0].secrets[0].start
    nested = make_sample(first, [(at, at + 20, "a"), (at + 4, at + 20, "b"), (at, at + 20, "c")])
    samples = [nested, _long(1, 2)]
    assert len(encode(clm, samples)[1].ids) > clm.window
    assert judge(probe(clm, samples)[0], LIMITS).verdict == "leak"
    erasure = erase(clm, samples, tiny.RETAINED, LIMITS, _settings())
    assert erasure.erased
    assert [judge(m, LIMITS).verdict for m in probe(clm, samples)] == ["pass"] * 2


def test_tokens_of_other_secrets_are_no_context() -> None:
    """In a long sample's row for one secret, descent on the others would teach them."""
    clm = tiny.reciting("codegen")
    sample = _long(1, 2)
    rows, _ = forget_rows(clm, [sample])
    context = []
    for row in rows:
        pairs = zip(_losses(clm, row.ids), row.owners[1:], strict=True)
        context += [loss for loss, owners in pairs if not owners]
    weights = Weights(gamma=1.0)
    own = erase(tiny.reciting("codegen"), [sample], tiny.RETAINED, LIMITS, _settings(max_steps=1))
    with_context = erase(
        clm, [sample], tiny.RETAINED, LIMITS, _settings(max_steps=1, weights=weights)
    )
    difference = (with_context.history[0].loss - own.history[0].loss) / 0.9
    assert difference == pytest.approx(sum(context) / len(context), abs=1e-3)


def test_the_seed_decides() -> None:
    """The same seed draws the same retained code, and ends in the same weights."""
    clms = [tiny.reciting("qwen2") for _ in range(3)]
    for clm, seed in zip(clms, (1, 1, 2), strict=True):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=3, seed=seed, batch=2))
    torch.testing.assert_close(_weights(clms[0]), _weights(clms[1]), rtol=0, atol=0)
    different = [
        not torch.equal(one, other)
        for one, other in zip(_weights(clms[0]).values(), _weights(clms[2]).values(), strict=True)
    ]
    assert any(different)


def test_thresholds_are_calibrated_again_before_a_full_probe() -> None:
    """The stricter ones decide, and stand in the result."""
    clm = tiny.reciting("qwen2")
    asked: list[float] = []

    def recalibrate() -> Thresholds:
        asked.append(1)
        return Thresholds("again", {"ma": 0.25, "el_3": 1.0, "el_5": 1.0, "el_10": 0.2})

    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(), recalibrate=recalibrate)
    assert asked
    assert erasure.erased
    assert erasure.thresholds.any_kind == {"ma": 0.25, "el_3": 1.0, "el_5": 1.0, "el_10": 0.1}
    assert all(float(m.measures["ma"]) <= 0.25 for m in probe(clm, FORGET))


@pytest.mark.parametrize(
    ("samples", "retained", "settings", "reason"),
    [
        (FORGET, (), _settings(), "the retained set is empty"),
        (
            FORGET,
            [make_sample("x = 1", id="r"), FORGET[1]],
            _settings(),
            "retained code planted-1 holds a secret of sample planted-1",
        ),
        ([make_sample("x = 1", id="p")], tiny.RETAINED, _settings(), "sample p: has no secret"),
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
    before = _weights(clm)
    with pytest.raises(BadInput) as caught:
        erase(clm, samples, retained, LIMITS, settings)
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert tiny.SECRETS[1][1] not in str(caught.value)
    torch.testing.assert_close(_weights(clm), before)


def test_a_secret_in_retained_code_under_another_name_is_found() -> None:
    """Anywhere in it; secrets too short to tell from chance are not looked for."""
    kind, text = tiny.SECRETS[0]
    kept = make_sample(f"print({text!r})", id="kept")
    with pytest.raises(BadInput, match=r"^retained code kept holds a secret of sample planted-0"):
        erase(tiny.reciting("gpt2"), FORGET, [kept], LIMITS, _settings())
    short = make_sample("pin = 1234", [(6, 10, kind)], id="pin")
    kept = make_sample("x = 12345\n", id="kept")
    erase(tiny.reciting("gpt2"), [short], [kept], LIMITS, _settings(max_steps=1))


def test_a_loss_that_is_no_number_ends_it() -> None:
    """At once where the CLM is damaged."""
    clm = tiny.reciting("qwen2")
    clm.model.model.norm.weight.data[0] = float("nan")
    clm.checked["head"] = True
    with pytest.raises(ErasureError):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings())


def _broken_at(monkeypatch: pytest.MonkeyPatch, clm: Clm, calls: set[int], how: str) -> None:
    """Let CodeEraser's loss be no number at these calls, or leave weights that are none."""
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
def test_a_loss_that_is_no_number_leads_back_to_the_last_good_state(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At half the rate; the secrets are erased all the same."""
    clm = tiny.reciting("qwen2")
    _broken_at(monkeypatch, clm, {3, 6}, how)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings())
    assert erasure.erased
    assert erasure.restored == 2
    assert erasure.as_dict(None)["restored"] == 2
    rates = [step.lr for step in erasure.history]
    assert sorted(set(rates), reverse=True) == [1e-3, 5e-4, 2.5e-4]
    assert rates == sorted(rates, reverse=True)
    assert "rate 0.00025" in erasure.history[-1].note()
    assert all(p.isfinite().all() for p in clm.model.parameters())
    assert [judge(m, LIMITS).verdict for m in probe(clm, FORGET)] == ["pass"] * 4


def test_the_state_that_comes_back_is_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was broken at step 2 goes on from the weights of step 1."""
    clm = tiny.reciting("qwen2")
    before = _weights(clm)
    _broken_at(monkeypatch, clm, {2}, "weights")
    erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(lr=1e-9, max_steps=4))
    torch.testing.assert_close(_weights(clm), before, atol=1e-7, rtol=0)


def test_again_and_again_no_number_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After three times, with what to try."""
    clm = tiny.reciting("qwen2")
    _broken_at(monkeypatch, clm, set(range(2, 99)), "loss")
    with pytest.raises(ErasureError, match="no number at step 2: nothing was saved; try a learn"):
        erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings())


@pytest.mark.parametrize(("method", "ends"), [("ga", True), ("decoys", False)])
def test_the_guard_ends_what_harms_retained_code(method: str, ends: bool) -> None:
    """Not erased, and it says why; a method that keeps retained code is let be."""
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(method, guard=0.1))
    assert erasure.erased is not ends
    assert ("retained code is predicted" in erasure.ended) is ends
    falls = [step.retained_fall for step in erasure.history]
    assert falls[0] == 0
    assert (sum(falls[-4:]) / 4 > 0.1) is ends


def test_decoys_are_owned_by_what_they_stand_for_and_fit_the_window() -> None:
    """A format that leaves no choice has none; one of too many tokens is left out, not an error."""
    clm = tiny.untrained("qwen2")
    samples = [
        make_sample("a = '→→'; b = 'x81L'", [(5, 7, "sign"), (15, 19, "pin")], id="two"),
        make_sample("a = '→→'", [(5, 7, "sign")], id="none"),
        make_sample("key = 'selftablesitem'", [(7, 21, "token")], id="words"),
    ]
    rows, _ = forget_rows(clm, samples)
    made = decoy_rows(clm, samples, rows, random.Random(0))
    assert [(row.sample, set(row.secrets)) for row in made] == [(0, {1}), (2, {3})]
    assert made[1].ids != rows[2].ids
    # The words are four tokens; random letters are more.
    clm.window = len([o for o in rows[2].owners if o]) + 1
    settings = _settings("decoys", max_steps=1)
    assert decoy_rows(clm, samples[2:], [replace(rows[2], sample=0)], random.Random(0)) == []
    limits = Thresholds("test", {"ma": 0.0, "el_10": 0.0})
    erase(clm, samples[2:], tiny.RETAINED, limits, settings)


@pytest.mark.parametrize("lr", [1e3, 1e37])
def test_steps_that_destroy_the_clm_never_count_as_erasing(lr: float) -> None:
    """Weights that overflow recite nothing: an error, or not erased."""
    clm = tiny.reciting("gpt2")
    with contextlib.suppress(ErasureError):
        erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(lr=lr, max_steps=5))
        finite = all(p.isfinite().all() for p in clm.model.parameters())
        assert finite or not erasure.erased


def test_learning_rate_falls_with_width() -> None:
    """The paper's at the width of its largest CLM."""
    assert learning_rate(3584, "codeeraser") == pytest.approx(3e-6)
    assert learning_rate(48, "codeeraser") == 3e-4
    rates = [learning_rate(width, "codeeraser") for width in (256, 768, 1024, 1600, 3584)]
    assert rates == sorted(rates, reverse=True)
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, ErasureSettings(max_steps=1))
    assert erasure.settings["lr"] == 2.5 * 3e-4


@pytest.mark.parametrize("method", ["codeeraser", "decoys"])
def test_an_adapter_learns_ten_times_as_fast(method: str) -> None:
    """As the paper's rate for whole weights, whatever multiple of it the method takes."""
    assert learning_rate(3584, method, Lora()) == pytest.approx(3e-5)


def test_an_erasure_in_a_report() -> None:
    """Plain values, and no content."""
    clm = tiny.reciting("gpt2")
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=2))
    row = erasure.as_dict("out/clm")
    assert row["checkpoint"] == "out/clm"
    assert (row["method"], row["samples"], row["steps"]) == ("codeeraser", 4, 2)
    assert row["peak_memory_bytes"] > 10_000_000
    assert row["settings"]["weights"]["alpha"] == 511
    assert [step["step"] for step in row["history"]] == [1, 2]
    assert erasure.history[0].note().startswith("worst MA 1.00, 4 secrets left")


# The checkpoint


def _erasure() -> Erasure:
    step = Step(1, 0.0, 1, 0.5, 0.5, 0.0, 0.0, 1e-3, 1)
    return Erasure("codeeraser", {}, 4, 1, 1.0, None, True, (step,), LIMITS)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_checkpoint_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    """Saved and loaded again, with its tokenizer and a card."""
    clm = tiny.reciting(family)
    erasure = erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=2))
    save_checkpoint(clm, tmp_path / "out", erasure, FORGET)
    again = load_clm(str(tmp_path / "out"), LoadOptions(device="cpu"))
    ids = encode(clm, FORGET)[0].ids
    torch.testing.assert_close(_logits(again, ids), _logits(clm, ids), rtol=0, atol=1e-6)
    assert encode(again, FORGET) == encode(clm, FORGET)
    assert again.end_tokens == clm.end_tokens
    card = (tmp_path / "out" / "README.md").read_text()
    assert "planted-0, planted-1" in card
    assert "| every secret below its thresholds | no |" in card
    for _, text in tiny.SECRETS:
        assert text not in card


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_checkpoint_keeps_its_dtype(dtype: torch.dtype, tmp_path: Path) -> None:
    """Trained in float32, saved as it was stored."""
    clm = tiny.reciting("qwen2")
    clm.model.to(dtype).save_pretrained(tmp_path / "clm")
    clm.tokenizer.save_pretrained(tmp_path / "clm")
    clm = load_clm(str(tmp_path / "clm"), LoadOptions(device="cpu", dtype="auto"))
    erase(clm, FORGET, tiny.RETAINED, LIMITS, _settings(max_steps=2))
    save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    from safetensors import safe_open

    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {dtype}  # noqa: SIM118
    again = load_clm(str(tmp_path / "out"), LoadOptions(device="cpu", dtype="float32"))
    assert again.stored_dtype == dtype
    ids = encode(clm, FORGET)[0].ids
    torch.testing.assert_close(_logits(again, ids), _logits(clm, ids), rtol=0, atol=1e-6)
    assert clm.dtype == torch.float32


def test_a_checkpoint_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error between weights and tokenizer leaves nothing, and the CLM as it was."""
    clm = tiny.reciting("qwen2")
    clm.stored_dtype = torch.bfloat16
    clm.tokenizer = tiny.fresh_tokenizer("qwen2")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clm.tokenizer, "save_pretrained", fail)
    with pytest.raises(BadInput, match="the disk is full"):
        save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(clm.model, "save_pretrained", fail)
    with pytest.raises(BadInput, match="the disk is full"):
        save_checkpoint(clm, tmp_path / "out", _erasure(), FORGET)
    assert list(tmp_path.iterdir()) == []
    assert clm.dtype == torch.float32


def test_a_checkpoint_replaces_nothing(tmp_path: Path) -> None:
    """A folder that holds something is refused."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="is there already"):
        save_checkpoint(tiny.reciting("gpt2"), tmp_path, _erasure(), FORGET)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_settings_that_cannot_be_used_are_refused() -> None:
    """Before anything is loaded; the value is named."""
    with pytest.raises(BadInput, match="no erasing method 'none': expected one of codeeraser,"):
        _settings("none")
    for lr in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match=f"above 0, got {lr:g}"):
            _settings(lr=lr)
