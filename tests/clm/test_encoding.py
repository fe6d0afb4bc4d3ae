"""Tokenizing samples and finding the tokens of their secrets."""

from __future__ import annotations

import unicodedata

import pytest
import tiny
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from erasetest.clm import encode
from erasetest.probes.decoy_scores import _tokenize
from erasetest.probes.extraction import _starts_with, _wanted_text
from erasetest.probes.token_spans import secret_spans
from erasetest.samples import make_sample

TEXTS = st.text(
    st.one_of(
        st.sampled_from('abkey_ ="01\n\r\t(){}#é→ü漢😀\u0301\u200b'), st.characters(codec="utf-8")
    ),
    min_size=1,
    max_size=60,
)
CLMS = {family: tiny.untrained(family) for family in tiny.FAMILIES}


@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_secrets_tokens_are_those_that_hold_a_byte_of_it(
    family: str, data: st.DataObject
) -> None:
    """All tokens that overlap it by at least a byte, and no others (tokens represent bytes)."""
    clm = CLMS[family]
    content = data.draw(TEXTS)
    if family == "qwen2":
        # Its tokenizer composes characters: tokens of other texts have other bytes.
        content = unicodedata.normalize("NFC", content)
    spans = []
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content) - 1))
        spans.append((start, data.draw(st.integers(start + 1, len(content))), "token"))
    sample = make_sample(content, spans, id="s")
    encoded = encode(clm, [sample])[0]

    ids = clm.tokenizer(content)["input_ids"]
    shift = len(encoded.ids) - len(ids)
    assert list(encoded.ids) == [clm.start_token] * shift + ids
    assert shift == any(place.first == 1 and shift for place in encoded.secrets)
    assert all(place.first >= 1 for place in encoded.secrets)
    edges = [0]
    for token in ids:
        edges.append(edges[-1] + len(tiny.token_bytes(clm, [token])))
    assert edges[-1] == len(content.encode())
    for (start, end, _), place in zip(spans, encoded.secrets, strict=True):
        first, last = len(content[:start].encode()), len(content[:end].encode())
        hit = [i for i in range(len(ids)) if edges[i] < last and edges[i + 1] > first]
        assert (place.first - shift, place.last - shift) == (hit[0], hit[-1] + 1)
        assert len(place) == len(hit)
        before = content.encode()[: edges[hit[0]]].decode(errors="ignore")
        assert place.text_start == len(before) <= start
        assert encoded.text_starts[place.first] == place.text_start


def test_samples_are_encoded_in_order() -> None:
    """Each sample is encoded alone: no padding, no truncation."""
    clm = CLMS["gpt2"]
    samples = [*tiny.PLANTED, make_sample("x" * 5000, [(4990, 5000, "token")], id="long")]
    together = encode(clm, samples)
    assert together == [encode(clm, [sample])[0] for sample in samples]
    assert len(together[-1].ids) > 10 * clm.window
    assert encode(clm, []) == []


def test_a_start_token_stands_before_a_secret_at_offset_0() -> None:
    """Only there: a sample whose secrets come later is unchanged."""
    clm = CLMS["qwen2"]
    at_start = encode(clm, [make_sample("key = 1", [(0, 3, "token"), (6, 7, "token")])])[0]
    later = encode(clm, [make_sample("key = 1", [(6, 7, "token")])])[0]
    assert at_start.ids == (clm.start_token, *later.ids)
    assert at_start.secrets[1].first == later.secrets[0].first + 1
    assert at_start.secrets[1].text_start == later.secrets[0].text_start


def test_special_tokens_that_the_tokenizer_adds_are_nobodys() -> None:
    """Special tokens at the start and end of a text belong to no secret."""
    from tokenizers.processors import TemplateProcessing

    clm = tiny.untrained("gpt2")
    clm.tokenizer = tiny.fresh_tokenizer("gpt2")
    clm.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    content = "key = 1"
    plain = tiny.tokenizer("gpt2")(content)["input_ids"]
    encoded = encode(clm, [make_sample(content, [(0, 7, "token"), (0, 3, "token")])])[0]
    assert encoded.ids == (0, *plain, 0)
    assert (encoded.secrets[0].first, encoded.secrets[0].last) == (1, 1 + len(plain))
    assert encoded.secrets[1].first == 1


