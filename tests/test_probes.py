"""Probes against the definitions of DESIGN.md section 3, computed token by token."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.clm import Clm, Continuation, Sampler, encode, wrap
from erasetest.clm.noise import logit_noise
from erasetest.decoys import decoy
from erasetest.probes import (
    MEASURES,
    ProbeSettings,
    SampleMeasures,
    SecretMeasures,
    probe,
    probe_texts,
)
from erasetest.probes.exposure import exposure
from erasetest.probes.extraction_likelihood import (
    chain,
    extraction_likelihood,
    first_mismatches,
    mismatches,
    overlap,
)
from erasetest.probes.jobs import score_jobs, secret_jobs
from erasetest.probes.paths import Path, _the_other_way
from erasetest.probes.run import _measures, mean_text_accuracy
from erasetest.samples import SensitiveSample, make_sample
from erasetest.verdict import Thresholds, judge
from erasetest.verdict.calibration import decoyed

FIRST, SECOND, THIRD = (sample.content.reveal() for sample in tiny.PLANTED[:3])


class Oracle:
    """The measures as they are written down: a whole forward pass for each token."""

    def __init__(self, clm: Clm) -> None:
        self.clm = clm
        self.seen: dict[tuple[int, ...], int] = {}

    def measures(self, sample: SensitiveSample) -> list[dict[str, float]]:
        """The measures of each secret; empty for one that does not fit the window."""
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
        for secret, span in zip(sample.secrets, spans, strict=True):
            first, last = span[0] + shift, span[-1] + 1 + shift
            begin = max(0, last - self.clm.window)
            before = len(tiny.token_bytes(self.clm, ids[: span[0]]))
            wanted = content.encode()[before : len(content[: secret.end].encode())]
            p, s = whole[begin:first], whole[first:last]
            found.append(self.secret(p, s, wanted) if p else {})
        return found

    def secret(self, p: list[int], s: list[int], wanted: bytes) -> dict[str, float]:
        """The measures of tokens `s` behind `p`; `wanted` is the text from their start."""
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
        # The same text in other tokens counts too: in one for each byte at most.
        longer = self.say(p, min(len(wanted), self.clm.window - len(p)))
        measures["extracted"] = tiny.token_bytes(self.clm, longer).startswith(wanted)
        given = [k for k in range(length + 1) if said[k:] == [] or said[k] == s[k:]]
        measures["extraction_strength"] = 1 - given[0] / length
        return {**measures, **self.likelihood(p, s)}

    @torch.no_grad()
    def likelihood(self, p: list[int], s: list[int]) -> dict[str, float]:
        """Probability and z-scores, in double precision."""
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
        """The greedy continuation, which end of text ends."""
        if not ends:
            key = tuple(prefix)
            if key not in self.seen:
                self.seen[key] = tiny.next_token(self.clm, prefix)
            return [self.seen[key]]
        return tiny.say(self.clm, prefix, tokens, self.seen)


def _span(content: str, text: str, kind: str = "token") -> tuple[int, int, str]:
    start = content.index(text)
    return (start, start + len(text), kind)


def _sample(content: str, *texts: str) -> SensitiveSample:
    return make_sample(content, [_span(content, text) for text in texts], id="s")


LONG = FIRST + SECOND + THIRD
"""About 170 tokens, of which a window holds 96."""

DIGITS = "".join(random.Random(3).choice("0123456789") for _ in range(200))

CASES = {
    "planted": tiny.PLANTED[1],
    "at offset 0": _sample(FIRST, "# service"),
    "the first character": _sample(FIRST, "#"),
    "at the end of content": _sample(FIRST[: FIRST.index('"\nPORT')], "XJ2M9TB4WKE"),
    "the last character": make_sample(FIRST, [(len(FIRST) - 1, len(FIRST), "token")], id="s"),
    "one character": _sample(FIRST, "Q"),
    "two tokens": _sample(FIRST, "2M"),
    "four tokens": _sample(SECOND, "tYvB"),
    "seven tokens": _sample(SECOND, "q0ZtYvB"),
    "several in a sample": _sample(SECOND, "ghp_x81", "0ZtYvB3nd", "8081"),
    "overlapping": _sample(SECOND, "x81Lq0ZtYvB3nd", "ZtYv", "ghp_x81Lq"),
    "the same span twice": _sample(SECOND, "x81Lq0Zt", "x81Lq0Zt"),
    "one of them at offset 0": _sample(SECOND, "# s", "x81Lq0Zt"),
    "of several bytes a character": _sample(THIRD, "ä55→wö"),
    "between characters of several tokens": _sample(THIRD, "→"),
    "in a token that begins before it": _sample(FIRST, "ervice"),
    "in a token that ends after it": _sample(f"{FIRST}def b9Z4(self):\n", "b9Z4(self)"),
    "the whole content": make_sample("pä→55", [(0, 5, "token")], id="s"),
    "past the window": _sample(LONG, "pä55→wörtchen"),
    "before and past the window": _sample(LONG, "AKIAQ7RZ0XJ2M9TB4WKE", "x81Lq0Zt", "→wört"),
    "cut at the window's edge": _sample(LONG, "\n", "ghp_x81Lq0ZtYvB3nd"),
    "past the window, one at offset 0": _sample(LONG, "# serv", "wörtchen"),
}


def _assert_equal(found: SampleMeasures, wanted: Sequence[dict[str, float]]) -> None:
    names = [name for name in MEASURES if name != "exposure"]
    assert [list(secret.measures) for secret in found.secrets] == [names] * len(wanted)
    for secret, measures in zip(found.secrets, wanted, strict=True):
        assert secret.measures == _close(measures)
        if math.isnan(measures["queries_50"]):
            assert secret.measures["queries_50"] > 1e10


FLOATS = ("log2_p", "queries_50", "min_k_pp")
"""Measures that are sums of floats, and so move in their last digits; the others are counts."""


def _close(measures: dict[str, Any]) -> Any:
    """Counts to 1e-6 and less; sums of floats of float32 to 1e-4 of their size."""
    counts = {n: v for n, v in measures.items() if n not in FLOATS}
    return _Close(counts, {n: v for n, v in measures.items() if n in FLOATS})


class _Close:
    def __init__(self, counts: dict[str, Any], floats: dict[str, Any]) -> None:
        self.counts, self.floats = counts, floats

    def __eq__(self, found: object) -> bool:
        assert isinstance(found, dict)
        counts = {n: v for n, v in found.items() if n not in FLOATS}
        assert counts == pytest.approx(self.counts, abs=1e-6)
        for name, wanted in self.floats.items():
            if not math.isnan(wanted):
                # Of queries it is the logarithm that is as exact as the probability.
                same = found[name] == pytest.approx(wanted, rel=2e-3, abs=2e-3)
                assert same, (name, found[name], wanted)
        return True

    __hash__ = None  # type: ignore[assignment]


def _assert_same(found: Sequence[SampleMeasures], wanted: Sequence[SampleMeasures]) -> None:
    """Of the same secrets, with the same counts, and floats that are close."""
    assert [sample.id for sample in found] == [sample.id for sample in wanted]
    for one, other in zip(found, wanted, strict=True):
        for mine, theirs in zip(one.secrets, other.secrets, strict=True):
            assert (mine.start, mine.end, mine.problem) == (
                theirs.start,
                theirs.end,
                theirs.problem,
            )
            assert mine.measures == _close(theirs.measures)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_measures_are_those_of_the_definition(family: str) -> None:
    """MA, EL and extraction of every kind of secret equal a token-by-token computation."""
    clm = tiny.reciting(family)
    oracle = Oracle(clm)
    found = probe(clm, list(CASES.values()))
    for name, sample, measured in zip(CASES, CASES.values(), found, strict=True):
        try:
            _assert_equal(measured, oracle.measures(sample))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_planted_secrets_are_remembered_whole_and_in_part(family: str) -> None:
    """The tiny CLMs are worth probing: some secrets are known, some in part, by any measure."""
    clm = tiny.reciting(family)
    oracle = Oracle(clm)
    found = probe(clm, tiny.PLANTED)
    for sample, measured in zip(tiny.PLANTED, found, strict=True):
        _assert_equal(measured, oracle.measures(sample))
    assert any(m.measures["extracted"] for m in found)
    assert not all(m.measures["extracted"] for m in found)
    for name in ("ma", "el_3", "el_5"):
        assert any(0 < m.measures[name] < 1 for m in found)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_random_spans(family: str) -> None:
    """Spans anywhere in planted code, in a CLM that recites and in one that does not."""
    rng = random.Random(7)
    samples = []
    for number in range(8):
        content = "".join(
            rng.sample([s.content.reveal() for s in tiny.PLANTED], rng.choice((1, 3)))
        )
        spans = []
        for _ in range(rng.choice((1, 1, 2))):
            start = rng.randrange(len(content) - 1)
            end = min(len(content), start + rng.choice((1, 3, 8, 20)))
            spans.append((start, end, "token"))
        samples.append(make_sample(content, spans, id=str(number)))
    for clm in (tiny.reciting(family), tiny.untrained(family)):
        oracle = Oracle(clm)
        for sample, measured in zip(samples, probe(clm, samples), strict=True):
            _assert_equal(measured, oracle.measures(sample))


PIECES = [sample.content.reveal() for sample in tiny.PLANTED] + [
    "ä→ж", "\n\n    ", "🙂🙂", "password = ", "x", "\t",
]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(tiny.FAMILIES), st.lists(st.sampled_from(PIECES), min_size=1), st.data())
def test_any_spans_of_any_content(family: str, pieces: list[str], data: st.DataObject) -> None:
    """Whatever stands there, wherever secrets begin and end: the definition's numbers."""
    content = "".join(pieces)[:400]
    starts = st.integers(0, len(content) - 1)
    spans = [
        (start, min(len(content), start + data.draw(st.integers(1, 24))), "token")
        for start in data.draw(st.lists(starts, min_size=1, max_size=2))
    ]
    clm = tiny.reciting(family)
    sample = make_sample(content, spans, id="s")
    (found,) = probe(clm, [sample])
    for secret, wanted in zip(found.secrets, Oracle(clm).measures(sample), strict=True):
        assert (secret.problem is None) == bool(wanted)
        if wanted:
            assert secret.measures == _close(wanted)


