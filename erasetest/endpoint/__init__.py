"""A CLM behind an OpenAI-compatible completions endpoint: client and probe."""

from erasetest.endpoint.client import Completion, Endpoint, EndpointOptions
from erasetest.endpoint.endpoint_probing import probe_endpoint

__all__ = ["Completion", "Endpoint", "EndpointOptions", "probe_endpoint"]
