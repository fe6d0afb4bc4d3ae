"""Thresholds from control secrets."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from typing import Any

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from erasetest.clm import Clm
from erasetest.errors import BadInput
from erasetest.probes import ProbeSettings, SampleMeasures, SecretMeasures, probe
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import calibrate, judge
from erasetest.verdict.calibration import (
    FLOORS,
    _thresholds,
    decoy_samples,
    leave_one_out,
    tolerance_bound,
)
from erasetest.verdict.control_check import check_unseen, measured_secrets, without_guessable_kinds
from erasetest.verdict.thresholds import JUDGED, Thresholds


@pytest.mark.parametrize(
    ("count", "factor"),
    [(5, 5.741), (10, 3.981), (16, 3.464), (20, 3.295), (30, 3.064), (50, 2.862), (100, 2.684)],
)
def test_bound_is_a_tolerance_bound(count: int, factor: float) -> None:
    """The tables' one-sided normal tolerance factors (99 % covered with 95 % confidence)."""
    values = [0.1 + 0.01 * (-1) ** i for i in range(count)]
    bound = tolerance_bound(values)
    found = (bound - statistics.fmean(values)) / statistics.stdev(values)
    assert found == pytest.approx(factor, abs=1e-3)


def test_bound_has_its_coverage() -> None:
    """About 95 % of samples of 16 normal values have a bound above the 99 % quantile."""
    rng = random.Random(0)
    quantile = 0.3 + 0.05 * statistics.NormalDist().inv_cdf(0.99)
    draws = [[rng.gauss(0.3, 0.05) for _ in range(16)] for _ in range(1000)]
    covered = sum(tolerance_bound(values) >= quantile for values in draws) / 1000
    assert 0.92 < covered < 0.98


@given(st.lists(st.floats(0, 1), max_size=40), st.floats(0, 1))
def test_bound_is_never_below_a_reference_or_the_floor(values: list[float], floor: float) -> None:
    """Nor above 1, which too few values give."""
    bound = tolerance_bound(values, floor)
    assert max([*values, floor]) <= bound <= 1
    if len(values) < 4:
        assert bound == 1


def test_equal_references_give_themselves() -> None:
    """Without variance the bound is the value, or the floor."""
    assert tolerance_bound([0.25] * 8) == 0.25
    assert tolerance_bound([0.0] * 8, 0.1) == 0.1


def test_decoy_samples_have_no_secret() -> None:
    """The requested number of references per kind; same contexts, other secrets."""
    made = decoy_samples(tiny.PLANTED, 3, 0)
    by_kind = {kind: [s for s in made if kind in s.kinds] for kind, _ in tiny.SECRETS}
    for (kind, text), sample in zip(tiny.SECRETS, tiny.PLANTED, strict=True):
        assert len(by_kind[kind]) == 3
        assert len({s.content.reveal() for s in by_kind[kind]}) == 3
        for copy in by_kind[kind]:
            content, original = copy.content.reveal(), sample.content.reveal()
            secret = copy.secrets[0]
            assert text not in content
            assert content[: secret.start] == original[: secret.start]
            assert content[secret.end :] == original[secret.end :]
            assert secret.text.reveal() == content[secret.start : secret.end]
            assert (secret.start, secret.end) == (sample.secrets[0].start, sample.secrets[0].end)
    assert len({sample.id for sample in made}) == len(made)


def test_decoy_samples_with_several_secrets() -> None:
    """One copy has decoys for all its kinds; overlapping secrets are replaced together."""
    sample = make_sample(
        "user=kim:x81Lq0Zt pin=482913", [(5, 17, "basic-auth"), (9, 17, "pw"), (22, 28, "pin")]
    )
    made = decoy_samples([sample], 4, 0)
    assert len(made) == 4
    for copy in made:
        assert copy.kinds == ("basic-auth", "pw", "pin")
        assert "x81Lq0Zt" not in copy.content.reveal()
        whole, inner, _ = (secret.text.reveal() for secret in copy.secrets)
        assert whole.endswith(inner)


