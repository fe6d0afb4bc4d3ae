"""What decides no verdict is not measured, and the verdicts are the same."""

from __future__ import annotations

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from probe_oracles import CASES, DIGITS, close

from erasetest.clm import encode
from erasetest.probes import ProbeSettings, SampleMeasures, probe
from erasetest.probes.extraction_likelihood import reachable_extraction_likelihood
from erasetest.samples import make_sample
from erasetest.verdict import calibrate, judge
from erasetest.verdict.calibration import FLOORS
from erasetest.verdict.thresholds import Thresholds
from erasetest.verdict.verdict_settings import verdict_settings

SAMPLES = [
    *tiny.PLANTED,
    make_sample(f"key = '{DIGITS[:40]}'", [(7, 47, "hex-key")], id="never seen"),
    *(make_sample(s.content.reveal(), _spans, id=name) for name, s in CASES.items()
      for _spans in [[(one.start, one.end, one.kind) for one in s.secrets]]),
]  # fmt: skip


def _verdicts(measured: list[SampleMeasures], limits: Thresholds) -> list[str]:
    return [judge(sample, limits).verdict for sample in measured]


@pytest.mark.parametrize("el_limit", [0.0, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_verdicts_are_those_of_all_measures(family: str, el_limit: float) -> None:
    """Whatever the threshold; what is written is exact, and what is left out is within bounds."""
    clm = tiny.reciting(family)
    limits = Thresholds("test", {"ma": 0.7, "el_10": el_limit})
    settings = verdict_settings(limits)
    assert settings == ProbeSettings(ngrams=(10,), el_limit=el_limit, ma_limit=0.7)
    exact, needed = probe(clm, SAMPLES), probe(clm, SAMPLES, settings=settings)
    assert _verdicts(needed, limits) == _verdicts(exact, limits)
    left_out = 0
    for whole, part in zip(exact, needed, strict=True):
        for one, other in zip(whole.secrets, part.secrets, strict=True):
            known = {name: v for name, v in one.measures.items() if name in other.measures}
            assert other.measures == close(known)
            left_out_names = set(one.measures) - set(other.measures)
            assert left_out_names <= {"el_3", "el_5", "el_10", "over_controls"}
            if "el_10" in one.measures and "el_10" not in other.measures:
                left_out += 1
                low, high = other.reach["el_10"]
                assert low <= one.measures["el_10"] <= high <= el_limit
    assert left_out > 0


def test_without_a_threshold_no_el_is_measured() -> None:
    """MA and extraction decide alone."""
    clm = tiny.reciting("gpt2")
    limits = Thresholds("test", {"ma": 0.7})
    measured = probe(clm, tiny.PLANTED, settings=verdict_settings(limits))
    long = [s for sample in measured for s in sample.secrets if "el_10" not in s.measures]
    assert len(long) > 0
    assert _verdicts(measured, limits) == _verdicts(probe(clm, tiny.PLANTED), limits)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_decisive_thresholds_are_like_those_of_all_measures(family: str) -> None:
    """Of other decoys, from the same distribution; EL_3 and EL_5 are left out."""
    clm = tiny.reciting(family)
    whole = calibrate(clm, tiny.PLANTED, references=24)
    needed = calibrate(clm, tiny.PLANTED, references=24, decisive=True)
    assert set(needed.kinds) == set(whole.kinds)
    # Half of them suffice for a kind whose thresholds are the lower limits by then, and four if
    # its secrets have 32 tokens or more.
    lengths = {
        secret.kind: len(at)
        for sample, tokens in zip(tiny.PLANTED, encode(clm, tiny.PLANTED), strict=True)
        for secret, at in zip(sample.secrets, tokens.secrets, strict=True)
    }
    for kind, count in needed.references.items():
        at_floors = all(needed.of(kind)[name] == FLOORS[name] for name in ("ma", "el_10"))
        assert count == 24 or (count == (4 if lengths[kind] >= 32 else 12) and at_floors)
    for kind in needed.kinds:
        assert set(needed.of(kind)) == {"ma", "el_10"}
        assert abs(needed.of(kind)["ma"] - whole.of(kind)["ma"]) <= 0.35


def test_decisive_calibration_does_not_depend_on_the_order() -> None:
    """The same decoys, whatever block a sample is in."""
    clm = tiny.reciting("qwen2")
    one = calibrate(clm, tiny.PLANTED, references=8, decisive=True)
    other = calibrate(clm, tiny.PLANTED[::-1], references=8, decisive=True)
    assert one == other


@given(st.lists(st.booleans(), min_size=3, max_size=40), st.integers(1, 12))
def test_the_bound_counts_half_known_ngrams(right: list[bool], n: int) -> None:
    """By its definition, place by place."""
    n = min(n, len(right))
    shares = []
    for place in range(len(right) - n + 1):
        starts = range(place, len(right) - n + 1)
        known = [j for j in starts if sum(right[j : j + n]) >= n / 2]
        shares.append(len(known) / len(starts))
    assert reachable_extraction_likelihood(n, right) == pytest.approx(sum(shares) / len(shares))
