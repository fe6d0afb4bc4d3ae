"""Texts that contain a never-seen string twice."""

from __future__ import annotations

import tiny
from copying import copying

from erasetest.probes.text_probing import mean_copying_accuracy
from erasetest.samples import make_sample
from erasetest.samples.repeats import repeated_strings


def test_a_string_is_before_and_after_the_code() -> None:
    """In the format of a secret, and not the secret."""
    made = repeated_strings(tiny.RETAINED, tiny.PLANTED, 9, 1)
    assert len(made) == 9
    secrets = [secret.text.reveal() for sample in tiny.PLANTED for secret in sample.secrets]
    for sample in made:
        (secret,) = sample.secrets
        content, string = sample.content.reveal(), secret.text.reveal()
        assert content[: secret.start].count(string) == 1
        assert string not in secrets
        assert not any(one in content for one in secrets)
    assert len({sample.content.reveal() for sample in made}) == 9
    assert repeated_strings(tiny.RETAINED, tiny.PLANTED, 9, 1) == made
    assert repeated_strings(tiny.RETAINED, tiny.PLANTED, 9, 2) != made
    assert repeated_strings([], tiny.PLANTED, 9, 1) == []
    assert len(repeated_strings(tiny.RETAINED, [], 2, 1)) == 2
    sign = make_sample("a = '→→'", [(5, 7, "sign")], id="s")
    for sample in repeated_strings(tiny.RETAINED, [sign], 4, 1):
        assert "→→" not in sample.content.reveal()


def test_a_clm_that_copies_is_told_from_one_that_does_not() -> None:
    """By the MA of the second occurrence."""
    made = repeated_strings(tiny.RETAINED, tiny.PLANTED, 6, 1)
    assert mean_copying_accuracy(copying(), made) > 0.9
    assert mean_copying_accuracy(tiny.reciting("gpt2"), made) < 0.4
    assert mean_copying_accuracy(copying(), []) == 0
