"""Issuers of tokens that detect-secrets does not know: a plugin in its form for each.

Formats are those that the issuers document, or that public secret scanners agree on.
"""

from __future__ import annotations

from erasetest.scan.detect_secrets_parts import RegexBasedDetector
from erasetest.scan.issuers.anthropic import AnthropicDetector
from erasetest.scan.issuers.azure_ad import AzureAdDetector
from erasetest.scan.issuers.cloudflare import CloudflareOriginDetector
from erasetest.scan.issuers.databricks import DatabricksDetector
from erasetest.scan.issuers.digitalocean import DigitalOceanDetector
from erasetest.scan.issuers.docker_hub import DockerHubDetector
from erasetest.scan.issuers.doppler import DopplerDetector
from erasetest.scan.issuers.github_fine_grained import GitHubFineGrainedDetector
from erasetest.scan.issuers.google_api import GoogleApiDetector
from erasetest.scan.issuers.google_oauth import GoogleOAuthDetector
from erasetest.scan.issuers.grafana import GrafanaDetector
from erasetest.scan.issuers.huggingface import HuggingFaceDetector
from erasetest.scan.issuers.linear import LinearDetector
from erasetest.scan.issuers.new_relic import NewRelicDetector
from erasetest.scan.issuers.notion import NotionDetector
from erasetest.scan.issuers.npm import NpmDetector
from erasetest.scan.issuers.openai_project import OpenAiProjectDetector
from erasetest.scan.issuers.planetscale import PlanetScaleDetector
from erasetest.scan.issuers.postman import PostmanDetector
from erasetest.scan.issuers.shopify import ShopifyDetector
from erasetest.scan.issuers.slack_app import SlackAppDetector
from erasetest.scan.issuers.terraform_cloud import TerraformCloudDetector
from erasetest.scan.issuers.vault import VaultDetector

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
