"""Tokens of issuers that detect-secrets does not know."""

from __future__ import annotations

import random
import string

import pytest
from scan_oracles import findings

from erasetest.scanning import Document, find_secrets
from erasetest.scanning.detectors import tokens
from erasetest.scanning.issuers import ISSUERS

ALPHANUMERIC = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
SIGNS = ALPHANUMERIC + "_-"


def draw(length: int, alphabet: str = ALPHANUMERIC) -> str:
    rng = random.Random(f"{length}{alphabet}")
    return "".join(rng.choice(alphabet) for _ in range(length))


# Concatenated, so that other scanners find no token in this file.
EXAMPLES = [
    ("anthropic-api-key", "sk-" + "ant-api03-" + draw(93, SIGNS) + "AA"),
    ("azure-ad-client-secret", "k3~" + "8Q~" + draw(34, ALPHANUMERIC + "_.~-")[:-1] + "x"),
    ("cloudflare-origin-ca-key", "v1." + "0-" + draw(24, HEX) + "-" + draw(146, HEX)),
    ("databricks-token", "da" + "pi" + draw(32, HEX)),
    ("databricks-token", "da" + "pi" + draw(32, HEX) + "-3"),
    ("digitalocean-token", "dop" + "_v1_" + draw(64, HEX)),
    ("docker-hub-token", "dckr" + "_pat_" + draw(26, SIGNS) + "x"),
    ("docker-hub-token", "dckr" + "_oat_" + draw(32)),
    ("doppler-token", "dp." + "pt." + draw(43)),
    ("github-fine-grained-token", "github" + "_pat_" + draw(22) + "_" + draw(59)),
    ("google-api-key", "AI" + "za" + draw(34, SIGNS) + "x"),
    ("google-oauth-client-secret", "GOC" + "SPX-" + draw(27, SIGNS) + "x"),
    ("grafana-token", "gl" + "sa_" + draw(32) + "_" + draw(8, HEX)),
    ("grafana-token", "gl" + "c_eyJ" + draw(100) + "=="),
    ("huggingface-token", "h" + "f_" + draw(34, string.ascii_letters)),
    ("huggingface-token", "api" + "_org_" + draw(34, string.ascii_letters)),
    ("linear-api-key", "lin" + "_api_" + draw(40)),
    ("new-relic-api-key", "NR" + "AK-" + draw(27, UPPER)),
    ("notion-token", "nt" + "n_" + draw(11, string.digits) + draw(35)),
    ("npm-token", "np" + "m_" + draw(36)),
    ("openai-project-key", "sk-" + "proj-" + draw(73, SIGNS) + "xT3Blbk" + "FJ" + draw(74)),
    ("openai-project-key", "sk-" + "svcacct-" + draw(58) + "T3Blbk" + "FJ" + draw(58)),
    ("planetscale-token", "ps" + "cale_tkn_" + draw(43)),
    ("postman-api-key", "PM" + "AK-" + draw(24, HEX) + "-" + draw(34, HEX)),
    ("shopify-token", "sh" + "pat_" + draw(32, HEX)),
    ("slack-app-token", "xa" + "pp-1-" + draw(11, UPPER) + f"-{draw(13, '123')}-" + draw(64, HEX)),
    ("slack-app-token", "xo" + "xe.xoxp-1-" + draw(163)),
    ("terraform-cloud-token", draw(14) + ".atlas" + "v1." + draw(67)),
    ("vault-token", "hv" + "s." + draw(94) + "x"),
    ("vault-token", "hv" + "b." + draw(150)),
]  # fmt: skip
CONTEXTS = [
    'größe = 1; key = "{}"',
    "client = Client('{}', timeout=3)",
    "curl https://example.com/v1?key={}&x=1",
    "export TOKEN={}",
    "  # {}",
    "<token>{}</token>",
    r'text = "first\n{}\nlast"',
    "url = 'https://example.com/?next=%3Fkey%3D{}'",
    "It is {}. Do not tell.",
]


def found(text: str) -> list[tuple[str, str]]:
    seen = findings(tokens.DETECTORS, "a.py", text)
    return [(text[finding.start : finding.end], finding.kind) for finding in seen]


def test_names_are_unique_and_every_kind_has_an_example() -> None:
    assert len({plugin.__name__ for plugin in ISSUERS}) == len(ISSUERS)
    assert len({plugin.secret_type for plugin in ISSUERS}) == len(ISSUERS)
    assert {tokens.kind_of(plugin.secret_type) for plugin in ISSUERS} == {
        kind for kind, _ in EXAMPLES
    }


@pytest.mark.parametrize(("kind", "token"), EXAMPLES)
@pytest.mark.parametrize("context", CONTEXTS)
def test_the_whole_token_is_found_in_any_context(context: str, kind: str, token: str) -> None:
    text = f"import os\n{context.format(token)}\nx = 1\n"
    here = find_secrets(Document.of("a.py", text))
    assert [(text[one.start : one.end], one.kind, one.confidence) for one in here] == [
        (token, kind, "high")
    ]


@pytest.mark.parametrize(("kind", "token"), EXAMPLES)
def test_a_shorter_token_or_a_part_of_a_longer_word_is_not_found(kind: str, token: str) -> None:
    near = [f"x{token}", f"{token}{'x' * 400}", token[:20], token[1:]]
    for text in near:
        assert [kind_here for value, kind_here in found(text) if value == token] == []
        assert kind not in [kind_here for _, kind_here in found(text)]


# Kinds whose tokens have a fixed length.
EXACT = {
    "anthropic-api-key", "cloudflare-origin-ca-key", "databricks-token", "digitalocean-token",
    "github-fine-grained-token", "google-api-key", "google-oauth-client-secret",
    "huggingface-token", "linear-api-key", "new-relic-api-key", "notion-token", "npm-token",
    "postman-api-key", "shopify-token",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "token"), [pair for pair in EXAMPLES if pair[0] in EXACT])
def test_a_token_without_one_character_is_not_found(kind: str, token: str) -> None:
    shortened = token[:-3] + token[-2:] if kind != "databricks-token" else token[:30]
    if kind == "anthropic-api-key":
        shortened = token[:40] + token[50:]
    assert kind not in [kind_here for _, kind_here in found(f'"{shortened}"')]


@pytest.mark.parametrize(
    "text",
    ["hvs.calculate_total_house_value_sum", "hvs.compute(x)", "pscale_tkn_names", "AIzaShort"],
)
def test_names_with_the_same_prefix_are_not_found(text: str) -> None:
    assert found(f"x = {text}") == []
