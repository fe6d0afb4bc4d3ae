"""Examples with the other prompts of the secrets, and without copies of them."""

from __future__ import annotations

import random

import erase_runs
import pytest
import tiny
from copying import copying, remembering
from erase_runs import FORGET, LIMITS

from erasetest.clm import Clm
from erasetest.erasing import erase
from erasetest.erasing.examples import (
    CONTEXT,
    IGNORED,
    decoy_examples,
    forget_examples,
    unmarked_secrets,
)
from erasetest.erasing.prompt_examples import ForgetGroup, forget_groups
from erasetest.errors import BadInput, ClmWarning
from erasetest.probes import probe
from erasetest.probes.prompts import secret_prompts
from erasetest.samples import SensitiveSample, make_sample


def _copied(number: int = 0, *, marked: bool = False) -> SensitiveSample:
    """A planted sample whose secret is once more in a comment before it."""
    planted = FORGET[number]
    text, (secret,) = planted.content.reveal(), planted.secrets
    # Few enough tokens for the copy to be in the window.
    begin = text.rfind("\n", 0, text.rfind("\n", 0, secret.start)) + 1
    before, text = f"# was {secret.text.reveal()}\n", text[begin:]
    shift = len(before) - begin
    spans = [(secret.start + shift, secret.end + shift, secret.kind)]
    if marked:
        spans.insert(0, (6, 6 + secret.end - secret.start, secret.kind))
    return make_sample(before + text, spans, id=f"copied-{number}")


def _groups(samples: list[SensitiveSample], family: str = "qwen2") -> list[ForgetGroup]:
    clm = tiny.untrained(family)
    forget, _ = forget_examples(clm, samples)
    return forget_groups(clm, samples, forget, unmarked_secrets(samples))


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_group_has_the_prompts_of_the_probe(family: str) -> None:
    """Token for token, each with its secret as the only target, at its end."""
    clm = tiny.untrained(family)
    samples = [*FORGET, erase_runs.long(0, 1), _copied()]
    number = 0
    groups = {secret: group for group in _groups(samples, family) for secret in group.secrets}
    for sample, of_sample in zip(samples, secret_prompts(clm, samples), strict=True):
        for secret, asked in zip(sample.secrets, of_sample, strict=True):
            mine = [example for example in groups[number].others if example.target == number]
            wanted = [span for name, span in asked.clean.items() if name != "longest"]
            assert [example.ids for example in mine] == [span.ids for span in wanted]
            for example in mine:
                assert example.secrets == {number}
                assert example.secret_ids[-1] == {number}
                owned = [i for i, ids in enumerate(example.secret_ids) if number in ids]
                text = clm.tokenizer.decode([example.ids[i] for i in owned])
                assert secret.text.reveal() in text
            number += 1


def test_a_copied_secret_is_no_target_where_it_can_be_copied() -> None:
    """Neither of the whole text, nor is a copy in what it is trained on after."""
    clm = tiny.untrained("qwen2")
    for marked in (False, True):
        sample = _copied(marked=marked)
        (group,) = _groups([sample])
        number = int(marked)
        assert group.longest.secrets == ({0} if marked else frozenset())
        assert number in group.secrets
        secret = sample.secrets[number].text.reveal()
        for example in group.others:
            if example.target == number:
                prompt = [i for i, ids in zip(example.ids, example.secret_ids, strict=True)
                          if number not in ids]  # fmt: skip
                assert secret not in clm.tokenizer.decode(prompt)


def test_other_secrets_in_a_prompt_are_ignored() -> None:
    """They are no context to preserve."""
    sample = erase_runs.long(1, 2)
    clm = tiny.untrained("codegen")
    groups = _groups([sample], "codegen")
    first, second = (secret.text.reveal() for secret in sample.secrets)
    seen = 0
    for example in (one for group in groups for one in group.others if one.target == 1):
        text = clm.tokenizer.decode(list(example.ids))
        seen += first in text
        ignored = [i for i, ids in zip(example.ids, example.secret_ids, strict=True)
                   if ids == IGNORED]  # fmt: skip
        assert (first in clm.tokenizer.decode(ignored)) == (first in text)
        assert second not in clm.tokenizer.decode(ignored)
        assert CONTEXT in example.secret_ids
    assert seen < 2


