"""Issuers of tokens that detect-secrets does not know: a plugin in its form for each.

Formats are those that the issuers document, or that public secret scanners agree on.
"""

from __future__ import annotations

from erasetest.scanning.detect_secrets_parts import RegexBasedDetector
from erasetest.scanning.issuers.anthropic import AnthropicDetector
from erasetest.scanning.issuers.azure_ad import AzureAdDetector
from erasetest.scanning.issuers.cloudflare import CloudflareOriginDetector
from erasetest.scanning.issuers.databricks import DatabricksDetector
from erasetest.scanning.issuers.digitalocean import DigitalOceanDetector
from erasetest.scanning.issuers.docker_hub import DockerHubDetector
from erasetest.scanning.issuers.doppler import DopplerDetector
from erasetest.scanning.issuers.github_fine_grained import GitHubFineGrainedDetector
from erasetest.scanning.issuers.google_api import GoogleApiDetector
from erasetest.scanning.issuers.google_oauth import GoogleOAuthDetector
from erasetest.scanning.issuers.grafana import GrafanaDetector
from erasetest.scanning.issuers.huggingface import HuggingFaceDetector
from erasetest.scanning.issuers.linear import LinearDetector
from erasetest.scanning.issuers.new_relic import NewRelicDetector
from erasetest.scanning.issuers.notion import NotionDetector
from erasetest.scanning.issuers.npm import NpmDetector
from erasetest.scanning.issuers.openai_project import OpenAiProjectDetector
from erasetest.scanning.issuers.planetscale import PlanetScaleDetector
from erasetest.scanning.issuers.postman import PostmanDetector
from erasetest.scanning.issuers.shopify import ShopifyDetector
from erasetest.scanning.issuers.slack_app import SlackAppDetector
from erasetest.scanning.issuers.terraform_cloud import TerraformCloudDetector
from erasetest.scanning.issuers.vault import VaultDetector

ISSUERS: tuple[type[RegexBasedDetector], ...] = (
    AnthropicDetector,
    AzureAdDetector,
    CloudflareOriginDetector,
    DatabricksDetector,
    DigitalOceanDetector,
    DockerHubDetector,
    DopplerDetector,
    GitHubFineGrainedDetector,
    GoogleApiDetector,
    GoogleOAuthDetector,
    GrafanaDetector,
    HuggingFaceDetector,
    LinearDetector,
    NewRelicDetector,
    NotionDetector,
    NpmDetector,
    OpenAiProjectDetector,
    PlanetScaleDetector,
    PostmanDetector,
    ShopifyDetector,
    SlackAppDetector,
    TerraformCloudDetector,
    VaultDetector,
)
