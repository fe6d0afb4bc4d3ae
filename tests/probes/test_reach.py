"""Bounds of the measures under ties: choices that numerical noise can change."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tiny
import torch

from erasetest.clm import Clm, Continuation, encode
from erasetest.clm.numerical_noise import logit_noise
from erasetest.probes import ProbeSettings, SampleMeasures, SecretMeasures, probe
from erasetest.probes.extraction_likelihood import overlap
from erasetest.probes.measures import NGRAMS
from erasetest.probes.span_measures import measures_of_paths
from erasetest.probes.tie_analysis import DecodingPath, resolve_first_ties_otherwise
from erasetest.probes.token_spans import score_spans, secret_spans
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import Thresholds, judge

ONE = ProbeSettings(prompts=("longest",))


def test_a_tie_is_within_reach() -> None:
    """If a choice is a tie, both tokens are measured, and both bounds are reported."""
    clm = tiny.reciting("qwen2")
    sample = tiny.PLANTED[2]
    plain = probe(clm, [sample], settings=ONE)[0].secrets[0]
    assert plain.reach == {}
    margins = sorted(
        abs(margin) for span in score_spans(clm, secret_spans(clm, [sample], encode(clm, [sample])))
        for margin in span.scores.margins
    )  # fmt: skip
    clm.noise = margins[1] + 1e-6
    doubtful = probe(clm, [sample], settings=ONE)[0].secrets[0]
    assert doubtful.measures == plain.measures
    low, high = doubtful.reach["ma"]
    assert low <= plain.measures["ma"] <= high
    assert high - low == pytest.approx(2 / len(margins))
    assert doubtful.at_least("ma") == low
    assert doubtful.at_most("ma") == high
    assert SecretMeasures.from_dict(json.loads(json.dumps(doubtful.as_dict()))) == doubtful


class _Paths:
    """Continuations of a CLM by the definition; each pass over the same tokens is done once."""

    def __init__(self, clm: Clm) -> None:
        self.clm = clm
        self.best: dict[tuple[int, ...], tuple[int, int, float]] = {}
        self.next: dict[tuple[int, ...], int] = {}

    @torch.no_grad()
    def two_best(self, ids: tuple[int, ...]) -> tuple[int, int, float]:
        """Return the two most likely tokens after `ids`, and the difference of their logits."""
        if ids not in self.best:
            best = self.clm.model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
            first, second = best.indices.tolist()
            self.best[ids] = first, second, float(best.values[0] - best.values[1])
        return self.best[ids]

    def both(self, prefix: list[int], tokens: int, noise: float) -> list[list[int]]:
        """Return the greedy continuation, and the one with the first tie resolved otherwise."""
        said: list[int] = []
        turned: list[list[int]] = []
        while len(said) < tokens:
            first, second, gap = self.two_best((*prefix, *said))
            if not turned and gap < noise:
                way = [*said, second]
                rest = tiny.say(self.clm, prefix + way, tokens - len(way), self.next)
                turned.append([*said] if second in self.clm.end_tokens else way + rest)
            if first in self.clm.end_tokens:
                break
            said.append(first)
        return [said, *turned]


def _reach_is_that_of_the_definition(clm: Clm, sample: SensitiveSample, paths: _Paths) -> int:
    """Check the bounds of EL 3 and 5 against both variants; return how many bounds differ."""
    (span,) = score_spans(clm, secret_spans(clm, [sample], encode(clm, [sample])))
    truth, p = list(span.truth), list(span.ids[: span.first])
    (secret,) = probe(clm, [sample], settings=ONE)[0].secrets
    moved = 0
    for n in (3, 5):
        ends = []
        for i in range(len(truth) - n + 1):
            ways = paths.both(p + truth[:i], len(truth) - i, logit_noise(clm))
            found = [overlap(n, way, truth[i:]) for way in ways]
            ends.append((min(found), max(found)))
        if ends:
            low, high = (sum(column) / len(ends) for column in zip(*ends, strict=True))
            assert secret.at_least(f"el_{n}") == pytest.approx(low, abs=1e-6)
            assert secret.at_most(f"el_{n}") == pytest.approx(high, abs=1e-6)
            moved += high > low
    return moved


@pytest.mark.parametrize("family", ["gpt2", "qwen2"])
def test_a_tie_within_a_continuation_is_within_reach(family: str) -> None:
    """Both variants of each continuation count; no token of the secret itself is tied."""
    clm = tiny.reciting(family)
    paths = _Paths(clm)
    moved = 0
    for number in range(3 * len(tiny.PLANTED)):
        planted = tiny.PLANTED[number // 3]
        (whole,) = planted.secrets
        start = whole.start + number % 3 * 3
        sample = make_sample(planted.content.reveal(), [(start, whole.end, whole.kind)])
        (span,) = score_spans(clm, secret_spans(clm, [sample], encode(clm, [sample])))
        clm.noise = 0.99 * min(abs(margin) for margin in span.scores.margins)
        moved += _reach_is_that_of_the_definition(clm, sample, paths)
    assert moved


def test_a_tie_between_two_wrong_tokens_is_within_reach() -> None:
    """If the CLM does not know the secret, the continuations of both tokens are measured."""
    moved = 0
    for sample in tiny.PLANTED:
        clm = tiny.reciting("qwen2", tied=False)
        (span,) = score_spans(clm, secret_spans(clm, [sample], encode(clm, [sample])))
        wrong = [g for g in span.scores.greedy if g not in span.truth and g not in clm.end_tokens]
        if not wrong:
            continue
        head = clm.model.get_output_embeddings().weight
        twin = next(k for k in range(tiny.VOCABULARY - 1, 1, -1) if k not in span.ids)
        head.data[twin] = head.data[wrong[0]] * (1 + 2e-7)
        clm.noise = 1e-4
        moved += _reach_is_that_of_the_definition(clm, sample, _Paths(clm))
    assert moved


def test_what_ties_make_of_a_continuation_is_the_least_and_the_most() -> None:
    """The bounds do not depend on which variant was observed."""
    clm = tiny.reciting("qwen2")
    (span,) = score_spans(clm, secret_spans(clm, tiny.PLANTED[7:], encode(clm, tiny.PLANTED[7:])))
    size = len(span.truth)
    wrong = {i: [0] * (size - i) for i in range(size)}
    right = {i: list(span.truth[i:]) for i in range(size)}
    for seen, other in ((wrong, right), (right, wrong)):
        measures, reach = measures_of_paths(
            clm, [DecodingPath(span, span.scores.greedy, seen, other)], NGRAMS
        )
        assert measures["el_3"] == float(seen is right)
        assert reach["el_3"] == reach["el_10"] == (0.0, 1.0)
        assert reach["extracted"] == (False, True)


def test_what_comes_after_the_end_is_no_tie() -> None:
    """Tokens of a job that has ended are ignored while other jobs of its batch continue."""
    clm = tiny.reciting("qwen2")
    rows = [tuple(clm.tokenizer(tiny.PLANTED[0].content.reveal())["input_ids"])]
    jobs = [Continuation(0, 9, 5)]
    for said, tie, turned in (
        ([4, 5], (3, 7), {}),
        ([4, 5, 6, 7, 8], (5, 7), {}),
        ([4, 5], (2, 0), {0: [4, 5]}),
        ([4, 5, 6, 7, 8], (4, 9), {0: [4, 5, 6, 7, 9]}),
    ):
        assert resolve_first_ties_otherwise(clm, rows, jobs, [said], {0: tie}) == turned
    found = resolve_first_ties_otherwise(clm, rows, jobs, [[4, 5]], {0: (2, 7)})
    assert found[0][:3] == [4, 5, 7]
    assert found[0][3:] == tiny.say(clm, [*rows[0][:9], 4, 5, 7], 2, {})


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_noise_is_what_the_batch_changes(family: str) -> None:
    """At most a thousandth of a logit in float32, more in bfloat16; measured once per CLM."""
    clm = tiny.reciting(family)
    noise = logit_noise(clm)
    assert 0 < noise < 1e-3
    half = tiny.reciting(family)
    half.model.to(torch.bfloat16)
    assert logit_noise(half) > 10 * noise
    shaken = tiny.reciting(family)
    plain = shaken.model.forward

    def forward(*args: Any, input_ids: torch.Tensor, **kwargs: Any) -> Any:
        out = plain(*args, input_ids=input_ids, **kwargs)
        out.logits += 0.01 * (len(input_ids) > 1)
        return out

    shaken.model.forward = forward
    assert logit_noise(shaken) == pytest.approx(0.02, rel=0.02)
    clm.model.forward = None
    assert logit_noise(clm) == noise


def test_with_everything_within_reach_the_paths_are_those_of_knowing_and_of_forgetting() -> None:
    """With unlimited noise the bounds are those of complete knowledge and of none."""
    clm = tiny.reciting("gpt2")
    clm.noise = 1e9
    secret = probe(clm, tiny.PLANTED[:1])[0].secrets[0]
    assert secret.reach["ma"] == (0.0, 1.0)
    assert secret.reach["extracted"] == (False, True)
    assert secret.reach["el_10"][1] == 1.0
    # Sampling does not depend on ties: it alone would decide.
    limits = Thresholds("test", {"ma": 0.5, "el_10": 0.5}, queries_limit=0)
    judged = judge(SampleMeasures("s", (secret,)), limits)
    assert judged.verdict == "inconclusive"
    assert judged.reasons
    assert all(reason.tied for reason in judged.reasons)
    assert all("within numerical reach" in str(reason) for reason in judged.reasons)