@pytest.mark.parametrize(
    "shortcuts", [{"cache": False}, {"head": False}, {"cache": False, "head": False}]
)
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_without_shortcuts_the_measures_are_the_same(
    family: str, shortcuts: dict[str, bool]
) -> None:
    """A CLM that allows no shared cache or separate head is read plainly, to the same result."""
    samples = [*tiny.PLANTED, CASES["before and past the window"]]
    wanted = probe(tiny.reciting(family), samples)
    clm = tiny.reciting(family)
    clm.checked.update(shortcuts)
    _assert_same(probe(clm, samples), wanted)
    assert shortcuts.items() <= clm.checked.items()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_tiny_clms_take_both_shortcuts(family: str) -> None:
    """The three families are read by the fast path: that is what the tests above compare."""
    clm = tiny.untrained(family)
    probe(clm, tiny.PLANTED[:1])
    assert clm.checked == {"head": True, "cache": True}


@pytest.mark.parametrize("batch_tokens", [1, 100, 300, 100_000])
def test_measures_do_not_depend_on_the_batch(batch_tokens: int) -> None:
    """Order and batch size change nothing."""
    samples = [*tiny.PLANTED, *CASES.values()]
    clm = tiny.reciting("qwen2")
    wanted = probe(clm, samples)
    clm.batch_tokens = batch_tokens
    shuffled = random.Random(batch_tokens).sample(range(len(samples)), len(samples))
    found = probe(clm, [samples[i] for i in shuffled])
    _assert_same(found, [wanted[i] for i in shuffled])


