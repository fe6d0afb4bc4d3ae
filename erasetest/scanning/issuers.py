"""Token formats of issuers that detect-secrets does not know, as plugins in its form.

To add an issuer, add a row to `ISSUERS`: the class name of the plugin, its secret type (the
finding's kind is derived from it) and one or more patterns. Formats are those that the issuers
document or that public secret scanners agree on.
"""

from __future__ import annotations

import re

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector

START = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2}))"
"""Left boundary of a token: no word character or dash before it, except at the end of an escape
sequence in source code (`\\n`) or in a URL (`%3D`)."""

END = r"(?![A-Za-z0-9_-])"
"""Right boundary of a token: no word character or dash after it."""

# Azure's client secrets also contain dots and tildes, so the usual boundaries would cut them.
_AZURE = "[A-Za-z0-9_~.-]"
_AZURE_START = rf"(?:(?<!{_AZURE})|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{{2}}))"
_AZURE_END = r"(?![A-Za-z0-9_~-]|\.[A-Za-z0-9_~-])"


def _token(body: str, start: str = START, end: str = END) -> re.Pattern[str]:
    return re.compile(f"{start}(?:{body}){end}")


def _plugin(
    name: str, secret_type: str, *patterns: str | re.Pattern[str]
) -> type[RegexBasedDetector]:
    """Return a plugin class. A pattern given as a string is put between `START` and `END`."""
    denylist = tuple(_token(body) if isinstance(body, str) else body for body in patterns)
    members = {
        "__doc__": f"Find the secret type `{secret_type}`.",
        "__module__": __name__,
        "secret_type": secret_type,
        "denylist": denylist,
    }
    return type(name, (RegexBasedDetector,), members)


# One issuer per row, whatever its length.
# fmt: off
ISSUERS: tuple[type[RegexBasedDetector], ...] = (
    _plugin("AnthropicDetector", "Anthropic API Key", r"sk-ant-(?:api|admin|sid|oat)[0-9]{2}-[A-Za-z0-9_-]{86,100}AA"),
    _plugin("AzureAdDetector", "Azure AD Client Secret", _token(rf"{_AZURE}{{3}}[0-9]Q~{_AZURE}{{30,33}}[A-Za-z0-9_~-]", _AZURE_START, _AZURE_END)),
    _plugin("CloudflareOriginDetector", "Cloudflare Origin CA Key", r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}"),
    _plugin("DatabricksDetector", "Databricks Token", r"dapi[0-9a-f]{32}(?:-[0-9]{1,2})?"),
    _plugin("DigitalOceanDetector", "DigitalOcean Token", r"do[por]_v1_[0-9a-f]{64}"),
    _plugin("DockerHubDetector", "Docker Hub Token", r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,32}"),
    _plugin("DopplerDetector", "Doppler Token", r"dp\.(?:pt|ct|sa|scim|audit|st(?:\.[a-z0-9_-]{2,35})?)\.[A-Za-z0-9]{40,44}"),
    _plugin("GitHubFineGrainedDetector", "GitHub Fine-grained Token", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    _plugin("GoogleApiDetector", "Google API Key", r"AIza[A-Za-z0-9_-]{35}"),
    _plugin("GoogleOAuthDetector", "Google OAuth Client Secret", r"GOCSPX-[A-Za-z0-9_-]{28}"),
    _plugin("GrafanaDetector", "Grafana Token", r"glsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}", _token(r"glc_eyJ[A-Za-z0-9+/]{32,400}={0,2}", end="(?![A-Za-z0-9+/=_-])")),
    _plugin("HuggingFaceDetector", "HuggingFace Token", r"(?:hf_|api_org_)[A-Za-z0-9]{34}"),
    _plugin("LinearDetector", "Linear API Key", r"lin_api_[A-Za-z0-9]{40}"),
    _plugin("NewRelicDetector", "New Relic API Key", r"NRAK-[A-Z0-9]{27}"),
    _plugin("NotionDetector", "Notion Token", r"ntn_[0-9]{11}[A-Za-z0-9]{35}"),
    _plugin("NpmDetector", "NPM Token", r"npm_[A-Za-z0-9]{36}"),
    _plugin("OpenAiProjectDetector", "OpenAI Project Key", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,74}T3BlbkFJ[A-Za-z0-9_-]{20,74}"),
    _plugin("PlanetScaleDetector", "PlanetScale Token", r"pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_.=-]{31,63}[A-Za-z0-9_-]"),
    _plugin("PostmanDetector", "Postman API Key", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    _plugin("ShopifyDetector", "Shopify Token", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _plugin("SlackAppDetector", "Slack App Token", r"xapp-[0-9]-[A-Z0-9]{6,20}-[0-9]{6,20}-[0-9a-z]{40,99}", r"xoxe(?:\.xox[bp])?-[0-9]-[A-Za-z0-9]{140,170}"),
    _plugin("TerraformCloudDetector", "Terraform Cloud Token", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    _plugin("VaultDetector", "Vault Token", r"hvs\.(?:[A-Za-z0-9]{24}|[A-Za-z0-9_-]{90,120})|hv[br]\.[A-Za-z0-9_-]{138,300}"),
)
# fmt: on