def test_a_secret_that_the_tokenizer_drops_has_no_tokens() -> None:
    """Its length is 0, and the other secrets keep their tokens."""
    from tokenizers import normalizers

    clm = tiny.untrained("qwen2")
    clm.tokenizer = tiny.fresh_tokenizer("qwen2")
    clm.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    encoded = encode(clm, [make_sample("k = '\u200b'", [(5, 6, "token"), (0, 1, "token")])])[0]
    assert [len(place) for place in encoded.secrets] == [0, 1]
    assert encoded.ids[encoded.secrets[1].first] == clm.tokenizer("k")["input_ids"][0]


def test_encoded_samples_show_no_tokens() -> None:
    """The repr has no token ids, since they can be decoded to the text."""
    encoded = encode(CLMS["gpt2"], tiny.PLANTED[:1])[0]
    for shown in (repr(encoded), str(encoded), repr(encoded.secrets)):
        assert ", ".join(map(str, encoded.ids[:3])) not in shown
        assert "ids" not in shown


def _prefixing(kind: str) -> hf.PreTrainedTokenizerFast:
    """A tokenizer that adds a space before a text, as a separate token before `SECRET`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import ByteLevel

    alphabet: list[str] = []
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    if kind.startswith("byte-level"):
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        if kind.endswith("trimmed"):
            # With offsets that exclude white space, those of the added space are empty.
            tokenizer.post_processor = ByteLevel(trim_offsets=True)
    elif kind == "prepended by the normalizer":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind)
        tokenizer.decoder = decoders.Metaspace(prepend_scheme=kind)
    trainer = trainers.BpeTrainer(
        vocab_size=tiny.VOCABULARY, special_tokens=["<s>", "<unk>"], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator([*tiny.CODE, f"x{SECRET} key"], trainer)
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>", unk_token="<unk>"
    )


SECRET = "€ZxQ9_81Lq0Zt"
"""A secret whose first characters are never merged with others."""

prefixing = pytest.mark.parametrize(
    "kind", ["first", "always", "prepended by the normalizer", "byte-level", "byte-level, trimmed"]
)


@prefixing
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_space_that_a_tokenizer_adds_is_no_token_of_a_secret(family: str, kind: str) -> None:
    """It is part of the prompt, not of the secret."""
    clm = tiny.untrained(family)
    clm.tokenizer = _prefixing(kind)
    whole = clm.tokenizer(SECRET)["input_ids"]
    assert clm.tokenizer.decode(whole[:1]).strip() == ""
    tail = " key"
    spans = [(0, len(SECRET), "token"), (0, 1, "token"), (len(SECRET) + 1, len(SECRET) + 4, "x")]
    sample = make_sample(SECRET + tail, spans)
    encoded = encode(clm, [sample])[0]
    at, character, later = encoded.secrets
    assert encoded.ids[: at.last] == tuple(whole)
    assert (at.first, at.text_start, character.first) == (1, 0, 1)
    assert later.first >= at.last
    job = secret_spans(clm, [sample], [encoded])[0]
    assert job.truth == tuple(whole[1:])
    assert _starts_with(clm, job, _wanted_text(clm, job), job.truth) is True


@pytest.mark.parametrize("kind", ["first", "prepended by the normalizer", "byte-level"])
def test_a_space_that_the_secret_begins_with_is_its_own(kind: str) -> None:
    """A space that is part of the text was not added by the tokenizer."""
    clm = tiny.untrained("qwen2")
    clm.tokenizer = _prefixing(kind)
    encoded = encode(clm, [make_sample(f" {SECRET}", [(0, 4, "token")])])[0]
    place = encoded.secrets[0]
    first = clm.tokenizer.decode([encoded.ids[place.first]], clean_up_tokenization_spaces=False)
    assert (place.text_start, first.strip()) == (0, "")


@prefixing
def test_references_are_cut_like_the_secret(kind: str) -> None:
    """Decoys in a secret's place do not include an added space either."""
    clm = tiny.untrained("qwen2")
    clm.tokenizer = _prefixing(kind)
    ((ids, (first, last)),) = _tokenize(clm, [SECRET], 0, len(SECRET))
    assert (first, last) == (1, len(ids))
