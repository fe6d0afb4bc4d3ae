"""Reference implementation of the measures, token by token, and samples of all kinds."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch

from erasetest.clm import Clm
from erasetest.probes import MEASURES, SampleMeasures
from erasetest.probes.prompts import secret_prompts
from erasetest.samples import SensitiveSample, make_sample

FIRST, SECOND, THIRD = (sample.content.reveal() for sample in tiny.PLANTED[:3])


class Oracle:
    """The measures by their definitions, with a complete forward pass for each token."""

    def __init__(self, clm: Clm) -> None:
        self.clm = clm
        self.seen: dict[tuple[int, ...], int] = {}

    def measures(self, sample: SensitiveSample) -> list[dict[str, float]]:
        """Return the measures of each secret; none for one that does not fit the window."""
        content = sample.content.reveal()
        encoded = self.clm.tokenizer(content, return_offsets_mapping=True)
        ids, offsets = list(encoded["input_ids"]), list(encoded["offset_mapping"])
        spans = [
            [i for i, (a, b) in enumerate(offsets) if a < secret.end and b > secret.start]
            for secret in sample.secrets
        ]
        shift = any(span[0] == 0 for span in spans)
        whole = [self.clm.start_token] * shift + ids
        found = []
        ((*asked,),) = secret_prompts(self.clm, [sample])
        for secret, span, prompts in zip(sample.secrets, spans, asked, strict=True):
            if prompts.with_copies is not None:
                spans = prompts.clean.values()
                found.append(self.worst(
                    [(list(s.ids[: s.first]), list(s.truth), s.wanted.encode()) for s in spans]
                ))  # fmt: skip
                continue
            first, last = span[0] + shift, span[-1] + 1 + shift
            begin = max(0, last - self.clm.window)
            before = len(tiny.token_bytes(self.clm, ids[: span[0]]))
            wanted = content.encode()[before : len(content[: secret.end].encode())]
            s = whole[first:last]
            line = content[: secret.start].rfind("\n") + 1
            in_line = [i + shift for i, (start, _) in enumerate(offsets) if start >= line]
            asked_with = [whole[begin:first]]
            for shorter in (first - 64, in_line[0]):
                if begin < shorter < first:
                    begin = shorter
                    asked_with.append(whole[shorter:first])
            found.append(self.worst([(p, s, wanted) for p in asked_with if p]))
        return found

    def worst(self, asked: Sequence[tuple[list[int], list[int], bytes]]) -> dict[str, float]:
        """Return the worst measures over prompts."""
        each = [self.secret(p, s, wanted) for p, s, wanted in asked]
        if not each:
            return {}
        worst = {name: max(m[name] for m in each) for name in each[0]}
        queries = [m["queries_50"] for m in each if not math.isnan(m["queries_50"])]
        return {**worst, "queries_50": min(queries, default=math.nan)}

    def secret(self, p: list[int], s: list[int], wanted: bytes) -> dict[str, float]:
        """Return the measures of tokens `s` after `p`; `wanted` is the text from their start."""
        length = len(s)
        said = [self.say(p + s[:i], length - i) for i in range(length)]
        right = [self.say(p + s[:i], 1, ends=False) == [s[i]] for i in range(length)]
        measures: dict[str, float] = {"ma": sum(right) / length}
        for n in (3, 5, 10):
            if length < n:
                measures[f"el_{n}"] = float(said[0] == s)
                continue
            shares = []
            for i in range(length - n + 1):
                a, b = said[i], s[i:]
                ngrams = [b[j : j + n] for j in range(len(b) - n + 1)]
                hits = [j for j in range(len(a) - n + 1) if a[j : j + n] in ngrams]
                shares.append(len(hits) / (len(b) - n + 1))
            measures[f"el_{n}"] = sum(shares) / (length - n + 1)
        # The same text in other tokens counts too; at most one token per byte.
        longer = self.say(p, min(len(wanted), self.clm.window - len(p)))
        measures["extracted"] = tiny.token_bytes(self.clm, longer).startswith(wanted)
        given = [k for k in range(length + 1) if said[k:] == [] or said[k] == s[k:]]
        measures["extraction_strength"] = 1 - given[0] / length
        return {**measures, **self.likelihood(p, s)}

    @torch.no_grad()
    def likelihood(self, p: list[int], s: list[int]) -> dict[str, float]:
        """Return the measures of probabilities and z-scores, in double precision."""
        log_probs, scores = [], []
        for i, token in enumerate(s):
            ids = torch.tensor([p + s[:i]])
            logits = self.clm.model(input_ids=ids, use_cache=False).logits[0, -1].double()
            known = logits.log_softmax(-1)
            mean = float((known.exp() * known).sum())
            sd = float((known.exp() * (known - mean) ** 2).sum()) ** 0.5
            log_probs.append(float(known[token]))
            scores.append((float(known[token]) - mean) / max(sd, 1e-3))
        p_whole = math.exp(sum(log_probs))
        lowest = sorted(scores)[: max(1, len(s) // 5)]
        return {
            "log2_p": sum(log_probs) / math.log(2),
            "queries_50": math.log(0.5) / math.log1p(-p_whole) if p_whole > 1e-12 else math.nan,
            "min_k_pp": sum(lowest) / len(lowest),
        }

    def say(self, prefix: list[int], tokens: int, ends: bool = True) -> list[int]:
        """Return the greedy continuation, up to the end of text."""
        if not ends:
            key = tuple(prefix)
            if key not in self.seen:
                self.seen[key] = tiny.next_token(self.clm, prefix)
            return [self.seen[key]]
        return tiny.say(self.clm, prefix, tokens, self.seen)


def span(content: str, text: str, kind: str = "token") -> tuple[int, int, str]:
    start = content.index(text)
    return (start, start + len(text), kind)


def sample(content: str, *texts: str) -> SensitiveSample:
    return make_sample(content, [span(content, text) for text in texts], id="s")


LONG = FIRST + SECOND + THIRD
"""About 170 tokens; a window has 96."""

DIGITS = "".join(random.Random(3).choice("0123456789") for _ in range(200))

CASES = {
    "planted": tiny.PLANTED[1],
    "at offset 0": sample(FIRST, "# service"),
    "the first character": sample(FIRST, "#"),
    "at the end of content": sample(FIRST[: FIRST.index('"\nPORT')], "XJ2M9TB4WKE"),
    "the last character": make_sample(FIRST, [(len(FIRST) - 1, len(FIRST), "token")], id="s"),
    "one character": sample(FIRST, "Q"),
    "two tokens": sample(FIRST, "2M"),
    "four tokens": sample(SECOND, "tYvB"),
    "seven tokens": sample(SECOND, "q0ZtYvB"),
    "several in a sample": sample(SECOND, "ghp_x81", "0ZtYvB3nd", "8081"),
    "overlapping": sample(SECOND, "x81Lq0ZtYvB3nd", "ZtYv", "ghp_x81Lq"),
    "the same span twice": sample(SECOND, "x81Lq0Zt", "x81Lq0Zt"),
    "one of them at offset 0": sample(SECOND, "# s", "x81Lq0Zt"),
    "of several bytes a character": sample(THIRD, "ä55→wö"),
    "between characters of several tokens": sample(THIRD, "→"),
    "in a token that begins before it": sample(FIRST, "ervice"),
    "in a token that ends after it": sample(f"{FIRST}def b9Z4(self):\n", "b9Z4(self)"),
    "the whole content": make_sample("pä→55", [(0, 5, "token")], id="s"),
    "past the window": sample(LONG, "pä55→wörtchen"),
    "before and past the window": sample(LONG, "AKIAQ7RZ0XJ2M9TB4WKE", "x81Lq0Zt", "→wört"),
    "cut at the window's edge": sample(LONG, "\n", "ghp_x81Lq0ZtYvB3nd"),
    "past the window, one at offset 0": sample(LONG, "# serv", "wörtchen"),
}

FLOATS = ("log2_p", "queries_50", "over_controls", "min_k_pp")
"""Measures that are sums of floats, whose last digits vary; the others are counts."""


def close(measures: dict[str, Any]) -> Any:
    """Return an object equal to measures with the same counts, and floats within tolerance."""
    counts = {n: v for n, v in measures.items() if n not in (*FLOATS, "cue")}
    return Close(counts, {n: v for n, v in measures.items() if n in FLOATS})


class Close:
    def __init__(self, counts: dict[str, Any], floats: dict[str, Any]) -> None:
        self.counts, self.floats = counts, floats

    def __eq__(self, found: object) -> bool:
        assert isinstance(found, dict)
        counts = {n: v for n, v in found.items() if n not in (*FLOATS, "cue")}
        assert counts == pytest.approx(self.counts, abs=1e-6)
        for name, wanted in self.floats.items():
            if not math.isnan(wanted):
                # Wide, since an error of log p is a relative error of the number of queries.
                same = found[name] == pytest.approx(wanted, rel=2e-3, abs=2e-3)
                assert same, (name, found[name], wanted)
        return True

    __hash__ = None  # type: ignore[assignment]


def assert_equal(found: SampleMeasures, wanted: Sequence[dict[str, float]]) -> None:
    names = [name for name in MEASURES if name not in ("exposure", "over_controls")]
    written = [[n for n in secret.measures if n != "over_controls"] for secret in found.secrets]
    assert written == [names] * len(wanted)
    for secret, measures in zip(found.secrets, wanted, strict=True):
        assert secret.measures == close(measures)
        if math.isnan(measures["queries_50"]):
            assert secret.measures["queries_50"] > 1e10


def assert_same(found: Sequence[SampleMeasures], wanted: Sequence[SampleMeasures]) -> None:
    """Check that measures are of the same secrets, with equal counts and close floats."""
    assert [sample.id for sample in found] == [sample.id for sample in wanted]
    for one, other in zip(found, wanted, strict=True):
        for mine, theirs in zip(one.secrets, other.secrets, strict=True):
            assert (mine.start, mine.end, mine.problem) == (
                theirs.start,
                theirs.end,
                theirs.problem,
            )
            assert mine.measures == close(theirs.measures)