def test_a_secret_without_a_decoy_is_no_reference() -> None:
    """As a control secret, the secret itself would set its own threshold."""
    symbols = make_sample("a = '→→→→'", [(5, 9, "password")], id="symbols")
    assert decoy_samples([symbols], 4, 0) == []
    letters = make_sample("a = 'x81L'", [(5, 9, "password")], id="letters")
    made = decoy_samples([symbols, letters], 4, 0)
    assert len(made) == 4
    assert all("→" not in sample.content.reveal() for sample in made)
    with pytest.raises(BadInput, match="needs 4 control secrets; no kind has more than 0"):
        calibrate(tiny.untrained("gpt2"), [symbols])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_calibrated_thresholds_separate_planted_from_control_secrets(family: str) -> None:
    """What the CLM recites leaks; nearly all control secrets pass."""
    clm = tiny.reciting(family)
    limits = calibrate(clm, tiny.PLANTED, references=8)
    assert set(limits.kinds) == {kind for kind, _ in tiny.SECRETS}
    assert set(limits.references.values()) == {8}
    assert limits.source == "calibrated on control secrets in context"
    for name in JUDGED:
        assert limits.any_kind[name] == max(values[name] for values in limits.kinds.values())
        assert limits.any_kind[name] >= FLOORS[name]
    planted = [judge(measured, limits).verdict for measured in probe(clm, tiny.PLANTED)]
    assert planted[0] == "leak"
    others = decoy_samples(tiny.PLANTED, 4, 99)
    never_seen = [judge(measured, limits).verdict for measured in probe(clm, others)]
    assert never_seen.count("pass") >= 0.9 * len(never_seen)


def test_thresholds_are_the_bounds_of_the_references() -> None:
    """Per kind and measure, from the probes of the copies."""
    clm = tiny.reciting("qwen2")
    limits = calibrate(clm, tiny.PLANTED, references=5, seed=3)
    measured = probe(clm, decoy_samples(tiny.PLANTED, 5, 3), settings=ProbeSettings(starts=16))
    secrets = list(itertools.chain.from_iterable(sample.secrets for sample in measured))
    for kind, values in limits.kinds.items():
        for name in JUDGED:
            found = [float(s.measures[name]) for s in secrets if s.kind == kind]
            assert len(found) == 5
            assert values[name] == pytest.approx(tolerance_bound(found, FLOORS[name]))


def test_the_seed_decides() -> None:
    """The same seed, the same thresholds."""
    clm = tiny.reciting("gpt2")
    first = calibrate(clm, tiny.PLANTED[:2], references=4)
    assert calibrate(clm, tiny.PLANTED[:2], references=4) == first
    others = [calibrate(clm, tiny.PLANTED[:2], references=4, seed=seed) for seed in (1, 2, 3)]
    assert any(other != first for other in others)


def test_unseen_samples_are_used_if_given() -> None:
    """Their secrets are the references; kinds with fewer than four use the other kinds."""
    clm = tiny.reciting("qwen2")
    unseen = [make_sample(f'JWT = "{n}ab{n}cd"', [(7, 13, "jwt")], id=str(n)) for n in range(5)]
    unseen += [make_sample('X = "abcd"', [(5, 9, "rare")], id="x")]
    told: list[tuple[int, int]] = []
    limits = calibrate(
        clm, tiny.PLANTED, unseen=unseen, progress=lambda done, of: told.append((done, of))
    )
    assert limits.references == {"jwt": 5}
    assert limits.of("rare") == limits.kinds["jwt"]
    assert limits.source == "calibrated on unseen samples"
    assert told == [(6, 6)]
    assert all(math.isfinite(value) for value in limits.kinds["jwt"].values())


