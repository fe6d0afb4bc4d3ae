"""Tokens of known formats: spans, kinds and placeholders."""

from __future__ import annotations

import random
import string

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from scan_oracles import findings

from erasetest.demo.synthetic_secrets import GENERATORS
from erasetest.scanning.detectors import tokens


def draw(length: int, alphabet: str = string.ascii_letters + string.digits, seed: int = 5) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(alphabet) for _ in range(length))


LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"

EXAMPLES = {
    "artifactory-credentials": "AKC" + draw(20),
    "aws-access-key": GENERATORS["aws-access-key"](random.Random(1)),
    "azure-storage-account-access-key": draw(86) + "==",
    "discord-bot-token": "M" + draw(23) + "." + draw(6) + "." + draw(27),
    "github-token": GENERATORS["github-token"](random.Random(1)),
    "gitlab-token": "gl" + "pat-" + draw(20),
    "mailchimp-access-key": draw(32, HEX) + "-us12",
    "npm-token": "npm" + "_" + draw(36),
    "openai-token": "sk" + "-" + draw(20) + "T3Blbk" + "FJ" + draw(20),
    "pypi-token": "pypi-" + "AgEIcHlwaS5vcmc" + draw(80),
    "sendgrid-api-key": "SG" + "." + draw(22) + "." + draw(43),
    "slack-token": GENERATORS["slack-token"](random.Random(1)),
    "square-oauth-secret": "sq0" + "csp-" + draw(43),
    "stripe-access-key": "sk_" + "live_" + draw(24),
    "telegram-bot-token": draw(9, string.digits) + ":" + draw(35),
    "twilio-api-key": "S" + "K" + draw(32, HEX),
    "softlayer-credentials": draw(64, HEX),
    "cloudant-credentials": draw(64, HEX, seed=6),
    "ibm-cloud-iam-key": draw(44),
    "ibm-cos-hmac-credentials": draw(48, HEX),
}
PLACES = {
    "azure-storage-account-access-key": 'c = "AccountName=x;AccountKey={};Suffix=y"',
    "npm-token": "//registry.npmjs.org/:_authToken={}",
    "softlayer-credentials": 'softlayer_api_key = "{}"',
    "cloudant-credentials": 'cloudant_password = "{}"',
    "ibm-cloud-iam-key": 'ibm_cloud_iam_key = "{}"',
    "ibm-cos-hmac-credentials": 'cos_hmac_secret_access_key = "{}"',
}


def found(text: str) -> list[tuple[str, str]]:
    found_here = findings(tokens.DETECTORS, "a.py", text)
    return [(text[finding.start : finding.end], finding.kind) for finding in found_here]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_span_is_the_token_alone(kind: str) -> None:
    line = PLACES.get(kind, 'größe = 1; x = "{}"').format(EXAMPLES[kind])
    assert (EXAMPLES[kind], kind) in found(f"import os\r\n\t{line}  \r\n")


def test_every_plugin_of_detect_secrets_is_used_here_or_has_a_separate_module() -> None:
    types = set(get_mapping_from_secret_type_to_class())
    elsewhere = {
        "Basic Auth Credentials",
        "JSON Web Token",
        "Private Key",
        "Public IP (ipv4)",
        "Secret Keyword",
        "Hex High Entropy String",
        "Base64 High Entropy String",
    }
    assert {tokens.kind_of(name) for name in types - elsewhere} == set(EXAMPLES)


def test_the_secret_half_of_an_aws_pair_has_its_own_kind() -> None:
    secret = draw(38) + "/+"
    for line in (
        f'aws_secret_access_key = "{secret}"',
        f"AWS_SECRET_ACCESS_KEY={secret}",
        f"secretAccessKey: '{secret}',",
        f'login("{EXAMPLES["aws-access-key"]}", "{secret}")',
    ):
        assert (secret, "aws-secret-access-key") in found(line)


def test_a_token_that_is_the_argument_of_a_call_is_found() -> None:
    token = EXAMPLES["github-token"]
    assert found(f'client = Github(login="{token}")') == [(token, "github-token")]


def test_two_tokens_on_a_line_are_two() -> None:
    one, other = (GENERATORS["aws-access-key"](random.Random(seed)) for seed in (1, 2))
    assert found(f"{one},{other}") == [(one, "aws-access-key"), (other, "aws-access-key")]


@pytest.mark.parametrize(
    "text", ["AKIA" + "IOSFODNN7" + "EXAMPLE", "gh" + "p_" + "x" * 36, "AC" + "x" * 32]
)
def test_examples_of_documentation_are_not_found(text: str) -> None:
    assert found(f'x = "{text}"') == []
