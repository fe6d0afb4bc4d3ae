"""Which texts hold a secret, or a part of one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from erasetest.samples import make_sample
from erasetest.samples.retained import secret_owner

TEXTS = st.text("ab1", max_size=24)


@given(st.lists(st.text("ab1", min_size=5, max_size=14), min_size=1, max_size=4), TEXTS, TEXTS)
def test_secrets_are_found_in_a_text(secrets: list[str], one: str, two: str) -> None:
    """Whole ones of eight characters or more; parts from six consecutive characters."""
    samples = [make_sample(s, [(0, len(s), "k")], id=str(n)) for n, s in enumerate(secrets)]
    looked_for = [s for s in secrets if len(s) >= 8]
    whole, part = secret_owner(samples), secret_owner(samples, 6)
    for text in (one, one + secrets[0] + two, one + secrets[0][1:] + two):
        owner = whole(text)
        assert (owner is not None) == any(s in text for s in looked_for)
        assert owner is None or secrets[int(owner)] in text
        owner = part(text)
        parts = [s[i : i + 6] for s in secrets for i in range(len(s) - 5)]
        assert (owner is not None) == any(p in text for p in parts)
        if owner is not None:
            mine = secrets[int(owner)]
            assert any(mine[i : i + 6] in text for i in range(len(mine) - 5))


def test_without_samples_nothing_is_found() -> None:
    """Nor with samples that have no secrets."""
    assert secret_owner(())("x = 1") is None
    assert secret_owner([make_sample("x = 1", id="s")], 6)("x = 1") is None