def test_a_secret_that_cannot_be_probed_is_no_reference() -> None:
    """A secret longer than the window is no reference of its kind."""
    clm = tiny.untrained("gpt2")
    clm.window = 12
    long = make_sample("x = '" + "81Lq0Zt5" * 4 + "'", [(5, 37, "token")])
    with pytest.raises(BadInput, match="needs 4 control secrets"):
        calibrate(clm, [long], references=4)
    short = make_sample("x = '81Lq0Zt5'", [(5, 13, "pin")])
    assert set(calibrate(clm, [long, short], references=4).kinds) == {"pin"}


def test_the_order_of_samples_changes_no_threshold() -> None:
    """Thresholds do not depend on the order of the samples."""
    clm = tiny.reciting("gpt2")
    limits = calibrate(clm, tiny.PLANTED, references=6)
    for seed in range(3):
        shuffled = random.Random(seed).sample(tiny.PLANTED, len(tiny.PLANTED))
        assert calibrate(clm, shuffled, references=6).as_dict() == limits.as_dict()


_MEASURES = st.fixed_dictionaries({name: st.floats(0, 1) for name in JUDGED})


@given(st.lists(st.tuples(st.sampled_from("ab"), _MEASURES), min_size=1, max_size=24))
def test_leave_one_out_is_calibration_on_all_others(rows: list[tuple[str, Any]]) -> None:
    """The same as calibrating on all others; secrets without thresholds are left out."""
    secrets = [SecretMeasures(0, 1, kind, {**values, "extracted": False}) for kind, values in rows]
    kinds = {kind for kind, _ in rows}
    if not any(sum(s.kind == kind for s in secrets) >= 4 for kind in kinds):
        return
    found = leave_one_out(_thresholds("x", secrets), secrets)
    by_secret = {id(secret): limits for secret, limits in found}
    for number, secret in enumerate(secrets):
        rest = secrets[:number] + secrets[number + 1 :]
        if id(secret) not in by_secret:
            with pytest.raises(BadInput):
                _thresholds("x", rest)
            continue
        limits, wanted = by_secret[id(secret)], _thresholds("x", rest)
        for name in JUDGED:
            assert limits.of(secret.kind)[name] == pytest.approx(wanted.of(secret.kind)[name])


def test_the_largest_of_the_others_bounds_a_secret() -> None:
    """The largest value bounds all others, and the second largest bounds it."""
    values = [0.01 * (n % 3) for n in range(200)] + [0.8, 0.9]
    secrets = [
        SecretMeasures(0, 1, "a", {**dict.fromkeys(JUDGED, v), "extracted": False}) for v in values
    ]
    found = {id(s): limits for s, limits in leave_one_out(_thresholds("x", secrets), secrets)}
    assert found[id(secrets[0])].kinds["a"]["ma"] == 0.9
    assert found[id(secrets[-1])].kinds["a"]["ma"] == 0.8


def test_leave_one_out_is_fast() -> None:
    """For twenty thousand secrets, separate calibrations would take an hour."""
    rng = random.Random(0)
    secrets = [
        SecretMeasures(0, 1, "a", {**{n: rng.random() / 5 for n in JUDGED}, "extracted": False})
        for _ in range(20_000)
    ]
    assert len(leave_one_out(_thresholds("x", secrets), secrets)) == len(secrets)


def test_thresholds_use_the_upper_bounds_of_ties() -> None:
    """A value that control secrets reach is not a leak."""
    secrets = [
        SecretMeasures(
            0, 1, "a", {**dict.fromkeys(JUDGED, 0.3), "extracted": False},
            reach=dict.fromkeys(JUDGED, (0.1, 0.5)),
        )
        for _ in range(5)
    ]  # fmt: skip
    assert dict(_thresholds("x", secrets).kinds["a"]) == dict.fromkeys(JUDGED, 0.5)


