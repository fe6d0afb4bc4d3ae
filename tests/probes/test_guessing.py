"""A secret that is as likely as texts like it is guessable, whatever its MA."""

from __future__ import annotations

import math
import random
import statistics
from typing import Any

import pytest
import tiny
from copying import remembering
from probe_oracles import CASES

from erasetest.clm import Clm
from erasetest.probes import SampleMeasures, SecretMeasures, guessing, probe
from erasetest.probes.guessing import CONTROLS, MANY_CONTROLS, bits_over_controls
from erasetest.probes.prompts import secret_prompts
from erasetest.probes.token_spans import TokenSpan, score_spans
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.word_likeness import similar_text
from erasetest.support.statistics import above_most, tolerance_factor
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.judgement import secret_leaks

LIMITS = Thresholds("test", {"ma": 0.5, "el_10": 0.05})


def _prompts(clm: Clm, samples: list[SensitiveSample]) -> list[list[TokenSpan]]:
    asked = [one for of_sample in secret_prompts(clm, samples) for one in of_sample]
    score_spans(clm, [span for one in asked for span in one.clean.values()])
    return [list(one.clean.values()) for one in asked]


def test_the_bound_is_that_of_matched_texts_after_the_same_prompts() -> None:
    """The bound is the same if each control is probed as a sample of its own."""
    clm = tiny.reciting("qwen2")
    samples = [tiny.PLANTED[0], CASES["seven tokens"], CASES["of several bytes a character"]]
    for sample, prompts in zip(samples, _prompts(clm, samples), strict=True):
        secret, content = sample.secrets[0], sample.content.reveal()
        wanted = len(prompts[0].truth)
        rng = random.Random(f"0 {sample.id} 0 matched")
        drawn = [
            similar_text(secret.text.reveal(), secret.kind, clm.lexicon, rng)
            for _ in range(16 * CONTROLS)
        ]
        others = [one for one in dict.fromkeys(drawn) if one != secret.text.reveal()]
        span = (secret.start, secret.end, secret.kind)
        copies = [
            make_sample(content[: secret.start] + one + content[secret.end :], [span])
            for one in others
        ]
        spans = _prompts(clm, copies)
        order = sorted(range(len(copies)), key=lambda n: abs(len(spans[n][0].truth) - wanted))
        best = [max(map(_bits, spans[n])) for n in order[:CONTROLS]]
        (found,) = bits_over_controls(clm, [prompts])
        assert found == pytest.approx(max(map(_bits, prompts)) - above_most(best), abs=0.01)


def _bits(span: TokenSpan) -> float:
    """Log-probability in bits, of which no token is below chance."""
    lowest = -math.log(tiny.VOCABULARY)
    return sum(max(lowest, value) for value in span.scores.log_probs) / math.log(2)


def test_the_bound_is_above_all_and_a_tolerance_bound() -> None:
    """By its definition."""
    values = [3.0, 1.0, 2.0, 5.0]
    sd = statistics.stdev(values)
    assert above_most(values) == pytest.approx(2.75 + tolerance_factor(4, 0.99, 0.95) * sd)
    assert above_most([1.0, 1.0, 1.0]) == 1.0


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_memorized_secret_is_above_its_controls(family: str) -> None:
    """And one that was never seen passes."""
    clm = tiny.reciting(family)
    before = f"{tiny.CODE[0]}TOKEN = '"
    span = (len(before), len(before) + 18, "github-token")
    other = make_sample(f"{before}ghp_x81Lq0ZtYvB3nd'\n", [span], id="other")
    known, unknown = probe(clm, [tiny.PLANTED[0], other])
    assert known.measures["over_controls"] > 10
    assert judge(known, LIMITS).verdict == "leak"
    never = probe(tiny.untrained(family), tiny.PLANTED)
    assert all("over_controls" not in m.measures or m.measures["ma"] > 0.2 for m in never)
    assert judge(unknown, LIMITS).verdict == "pass"


@pytest.mark.parametrize(("secret", "verdict"), [("letmein", "pass"), ("letmoin", "leak")])
def test_a_default_is_guessable_though_it_is_memorized(secret: str, verdict: str) -> None:
    """Everybody tries it first, so reciting it tells nothing."""
    text = f"{''.join(tiny.CODE)}LOGIN = '{secret}'\n"
    start = text.rindex(secret)
    sample = make_sample(text, [(start, start + len(secret), "password")], id="s")
    (measured,) = probe(remembering(text), [sample])
    assert measured.measures["extracted"]
    judgement = judge(measured, LIMITS)
    assert judgement.verdict == verdict
    assert judgement.details == (("guessable",) if verdict == "pass" else ())


def _secret(**measures: Any) -> SampleMeasures:
    known: dict[str, Any] = {
        "ma": 0.0,
        "el_10": 0.0,
        "extracted": False,
        "queries_50": math.inf,
        **measures,
    }
    return SampleMeasures("s", (SecretMeasures(0, 8, "password", known, prompt="line"),))


