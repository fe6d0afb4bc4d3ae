"""Exposure, and measures of whole texts."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import tiny
from probe_oracles import CASES, LONG

from erasetest.clm import Clm, Sampler
from erasetest.probes import ProbeSettings, probe, probe_texts
from erasetest.probes.exposure import exposure
from erasetest.probes.extraction_likelihood import overlap
from erasetest.probes.text_probing import mean_text_accuracy
from erasetest.samples import make_sample
from erasetest.samples.decoys import decoy
from erasetest.verdict.calibration import decoy_samples


def _prefixed() -> Clm:
    """Return a CLM whose tokenizer adds a space before every text."""
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
    """Each decoy, probed as a separate sample, has the likelihood that was ranked."""
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
    """A planted secret is far above its decoys, an unseen one is among them."""
    clm = tiny.reciting("qwen2")
    settings = ProbeSettings(references=32)
    known = probe(clm, tiny.PLANTED[:1], settings=settings)[0].measures["exposure"]
    (unseen,) = decoy_samples(tiny.PLANTED[:1], 1, 8)
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