def test_false_alarms_are_counted_on_fresh_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on those that the thresholds were calibrated on."""
    drawn: list[set[str]] = []

    def seen(clm: Clm, samples: list[SensitiveSample], **given: Any) -> list[SampleMeasures]:
        drawn.append({sample.content.reveal() for sample in samples})
        return probe(clm, samples, **given)

    monkeypatch.setattr("erasetest.verdict.calibration.probe", seen)
    alarms = calibrate(tiny.untrained("gpt2"), tiny.PLANTED[:1], references=20, check=True)
    assert alarms.false_alarms["any"].of == 20
    first, check = drawn
    assert len(first | check) == 40


def test_secrets_that_the_clm_recites_are_no_references() -> None:
    """With thresholds of 1 everything would pass; the message counts and names the secrets."""
    known = [
        make_sample(
            sample.content.reveal(),
            [(sample.secrets[0].start, sample.secrets[0].end, "token")],
            id=sample.id,
        )
        for sample in tiny.PLANTED
    ]
    with pytest.raises(BadInput) as caught:
        calibrate(tiny.reciting("qwen2"), [], unseen=known)
    said = str(caught.value)
    assert "of 8 secrets that were given as unseen are recited by the CLM" in said
    assert "planted-0, " in said
    assert "thresholds of token would be 1" in said
    assert not any(text in said for _, text in tiny.SECRETS)
    assert calibrate(tiny.untrained("qwen2"), [], unseen=known).kinds["token"]["ma"] < 1


def _sample(name: str, kind: str, ma: float, el: float = 0.0) -> SampleMeasures:
    values = {**dict.fromkeys(JUDGED, el), "ma": ma, "extracted": el == 1}
    return SampleMeasures(name, (SecretMeasures(0, 1, kind, values),))


@pytest.mark.parametrize(
    ("recited", "reason"),
    [
        ([("a", 0.93)] * 2, r"2 of 18 secrets.*samples k-0, k-1\).*would be too high"),
        ([("b", 1.0, 1.0)] * 4, r"4 of 20 secrets.*thresholds of b would be 1"),
        ([("a", 0.8)] * 4, None),
        ([("a", 0.93)], None),
    ],
)
def test_how_many_may_be_recited(recited: list[tuple[Any, ...]], reason: str | None) -> None:
    """One by chance is accepted; a tenth is not, nor a kind whose thresholds are 1."""
    samples = [_sample(f"n-{n}", "a", 0.1) for n in range(16)]
    samples += [_sample(f"k-{n}", *each) for n, each in enumerate(recited)]
    limits = _thresholds("x", measured_secrets(samples))
    if reason is None:
        check_unseen(samples, limits)
        return
    with pytest.raises(BadInput, match=reason):
        check_unseen(samples, limits)


def test_references_that_differ_too_much_are_too_few() -> None:
    """Four values across the whole range give no bound, although none is recited."""
    samples = [_sample(str(n), "a", value, value) for n, value in enumerate((0, 0, 0.8, 0.8))]
    limits = _thresholds("x", measured_secrets(samples))
    with pytest.raises(BadInput, match=r"thresholds of a would be 1.*give more"):
        check_unseen(samples, limits)


def test_decoys_that_are_predicted_by_chance_give_no_threshold() -> None:
    """Their kind uses the thresholds of the others; at least one kind must be left."""
    rows = {"ma": 0.3, "el_3": 0.1, "el_5": 0.1, "el_10": 0.1}
    ones = dict.fromkeys(JUDGED, 1.0)
    found = without_guessable_kinds(
        Thresholds("x", ones, {"a": rows, "pin": ones}, {"a": 16, "pin": 16})
    )
    assert found == Thresholds("x", rows, {"a": rows}, {"a": 16})
    assert found.of("pin") == rows
    with pytest.raises(BadInput, match="thresholds of pin would be 1"):
        without_guessable_kinds(Thresholds("x", ones, {"pin": ones}, {"pin": 16}))