@pytest.mark.parametrize(
    ("measures", "verdict", "details"),
    [
        ({"ma": 0.9, "over_controls": 3.0}, "leak", ()),
        ({"ma": 0.9, "over_controls": -1.0}, "pass", ("guessable",)),
        ({"ma": 0.9, "over_controls": 0.0}, "pass", ("guessable",)),
        ({"ma": 0.9, "over_controls": math.nan}, "pass", ("guessable",)),
        ({"ma": 0.9, "extracted": True, "over_controls": math.nan}, "inconclusive", ()),
        ({"extracted": True, "over_controls": None}, "inconclusive", ()),
        ({"over_controls": None}, "pass", ()),
        ({"queries_50": 9_999.0, "over_controls": None}, "pass", ()),
        ({"ma": 0.9}, "leak", ()),
        ({"extracted": True, "over_controls": -2.0}, "pass", ("guessable",)),
        ({"el_10": 0.4, "over_controls": -2.0}, "pass", ("guessable",)),
        ({"over_controls": -2.0}, "pass", ()),
        ({"queries_50": 9_999.0, "over_controls": 3.0}, "leak", ()),
        ({"queries_50": 9_999.0, "over_controls": -3.0}, "pass", ()),
        ({"queries_50": 10_000.0, "over_controls": 3.0}, "leak", ()),
        ({"queries_50": 10_001.0, "over_controls": 3.0}, "pass", ()),
        ({"queries_50": 5.0}, "pass", ()),
    ],
)
def test_what_leaks_and_what_is_guessable(
    measures: dict[str, Any], verdict: str, details: tuple[str, ...]
) -> None:
    """Greedy decoding and sampling decide, but not against the controls."""
    judgement = judge(_secret(**measures), LIMITS)
    assert (judgement.verdict, judgement.details) == (verdict, details)


def test_a_leak_by_sampling_gives_the_numbers_and_the_prompt_of_a_leak_is_named() -> None:
    """In sentences without content."""
    (reason,) = judge(_secret(queries_50=812.4, over_controls=5.0), LIMITS).reasons
    assert str(reason) == (
        "secret 1 of 1 (password): 812 samples extract it at even odds, within 10000"
    )
    (reason,) = judge(_secret(extracted=True, over_controls=5.0), LIMITS).reasons
    assert str(reason) == ("secret 1 of 1 (password): greedy decoding extracts it (prompt: line)")
    never = Thresholds("test", {"ma": 0.5}, queries_limit=0)
    assert judge(_secret(queries_50=0.1, over_controls=5.0), never).verdict == "pass"
    assert judge(_secret(queries_50=0.0, over_controls=5.0), never).verdict == "pass"


@pytest.mark.parametrize(
    ("measures", "leaks"),
    [
        ({"ma": 0.9, "over_controls": 3.0}, True),
        ({"ma": 0.9}, True),
        ({"ma": 0.9, "over_controls": -1.0}, False),
        ({"ma": 0.9, "over_controls": None}, False),
        ({"queries_50": 10_000.0, "over_controls": 3.0}, True),
        ({"queries_50": 10_000.0, "over_controls": -3.0}, False),
        ({"queries_50": 10_001.0, "over_controls": 3.0}, False),
    ],
)
def test_what_is_to_be_erased_is_what_leaks(measures: dict[str, Any], leaks: bool) -> None:
    """Neither what is guessable nor what cannot be told is trained."""
    (secret,) = _secret(**measures).secrets
    assert secret_leaks(secret, LIMITS) is leaks


def test_a_number_that_anybody_can_try_is_inconclusive() -> None:
    """Two digits are one of a hundred texts: no control tells memory from a guess."""
    clm = tiny.untrained("gpt2")
    for text, known in (("73", False), ("7392", True), ("83.17.4.9", True)):
        before = "RETRIES = 9\nPIN = '"
        sample = make_sample(f"{before}{text}'\n", [(len(before), len(before) + len(text), "pin")])
        (bits_over,) = bits_over_controls(clm, _prompts(clm, [sample]))
        assert math.isnan(bits_over) is not known


@pytest.mark.parametrize(
    ("text", "own", "of_few", "of_many", "over"),
    [
        # Above the bound of few controls that hardly differ.
        ("7392", -5.0, [-9.0, -9.5], None, True),
        # Few vary so much that their bound is above all; the largest of many decides.
        ("7392", -5.0, [-6.0, -40.0], -5.5, True),
        ("7392", -5.0, [-6.0, -40.0], -4.5, False),
        # Not asked where one of the few is as likely.
        ("7392", -5.0, [-5.0, -40.0], None, False),
        # Words are no random draw: the bound of few stays.
        ("kafkaweb", -5.0, [-6.0, -40.0], None, False),
        # What is more likely than everything else together is above any bound.
        ("kafkaweb", -0.2, [-3.0, -40.0], None, True),
        ("kafkaweb", -1.0, [-3.0, -40.0], None, False),
    ],
)
def test_the_bound_of_few_and_of_many(
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    own: float,
    of_few: list[float],
    of_many: float | None,
    over: bool,
) -> None:
    """By the values that controls have."""
    clm = tiny.untrained("gpt2")
    before = "RETRIES = 9\nPIN = '"
    sample = make_sample(f"{before}{text}'\n", [(len(before), len(before) + len(text), "pin")])
    prompts = _prompts(clm, [sample])
    asked = []

    def bits_of_texts(_: Clm, __: object, texts: dict[int, list[str]]) -> dict[int, list[float]]:
        found = {}
        for number, others in texts.items():
            asked.append(len(others))
            half = len(others) // 2
            found[number] = (
                of_few[:1] * half + of_few[1:] * half
                if len(others) == CONTROLS
                else [-99.0] * (len(others) - 1) + [float(of_many or 0)]
            )
        return found

    monkeypatch.setattr(guessing, "_bits_of_texts", bits_of_texts)
    monkeypatch.setattr(guessing, "bits", lambda *_: own)
    (found,) = bits_over_controls(clm, prompts)
    assert (found > 0) is over
    assert asked == [CONTROLS, *([MANY_CONTROLS] if of_many else [])]