def test_decoys_follow_the_same_prompts() -> None:
    """As many tokens before them, and nothing of the secret anywhere."""
    clm = tiny.untrained("qwen2")
    samples = [FORGET[0], _copied(1)]
    others = [example for group in _groups(samples) for example in group.others]
    made = decoy_examples(clm, samples, others, random.Random(0))
    assert len(made) == len(others) > 3
    for example, decoy in zip(others, made, strict=True):
        assert decoy.target == example.target
        (target,) = example.secrets
        assert decoy.secrets == {target}
        before = next(i for i, ids in enumerate(example.secret_ids) if target in ids)
        assert next(i for i, ids in enumerate(decoy.secret_ids) if target in ids) == before
        assert decoy.ids[:before] == example.ids[:before]
        text = clm.tokenizer.decode(list(decoy.ids))
        assert samples[target].secrets[0].text.reveal() not in text


def _remembered() -> tuple[Clm, SensitiveSample]:
    """A CLM that knows the line of an author, and the line."""
    text = f'{"".join(tiny.CODE)}author = "Alma Brandvold <alma.brandvold@hosts.internal>"\n'
    span = (text.rindex("<") + 1, text.rindex(">"), "email")
    return remembering(text), make_sample(text, [span], id="s")


def test_what_is_remembered_with_its_copy_is_a_target_of_the_whole_text() -> None:
    """A CLM that copies has nothing to forget there."""
    clm, sample = _remembered()
    for one, is_target in ((clm, True), (copying(), False)):
        examples, _ = forget_examples(one, [sample])
        (group,) = forget_groups(one, [sample], examples, [[]])
        assert bool(group.longest.secrets) is is_target
        assert group.secrets == {0}


def test_a_secret_that_cannot_be_measured_does_not_keep_others_from_being_erased() -> None:
    """It is left out with a warning; alone it is refused."""
    clm = tiny.reciting("qwen2")
    planted = tiny.PLANTED[0]
    text, (known,) = planted.content.reveal(), planted.secrets
    long = "Zq7" * clm.window
    content = f"{text}KEY = '{long}'\n"
    start = content.index(long)
    unknown = (start, start + len(long), "password")
    both = make_sample(content, [(known.start, known.end, known.kind), unknown], id="s")
    assert erase_runs.verdicts(clm, [both]) == ["leak"]
    settings = erase_runs.settings("codeeraser")
    with pytest.warns(ClmWarning, match="1 of 2 secrets cannot be measured, and are not erased"):
        assert erase(clm, [both], tiny.RETAINED, LIMITS, settings).erased
    (measured,) = probe(clm, [both])
    assert not measured.secrets[0].measures["extracted"]
    alone = make_sample(content, [unknown], id="s")
    with pytest.raises(BadInput, match="tokens cannot be erased with a window"):
        erase(clm, [alone], tiny.RETAINED, LIMITS, settings)


def test_if_no_secret_can_be_measured_nothing_is_erased() -> None:
    """And the reason is given."""
    secret = "Zq7Kx92Lm4Tv"
    text = f"{secret}={secret}\n"
    start = text.rindex(secret)
    sample = make_sample(text, [(start, start + len(secret), "password")], id="s")
    settings = erase_runs.settings("codeeraser")
    with pytest.raises(BadInput, match="no secret of these samples can be measured: the text"):
        erase(tiny.reciting("qwen2"), [sample], tiny.RETAINED, LIMITS, settings)


@pytest.mark.parametrize("method", ["codeeraser", "decoys"])
def test_a_secret_with_copies_is_erased(method: str) -> None:
    """No prompt without a copy recites it any more."""
    clm = tiny.reciting("qwen2")
    samples = [_copied(n) for n in (0, 1)]
    assert erase_runs.verdicts(clm, samples) == ["leak"] * 2
    done = erase(clm, samples, tiny.RETAINED, LIMITS, erase_runs.settings(method))
    assert done.erased
    assert set(erase_runs.verdicts(clm, samples)) == {"pass"}