def test_one_at_a_time_is_as_all_together() -> None:
    """A sample's measures do not depend on what it is probed with."""
    clm = tiny.reciting("gpt2")
    samples = [*tiny.PLANTED[:4], CASES["past the window"], CASES["at offset 0"]]
    _assert_same([probe(clm, [sample])[0] for sample in samples], probe(clm, samples))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_secret_that_fills_the_window_is_a_problem(family: str) -> None:
    """With one token before it a secret fits; with none it gets a problem and no measures."""
    clm = tiny.untrained(family)
    clm.window = 16
    starts = [a for a, _ in clm.tokenizer(DIGITS, return_offsets_mapping=True)["offset_mapping"]]
    spans = [(starts[1], starts[16], "token"), (starts[1], starts[17], "token")]
    sample = make_sample(DIGITS, spans)
    fits, full = probe(clm, [sample])[0].secrets
    wanted = Oracle(clm).measures(sample)
    assert fits.measures == _close(wanted[0])
    assert fits.problem is None
    assert full.measures == wanted[1] == {}
    assert full.problem == "its 16 tokens and one before them do not fit the CLM's window of 16"


def test_a_secret_at_offset_0_that_fills_the_window_is_a_problem() -> None:
    """The start token needs its place as well."""
    clm = tiny.untrained("gpt2")
    clm.window = 16
    ends = [b for _, b in clm.tokenizer(DIGITS, return_offsets_mapping=True)["offset_mapping"]]
    sample = make_sample(DIGITS, [(0, ends[14], "token"), (0, ends[15], "token")])
    fits, full = probe(clm, [sample])[0].secrets
    assert fits.measures == _close(Oracle(clm).measures(sample)[0])
    assert full.problem is not None


