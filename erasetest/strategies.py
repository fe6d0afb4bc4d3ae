"""Hypothesis strategies for users' own tests: secrets of every kind, and code that contains them.

    from hypothesis import given
    from erasetest.strategies import KINDS, secrets, samples

    @given(secrets("github-token"))
    def test_my_filter_masks_tokens(token): ...

All values are random strings in the format of real secrets; none is a real credential.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.errors import BadInput
from erasetest.samples import SensitiveSample, make_sample
from erasetest.samples.decoys import decoy

_PATTERNS = {
    "artifactory-credentials": r"AKC[a-zA-Z0-9]{10,40}",
    "aws-secret-access-key": r"[0-9a-zA-Z/+]{40}",
    "azure-storage-account-access-key": r"[a-zA-Z0-9+/]{86}==",
    "cloudant-credentials": r"[0-9a-f]{64}",
    "discord-bot-token": r"[MNO][a-zA-Z0-9_-]{23}\.[a-zA-Z0-9_-]{6}\.[a-zA-Z0-9_-]{27}",
    "gitlab-token": r"glpat-[A-Za-z0-9_-]{20}",
    "high-entropy-base64": r"[A-Za-z0-9+]{40}",
    "high-entropy-hex": r"[0-9a-f]{40}",
    "ibm-cloud-iam-key": r"[a-zA-Z0-9_-]{44}",
    "ibm-cos-hmac-credentials": r"[a-f0-9]{48}",
    "mailchimp-access-key": r"[0-9a-z]{32}-us[0-9]{1,2}",
    "npm-token": r"npm_[A-Za-z0-9]{36}",
    "openai-token": r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    "pypi-token": r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,90}",
    "sendgrid-api-key": r"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}",
    "softlayer-credentials": r"[a-z0-9]{64}",
    "square-oauth-secret": r"sq0csp-[0-9A-Za-z_-]{43}",
    "stripe-access-key": r"sk_live_[0-9a-zA-Z]{24}",
    "telegram-bot-token": r"[0-9]{8,10}:[0-9A-Za-z_-]{35}",
    "twilio-api-key": r"SK[a-z0-9]{32}",
}

KINDS: tuple[str, ...] = tuple(sorted({*GENERATORS, *_PATTERNS}))
"""All kinds that `secrets` can draw."""


def secrets(kind: str) -> st.SearchStrategy[str]:
    """Draw secrets of a kind.

    Raises:
        BadInput: the kind is not in `KINDS`.
    """
    if kind in GENERATORS:
        return st.randoms(use_true_random=False).map(GENERATORS[kind])
    if kind in _PATTERNS:
        return st.from_regex(_PATTERNS[kind], fullmatch=True)
    raise BadInput(f"no strategy for secrets of kind {kind!r}: expected one of {', '.join(KINDS)}")


def like(secret: str, kind: str) -> st.SearchStrategy[str]:
    """Draw decoys of a secret: random strings in its format, as calibration and exposure use."""
    return st.randoms(use_true_random=False).map(lambda rng: decoy(secret, kind, rng))


@st.composite
def samples(
    draw: st.DrawFn, kinds: Sequence[str] = KINDS, *, max_secrets: int = 3
) -> SensitiveSample:
    """Draw code with one to `max_secrets` assigned secrets of the kinds, with exact spans."""
    text = "# settings\n"
    spans: list[tuple[int, int, str]] = []
    for number in range(draw(st.integers(1, max_secrets))):
        kind = draw(st.sampled_from(list(kinds)))
        secret = draw(secrets(kind))
        text += f"PORT_{number} = {draw(st.integers(1024, 9999))}\n"
        text += f'{kind.upper().replace("-", "_")}_{number} = """'
        spans.append((len(text), len(text) + len(secret), kind))
        text += f'{secret}"""\n'
    return make_sample(text, spans, id=f"drawn-{draw(st.integers(0, 10**6))}")
