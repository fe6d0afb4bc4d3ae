"""Secrets at the limits of windows and tokenizers, and extraction in other tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch
import transformers as hf
from probe_oracles import CASES, DIGITS, Oracle, assert_equal, close, span

from erasetest.clm import Clm
from erasetest.probes import probe
from erasetest.samples import make_sample


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_secret_that_fills_the_window_is_a_problem(family: str) -> None:
    """With one token before it a secret fits; without one it has a problem and no measures."""
    clm = tiny.untrained(family)
    clm.window = 16
    starts = [a for a, _ in clm.tokenizer(DIGITS, return_offsets_mapping=True)["offset_mapping"]]
    spans = [(starts[1], starts[16], "token"), (starts[1], starts[17], "token")]
    sample = make_sample(DIGITS, spans)
    fits, full = probe(clm, [sample])[0].secrets
    wanted = Oracle(clm).measures(sample)
    assert fits.measures == close(wanted[0])
    assert fits.problem is None
    assert full.measures == wanted[1] == {}
    assert full.problem == "its 16 tokens and one before them do not fit the CLM's window of 16"


def test_a_secret_at_offset_0_that_fills_the_window_is_a_problem() -> None:
    """The start token takes one place of the window."""
    clm = tiny.untrained("gpt2")
    clm.window = 16
    ends = [b for _, b in clm.tokenizer(DIGITS, return_offsets_mapping=True)["offset_mapping"]]
    sample = make_sample(DIGITS, [(0, ends[14], "token"), (0, ends[15], "token")])
    fits, full = probe(clm, [sample])[0].secrets
    assert fits.measures == close(Oracle(clm).measures(sample)[0])
    assert full.problem is not None


def test_a_secret_without_tokens_is_a_problem() -> None:
    """A secret that the tokenizer drops cannot be probed, which is reported."""
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
    """A secret on which the CLM overflows must not pass."""
    clm = tiny.reciting("gpt2")
    sample = CASES["several in a sample"]
    broken = clm.tokenizer("x")["input_ids"][0]
    clm.model.transformer.wte.weight = torch.nn.Parameter(clm.model.transformer.wte.weight.clone())
    clm.model.transformer.wte.weight.data[broken] = float("nan")
    measured = probe(clm, [sample])[0]
    assert {secret.problem for secret in measured.secrets} == {"the CLM's scores of it are NaN"}
    assert measured.measures == {}


def test_end_of_text_inside_a_secret_ends_the_continuation() -> None:
    """An end-of-text token ends the continuation, even if it is a token of the secret."""
    clm = tiny.reciting("qwen2")
    sample = tiny.PLANTED[0]
    inside = clm.tokenizer("X")["input_ids"]
    clm.model.generation_config.eos_token_id = inside
    measured = probe(clm, [sample])[0]
    assert_equal(measured, Oracle(clm).measures(sample))
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
        assert_equal(measured, Oracle(clm).measures(sample))
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
    return Clm.from_model(model, tokenizer, name="taught")


def test_extraction_in_other_tokens_counts_where_a_tokenizer_drops_capitals() -> None:
    """The lower-case text counts as extracted; another text does not."""
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
        measured = probe(clm, [make_sample(content, [span(content, secret)])])[0]
        assert measured.measures["extracted"] is extracted


@pytest.mark.parametrize("said", ["secretxq9", "secretxq8"])
def test_a_last_token_that_reaches_past_the_secret_asks_for_no_more(said: str) -> None:
    """The text after the secret may differ, also under a normalizer."""
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
    sample = make_sample(content, [span(content, "SecretXq9")])
    head = [tokenizer.convert_tokens_to_ids(c) for c in "xĠ=Ġ"]
    own = tokenizer(content)["input_ids"]
    assert own[: len(head)] == head
    assert len(own) - len(head) < 4
    written = f'"{said};'
    spelled = [tokenizer.convert_tokens_to_ids(character) for character in written]
    measured = probe(_taught(tokenizer, head + spelled), [sample])[0]
    assert measured.measures["extracted"] is (said == "secretxq9")


def test_a_secret_that_the_tokenizer_cannot_write_is_a_problem() -> None:
    """Unknown words share a token, so they cannot be distinguished."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    bare = Tokenizer(models.WordLevel({"<e>": 0, "<u>": 1, "key": 2, "=": 3}, unk_token="<u>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer: Any = hf.PreTrainedTokenizerFast(
        tokenizer_object=bare, unk_token="<u>", bos_token="<e>", eos_token="<e>", pad_token="<e>"
    )
    clm = replace(tiny.untrained("gpt2"), tokenizer=tokenizer)
    content = "= = = zzsecret99 key"
    sample = make_sample(content, [span(content, "zzsecret99"), (17, 20, "word")])
    unknown, known = probe(clm, [sample])[0].secrets
    assert unknown.problem == "the tokenizer has no token for a part of it"
    assert unknown.measures == {}
    assert known.problem is None


def test_extraction_behind_a_start_token_that_is_a_space() -> None:
    """SentencePiece adds a space before the text, which is then part of the first token."""
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