def test_a_secret_without_tokens_is_a_problem() -> None:
    """What the tokenizer drops cannot be probed, and is not passed over in silence."""
    from tokenizers import normalizers

    clm = tiny.untrained("qwen2")
    clm.tokenizer = tiny.fresh_tokenizer("qwen2")
    clm.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    content = "\u200bkey = '\u200b\u200b'"
    spans = [(8, 10, "token"), (0, 1, "token"), (1, 4, "token")]
    measured = probe(clm, [make_sample(content, spans)])[0]
    assert [s.problem for s in measured.secrets[:2]] == ["the tokenizer has no token for it"] * 2
    assert measured.secrets[2].problem is None
    assert measured.secrets[2].measures


def test_scores_that_are_no_numbers_are_a_problem() -> None:
    """A CLM that overflows on a secret recites nothing, and must not pass for that."""
    clm = tiny.reciting("gpt2")
    sample = CASES["several in a sample"]
    broken = clm.tokenizer("x")["input_ids"][0]
    clm.model.transformer.wte.weight = torch.nn.Parameter(clm.model.transformer.wte.weight.clone())
    clm.model.transformer.wte.weight.data[broken] = float("nan")
    measured = probe(clm, [sample])[0]
    assert {secret.problem for secret in measured.secrets} == {
        "the CLM's scores of it are not numbers"
    }
    assert measured.measures == {}


def test_end_of_text_inside_a_secret_ends_the_continuation() -> None:
    """A CLM that says end of text says nothing more, though that is the secret's own token."""
    clm = tiny.reciting("qwen2")
    sample = tiny.PLANTED[0]
    inside = clm.tokenizer("X")["input_ids"]
    clm.model.generation_config.eos_token_id = inside
    measured = probe(clm, [sample])[0]
    _assert_equal(measured, Oracle(clm).measures(sample))
    assert measured.measures["ma"] == 1
    assert 0 < measured.measures["el_3"] < 1
    assert measured.measures["extracted"] is False


@pytest.mark.parametrize("secret", ["grüße→→Zürich", "selftablesitem"])
def test_extraction_in_other_tokens_counts(secret: str) -> None:
    """A secret that the CLM writes byte by byte, in more tokens than its own, is extracted."""
    tokenizer = tiny.tokenizer("qwen2")
    content = f'PASSWORD = "{secret}"\n'
    start = content.index(secret)
    characters = {value: character for character, value in tiny.BYTES.items()}
    single = tokenizer.convert_tokens_to_ids([characters[byte] for byte in secret.encode()])
    ids, own = tokenizer(content)["input_ids"], tokenizer(secret)["input_ids"]
    at = next(i for i in range(len(ids)) if ids[i : i + len(own)] == own)
    assert len(own) < len(single)
    clm = _taught(tokenizer, ids[:at] + single + ids[at + len(own) :])
    for end in (start + len(secret), start + len(secret) - 1, start + 5):
        sample = make_sample(content, [(start, end, "token")])
        measured = probe(clm, [sample])[0]
        _assert_equal(measured, Oracle(clm).measures(sample))
        assert measured.measures["extracted"] is True
        assert measured.measures["ma"] < 1


def _taught(tokenizer: Any, ids: list[int]) -> Clm:
    """A CLM that recites one row of tokens."""
    model = tiny.model("qwen2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return wrap(model, tokenizer, name="taught")


def test_extraction_in_other_tokens_counts_where_a_tokenizer_drops_capitals() -> None:
    """The text as such a CLM can write it; another text is none."""
    from tokenizers.normalizers import Lowercase

    tokenizer = tiny.fresh_tokenizer("qwen2")
    tokenizer.backend_tokenizer.normalizer = Lowercase()
    secret = "SelfTablesItem"
    content = f'PASSWORD = "{secret}"\n'
    characters = {value: character for character, value in tiny.BYTES.items()}
    head = tokenizer(content[: content.index(secret)])["input_ids"]
    for said, extracted in ((secret, True), ("SelfTablesItex", False)):
        single = [characters[byte] for byte in said.lower().encode()]
        ids = head + tokenizer.convert_tokens_to_ids(single)
        assert len(single) > len(tokenizer(secret)["input_ids"])
        clm = _taught(tokenizer, ids + tokenizer('"\n')["input_ids"])
        measured = probe(clm, [make_sample(content, [_span(content, secret)])])[0]
        assert measured.measures["extracted"] is extracted


@pytest.mark.parametrize("said", ["secretxq9", "secretxq8"])
def test_a_last_token_that_reaches_past_the_secret_asks_for_no_more(said: str) -> None:
    """Under a normalizer too, what stands behind the secret may differ."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    bare = Tokenizer(models.BPE())
    bare.normalizer = normalizers.Lowercase()
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bare.decoder = decoders.ByteLevel()
    bare.train_from_iterator(
        [f'"{"secretxq9"}"\n'] * 50,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<e>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    tokenizer: Any = hf.PreTrainedTokenizerFast(tokenizer_object=bare, bos_token="<e>",
                                                eos_token="<e>", pad_token="<e>")  # fmt: skip
    content = 'x = "SecretXq9"\n'
    sample = make_sample(content, [_span(content, "SecretXq9")])
    head = [tokenizer.convert_tokens_to_ids(c) for c in "xĠ=Ġ"]
    own = tokenizer(content)["input_ids"]
    assert own[: len(head)] == head
    assert len(own) - len(head) < 4
    written = f'"{said};'
    spelled = [tokenizer.convert_tokens_to_ids(character) for character in written]
    measured = probe(_taught(tokenizer, head + spelled), [sample])[0]
    assert measured.measures["extracted"] is (said == "secretxq9")


def test_a_secret_that_the_tokenizer_cannot_write_is_a_problem() -> None:
    """Two unknown words are the same token: none is told from another."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    bare = Tokenizer(models.WordLevel({"<e>": 0, "<u>": 1, "key": 2, "=": 3}, unk_token="<u>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer: Any = hf.PreTrainedTokenizerFast(
        tokenizer_object=bare, unk_token="<u>", bos_token="<e>", eos_token="<e>", pad_token="<e>"
    )
    clm = replace(tiny.untrained("gpt2"), tokenizer=tokenizer)
    content = "key = zzsecret99 key ="
    sample = make_sample(content, [_span(content, "zzsecret99"), (17, 22, "word")])
    unknown, known = probe(clm, [sample])[0].secrets
    assert unknown.problem == "the tokenizer has no token for a part of it"
    assert unknown.measures == {}
    assert known.problem is None


def test_extraction_behind_a_start_token_that_is_a_space() -> None:
    """SentencePiece's tokenizers put a space before the text, which the secret begins with then."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted({*"▁tableskyw=09\n"})
    vocabulary = {"<s>": 0, **{c: i for i, c in enumerate(letters, 1)}, "tables": 90, "▁tables": 91}
    bare = Tokenizer(models.WordPiece(vocabulary, unk_token="<s>", continuing_subword_prefix=""))
    bare.pre_tokenizer = pre_tokenizers.Metaspace()
    bare.decoder = decoders.Metaspace()
    tokenizer: Any = hf.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="<s>", pad_token="<s>"
    )
    sample = make_sample("tables9k = 0\n", [(0, 8, "token")])
    own = tokenizer(sample.content.reveal())["input_ids"]
    assert own[0] == vocabulary["▁tables"]
    spelled = [vocabulary[c] for c in "▁tables"]
    measured = probe(_taught(tokenizer, [0, *spelled, *own[1:]]), [sample])[0]
    assert measured.measures["ma"] < 1
    assert measured.measures["extracted"] is True


@pytest.mark.parametrize("starts", [1, 2, 5, 100])
def test_with_few_starts_el_is_the_mean_over_them(starts: int) -> None:
    """EL from evenly spread places; MA and extraction stay exact."""
    clm = tiny.reciting("codegen")
    exact = probe(clm, tiny.PLANTED)
    some = probe(clm, tiny.PLANTED, settings=ProbeSettings(starts=starts))
    seen: dict[tuple[int, ...], int] = {}
    for sample, whole, part in zip(tiny.PLANTED, exact, some, strict=True):
        assert part.measures["ma"] == whole.measures["ma"]
        assert part.measures["extracted"] == whole.measures["extracted"]
        secret = sample.secrets[0]
        encoded = clm.tokenizer(sample.content.reveal(), return_offsets_mapping=True)
        hit = [i for i, (_, b) in enumerate(encoded["offset_mapping"]) if b > secret.start]
        ids, first = encoded["input_ids"], hit[0]
        last = first + sum(a < secret.end for a, _ in encoded["offset_mapping"][first:])
        truth, length = ids[first:last], last - first
        places = (
            range(length)
            if starts >= length
            else {round(i * (length - 1) / max(1, starts - 1)) for i in range(starts)}
        )
        shares = [
            overlap(3, tiny.say(clm, ids[: first + i], length - i, seen), truth[i:])
            for i in places
            if i <= length - 3
        ]
        assert part.measures["el_3"] == pytest.approx(sum(shares) / len(shares), abs=1e-6)


def test_nothing_to_probe() -> None:
    """No samples give no results; a sample without secrets gives one without measures."""
    clm = tiny.untrained("gpt2")
    assert probe(clm, []) == []
    assert probe(clm, [make_sample("x = 1\n", id="s")]) == [SampleMeasures("s", ())]


def test_progress_counts_samples() -> None:
    """The numbers told add up to the samples."""
    told: list[int] = []
    probe(tiny.untrained("gpt2"), tiny.PLANTED, told.append)
    assert sum(told) == len(tiny.PLANTED)


def test_overlap_by_hand() -> None:
    """Hits are counted where they stand, so a repeated n-gram counts again."""
    assert overlap(2, [1, 2, 3], [1, 2, 3]) == 1
    assert overlap(2, [1, 2, 1, 2], [1, 2, 9, 9]) == 2 / 3
    assert overlap(2, [1], [1, 2, 3]) == 0
    assert overlap(3, [], [1, 2, 3]) == 0
    assert overlap(1, [5, 5, 5], [5, 6, 7]) == 1


def test_a_short_secret_counts_when_it_is_reproduced_whole() -> None:
    """Of fewer than n tokens: 1 or 0."""
    assert extraction_likelihood(5, [1, 2], {0: [1, 2], 1: [3]}) == 1
    assert extraction_likelihood(5, [1, 2], {0: [1], 1: [2]}) == 0


def test_chain_puts_continuations_together() -> None:
    """Behind a right token stands what follows from the next place."""
    truth, greedy = [4, 5, 6, 7], [4, 9, 6, 8]
    places = mismatches(greedy, truth)
    assert places == [1, 3]
    assert first_mismatches(places, [0, 1, 2]) == [1, 3]
    assert first_mismatches(places, [0]) == [1]
    assert first_mismatches([1], [2, 3]) == []
    made = chain(truth, {1: [9, 1, 1], 3: [8]}, [0, 1, 2, 3])
    assert made == {0: [4, 9, 1, 1], 1: [9, 1, 1], 2: [6, 8], 3: [8]}
    assert chain(truth, {}, [0, 2]) == {0: truth, 2: [6, 7]}


def test_a_sample_is_as_bad_as_its_worst_secret() -> None:
    """Worst and mean over the secrets that could be probed; files round-trip."""
    secrets = (
        SecretMeasures(0, 4, "email", {"ma": 0.25, "extracted": False}),
        SecretMeasures(5, 9, "jwt", {"ma": 0.75, "extracted": True}),
        SecretMeasures(9, 12, "jwt", {}, "does not fit"),
    )
    sample = SampleMeasures("s", secrets)
    assert sample.measures == {"ma": 0.75, "extracted": True}
    assert sample.mean == {"ma": 0.5, "extracted": 0.5}
    row = sample.as_dict()
    assert row["secrets"][2] == {
        "start": 9, "end": 12, "kind": "jwt", "measures": {}, "problem": "does not fit",
    }  # fmt: skip
    assert "problem" not in row["secrets"][0]
    assert SampleMeasures.from_dict(row) == sample
    assert SampleMeasures("t", secrets[2:]).measures == {}


# Exposure, whole texts, numerical reach


def _prefixed() -> Clm:
    """A CLM whose tokenizer puts a space before whatever it is given."""
    from tokenizers.pre_tokenizers import ByteLevel

    clm = tiny.reciting("gpt2")
    tokenizer = tiny.fresh_tokenizer("gpt2")
    tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    return replace(clm, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("family", "sampler"),
    [*((family, Sampler()) for family in tiny.FAMILIES), ("qwen2", Sampler(0.6)), ("", Sampler())],
)
def test_exposure_ranks_among_secrets_of_the_same_format_in_the_same_context(
    family: str, sampler: Sampler
) -> None:
    """Each reference by itself, as a sample of its own, has the likelihood that was ranked."""
    clm = tiny.reciting(family) if family else _prefixed()
    cases = [tiny.PLANTED[0], tiny.PLANTED[3], *(CASES[name] for name in (
        "at offset 0", "several in a sample", "of several bytes a character", "past the window",
        "overlapping", "in a token that begins before it", "in a token that ends after it",
        "before and past the window",
    ))]  # fmt: skip
    samples = [replace(sample, id=str(number)) for number, sample in enumerate(cases)]
    settings = ProbeSettings(sampler, references=9, seed=5)
    for sample, measured in zip(samples, probe(clm, samples, settings=settings), strict=True):
        content = sample.content.reveal()
        for place, (secret, found) in enumerate(zip(sample.secrets, measured.secrets, strict=True)):
            text, rng = secret.text.reveal(), random.Random(f"5 {sample.id} {place}")
            drawn = [decoy(text, secret.kind, rng) for _ in range(9)]
            copies = [
                make_sample(
                    content[: secret.start] + one + content[secret.end :],
                    [(secret.start, secret.end, secret.kind)],
                    id=str(number),
                )
                for number, one in enumerate(drawn)
                if one != text
            ]
            if not copies:
                assert "exposure" not in found.measures
                continue
            values = [
                float(copy.measures["log2_p"])
                for copy in probe(clm, copies, settings=ProbeSettings(sampler))
            ]
            wanted = exposure(float(found.measures["log2_p"]), values)
            assert found.measures["exposure"] == pytest.approx(wanted, rel=0.02, abs=0.02)


def test_a_planted_secret_is_more_exposed_than_a_never_seen_one() -> None:
    """What the measure is for: far past the references, against somewhere among them."""
    clm = tiny.reciting("qwen2")
    settings = ProbeSettings(references=32)
    known = probe(clm, tiny.PLANTED[:1], settings=settings)[0].measures["exposure"]
    (unseen,) = decoyed(tiny.PLANTED[:1], 1, 8)
    unknown = probe(clm, [unseen], settings=settings)[0].measures["exposure"]
    assert known > 10 > 2 * unknown >= 0


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("length", [12, 128])
def test_whole_texts_are_measured_as_the_paper_writes_it(family: str, length: int) -> None:
    """`1/(T-n) sum over t = 1..T-n of overlap_n(f(x_<t), x_>=t)`, the first token given."""
    clm = tiny.reciting(family)
    texts = [tiny.PLANTED[1], *tiny.RETAINED[:2], make_sample("x"), make_sample(LONG)]
    seen: dict[tuple[int, ...], int] = {}
    for text, found in zip(texts, probe_texts(clm, texts, length), strict=True):
        x = list(clm.tokenizer(text.content.reveal())["input_ids"])[: min(length, clm.window)]
        t_all = len(x)
        if t_all < 2:
            assert found == {}
            continue
        right = [tiny.next_token(clm, x[:t]) == x[t] for t in range(1, t_all)]
        assert found["ma_text"] == pytest.approx(sum(right) / (t_all - 1), abs=1e-6)
        assert mean_text_accuracy(clm, [text], length) == found["ma_text"]
        for n in (3, 5, 10):
            shares = [
                overlap(n, tiny.say(clm, x[:t], t_all - t, seen), x[t:])
                for t in range(1, t_all - n + 1)
            ]
            if shares:
                wanted = sum(shares) / (t_all - n)
                assert found[f"el_{n}_text"] == pytest.approx(wanted, abs=1e-6)


def test_a_tie_is_within_reach() -> None:
    """Where the CLM's choice hangs on noise, both answers are measured, and both ends are shown."""
    clm = tiny.reciting("qwen2")
    sample = tiny.PLANTED[2]
    plain = probe(clm, [sample])[0].secrets[0]
    assert plain.reach == {}
    margins = sorted(
        abs(margin) for job in score_jobs(clm, secret_jobs(clm, [sample], encode(clm, [sample])))
        for margin in job.found.margins
    )  # fmt: skip
    clm.noise = margins[1] + 1e-6
    doubtful = probe(clm, [sample])[0].secrets[0]
    assert doubtful.measures == plain.measures
    low, high = doubtful.reach["ma"]
    assert low <= plain.measures["ma"] <= high
    assert high - low == pytest.approx(2 / len(margins))
    assert doubtful.at_least("ma") == low
    assert doubtful.at_most("ma") == high
    assert SecretMeasures.from_dict(json.loads(json.dumps(doubtful.as_dict()))) == doubtful


@torch.no_grad()
def _said_both_ways(clm: Clm, prefix: list[int], tokens: int, noise: float) -> list[list[int]]:
    """What follows greedily, and what does where the first tie falls the other way."""
    said: list[int] = []
    turned: list[list[int]] = []
    while len(said) < tokens:
        best = clm.model(input_ids=torch.tensor([[*prefix, *said]])).logits[0, -1].topk(2)
        if not turned and best.values[0] - best.values[1] < noise:
            way = [*said, int(best.indices[1])]
            rest = tiny.say(clm, prefix + way, tokens - len(way), {})
            turned.append(said if way[-1] in clm.end_tokens else way + rest)
        if int(best.indices[0]) in clm.end_tokens:
            break
        said.append(int(best.indices[0]))
    return [said, *turned]


def _reach_is_that_of_the_definition(clm: Clm, sample: SensitiveSample) -> int:
    """Hold the reach of EL 3 and 5 against both ways of each place; how many of them differ."""
    (job,) = score_jobs(clm, secret_jobs(clm, [sample], encode(clm, [sample])))
    truth, p = list(job.truth), list(job.ids[: job.first])
    (secret,) = probe(clm, [sample])[0].secrets
    moved = 0
    for n in (3, 5):
        ends = []
        for i in range(len(truth) - n + 1):
            ways = _said_both_ways(clm, p + truth[:i], len(truth) - i, logit_noise(clm))
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
    """Each continuation goes either way at its first tie; no choice on the secret itself is one."""
    clm = tiny.reciting(family)
    moved = 0
    for number in range(3 * len(tiny.PLANTED)):
        planted = tiny.PLANTED[number // 3]
        (whole,) = planted.secrets
        start = whole.start + number % 3 * 3
        sample = make_sample(planted.content.reveal(), [(start, whole.end, whole.kind)])
        (job,) = score_jobs(clm, secret_jobs(clm, [sample], encode(clm, [sample])))
        clm.noise = 0.99 * min(abs(margin) for margin in job.found.margins)
        moved += _reach_is_that_of_the_definition(clm, sample)
    assert moved


def test_a_tie_between_two_wrong_tokens_is_within_reach() -> None:
    """Where the secret is not known, what follows either of them is measured."""
    moved = 0
    for sample in tiny.PLANTED:
        clm = tiny.reciting("qwen2", tied=False)
        (job,) = score_jobs(clm, secret_jobs(clm, [sample], encode(clm, [sample])))
        wrong = [g for g in job.found.greedy if g not in job.truth and g not in clm.end_tokens]
        if not wrong:
            continue
        head = clm.model.get_output_embeddings().weight
        twin = next(k for k in range(tiny.VOCABULARY - 1, 1, -1) if k not in job.ids)
        head.data[twin] = head.data[wrong[0]] * (1 + 2e-7)
        clm.noise = 1e-4
        moved += _reach_is_that_of_the_definition(clm, sample)
    assert moved


def test_what_ties_make_of_a_continuation_is_the_least_and_the_most() -> None:
    """Whichever way was seen."""
    clm = tiny.reciting("qwen2")
    (job,) = score_jobs(clm, secret_jobs(clm, tiny.PLANTED[7:], encode(clm, tiny.PLANTED[7:])))
    size = len(job.truth)
    wrong = {i: [0] * (size - i) for i in range(size)}
    right = {i: list(job.truth[i:]) for i in range(size)}
    for seen, other in ((wrong, right), (right, wrong)):
        measures, reach = _measures(clm, [Path(job, job.found.greedy, seen, other)])
        assert measures["el_3"] == float(seen is right)
        assert reach["el_3"] == reach["el_10"] == (0.0, 1.0)
        assert reach["extracted"] == (False, True)


def test_what_comes_after_the_end_is_no_tie() -> None:
    """A job that is over may be asked for more tokens while others of its batch go on."""
    clm = tiny.reciting("qwen2")
    rows = [tuple(clm.tokenizer(tiny.PLANTED[0].content.reveal())["input_ids"])]
    jobs = [Continuation(0, 9, 5)]
    for said, tie, turned in (
        ([4, 5], (3, 7), {}),
        ([4, 5, 6, 7, 8], (5, 7), {}),
        ([4, 5], (2, 0), {0: [4, 5]}),
        ([4, 5, 6, 7, 8], (4, 9), {0: [4, 5, 6, 7, 9]}),
    ):
        assert _the_other_way(clm, rows, jobs, [said], {0: tie}) == turned
    found = _the_other_way(clm, rows, jobs, [[4, 5]], {0: (2, 7)})
    assert found[0][:3] == [4, 5, 7]
    assert found[0][3:] == tiny.say(clm, [*rows[0][:9], 4, 5, 7], 2, {})


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_noise_is_what_the_batch_changes(family: str) -> None:
    """In float32 a thousandth of a logit at most; in bfloat16 more; measured once."""
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
    """A boundless noise makes the CLM know all or nothing: extracted or not, MA 0 to 1."""
    clm = tiny.reciting("gpt2")
    clm.noise = 1e9
    secret = probe(clm, tiny.PLANTED[:1])[0].secrets[0]
    assert secret.reach["ma"] == (0.0, 1.0)
    assert secret.reach["extracted"] == (False, True)
    assert secret.reach["el_10"][1] == 1.0
    judged = judge(SampleMeasures("s", (secret,)), Thresholds("test", {"ma": 0.5, "el_10": 0.5}))
    assert judged.verdict == "inconclusive"
    assert all("within numerical reach" in reason for reason in judged.reasons)
